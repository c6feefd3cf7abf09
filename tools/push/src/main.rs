//! `push`: files from dom0 into guests. See `push --help` and docs/datafront.md.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod job;
mod screen;
mod several;
mod sources;
mod watch;

use clap::Parser;
use push::domain;
use push::duration::parse as duration;
use push::tree::Rules;
use screen::Screen;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Pushes files into guests over shared pages, without a network, and reports the result of each.
///
/// A file is published under its name, or under --name. A folder (or a file that ends in .tar) is published as a whole,
/// in one step, in place of what was there; files and folders whose name begins with a dot are left out unless --all is
/// given. A FIFO is read to its end, as - is. Exit codes: 0 accepted, 2 wrong command line, 3 no such domain, 4 the domain
/// has no datafront, 5 refused by the application, 6 timed out, 7 cannot be read, 8 Xen's tools fail, 9 protocol, 10 the
/// guest was restarted meanwhile. Of several guests, the code of the first that failed.
#[derive(Clone, Debug, Parser)]
#[command(version, name = "push")]
struct Arguments {
    /// A file, a folder, a FIFO, or - for the standard input
    source: PathBuf,
    /// The guests, by name or number: web1,web2
    #[arg(long, short, value_delimiter = ',', required_unless_present_any = ["dry_run", "all_with"])]
    domain: Vec<String>,
    /// Every guest that offers a channel of this name when push starts
    #[arg(long, value_name = "PORT", conflicts_with_all = ["domain", "port"])]
    all_with: Option<String>,
    /// The name in the guest (for a folder: where its files go; by default to the root)
    #[arg(long, short)]
    name: Option<String>,
    /// Each file of the folder as a block of its own, in the order of their names
    #[arg(long)]
    each: bool,
    /// Also files and folders whose name begins with a dot
    #[arg(long)]
    all: bool,
    /// Leave out of a folder what cannot be published (links to nothing or out of the folder, devices, FIFOs, sockets)
    #[arg(long)]
    skip: bool,
    /// List what would be pushed, and push nothing
    #[arg(long)]
    dry_run: bool,
    /// The folder has TLS certificates and private keys (.pem, .crt, .key): hand them over, and publish nothing
    #[arg(long, conflicts_with_all = ["name", "each", "all", "skip"])]
    secret: bool,
    /// Push again and again: 500ms, 5s, 2m
    #[arg(long, value_parser = duration)]
    every: Option<Duration>,
    /// Push again whenever the source has changed or the guest was restarted
    #[arg(long, conflicts_with = "every")]
    watch: bool,
    /// Go on where the last push with this stream name ended, with the next file (needs --each)
    #[arg(long, value_name = "STREAM", requires = "each")]
    resume: Option<String>,
    /// Give up when nothing has moved for this long, at the guest or at the source
    #[arg(long, default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// The name of the guest's channel
    #[arg(long, default_value = "push")]
    port: String,
    /// Use vchan-socket-proxy also where libxenvchan itself is built in
    #[arg(long)]
    proxy: bool,
    /// One JSON object a line on the standard output
    #[arg(long)]
    json: bool,
}

impl Arguments {
    const fn rules(&self) -> Rules {
        Rules { all: self.all, skip: self.skip }
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.dry_run {
        return finish(sources::list(&arguments), &mut Screen::new(arguments.json, None)).into();
    }
    if let Some(port) = arguments.all_with.take() {
        match domain::offering(&port) {
            Ok(domains) => (arguments.domain, arguments.port) = (domains, port),
            Err(error) => return finish(Err(error), &mut Screen::new(arguments.json, None)).into(),
        }
    }
    match arguments.domain.as_slice() {
        [domain] => {
            let mut screen = Screen::new(arguments.json, None);
            let result = job::run(&arguments, domain, &mut screen);
            finish(result, &mut screen).into()
        }
        domains => several::run(&arguments, domains).into(),
    }
}

/// Reports an error; the exit code.
fn finish(result: Result<(), push::Error>, screen: &mut Screen) -> u8 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            screen.failed(&error);
            error.exit_code()
        }
    }
}
