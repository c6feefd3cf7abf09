//! `push`: files from dom0 into a guest. See `push --help` and docs/datafront.md.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod screen;
mod watch;

use clap::Parser;
use push::domain::Domain;
use push::pieces::pieces;
use push::{Error, Options, Pusher, Source};
use screen::Screen;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Pushes files into a guest over shared pages, without a network, and says what became of them.
///
/// A file is published under its name, or under --name. A folder (or a file that ends in .tar) is published as a whole,
/// in one step, in place of what was there. Exit codes: 0 accepted, 2 wrong command line, 3 no such domain, 4 the domain
/// has no datafront, 5 refused by the application, 6 timed out, 7 cannot be read, 8 Xen's tools fail, 9 protocol.
#[derive(Debug, Parser)]
#[command(version, name = "push")]
struct Arguments {
    /// A file, a folder, or - for the standard input
    source: PathBuf,
    /// The guest, by name or number
    #[arg(long, short)]
    domain: String,
    /// The name in the guest (for a folder: where its files go; by default to the root)
    #[arg(long, short)]
    name: Option<String>,
    /// Each file of the folder as a block of its own, in the order of their names
    #[arg(long)]
    each: bool,
    /// Push again and again: 500ms, 5s, 2m
    #[arg(long, value_parser = duration)]
    every: Option<Duration>,
    /// Push again whenever it has changed
    #[arg(long, conflicts_with = "every")]
    watch: bool,
    /// Go on where the last push with this stream name ended, with the next file (needs --each)
    #[arg(long, value_name = "STREAM", requires = "each")]
    resume: Option<String>,
    /// Give up when nothing has moved for so long
    #[arg(long, default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// The name of the guest's channel
    #[arg(long, default_value = "push")]
    port: String,
    /// Go by vchan-socket-proxy also where libxenvchan itself is built in
    #[arg(long)]
    proxy: bool,
    /// One JSON object a line on the standard output
    #[arg(long)]
    json: bool,
}

/// `5s`, `500ms`, `2m`, or seconds without a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "must be a number with ms, s or m: 5s".to_owned())?;
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        _ => return Err("the unit must be ms, s or m".into()),
    };
    let length =
        number.checked_mul(factor).filter(|ms| *ms > 0).ok_or("must be more than 0, and less than ages")?;
    Ok(Duration::from_millis(length))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut screen = Screen::new(arguments.json);
    match run(&arguments, &mut screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.failed(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: &Arguments, screen: &mut Screen) -> Result<(), Error> {
    let mut options =
        Options { port: arguments.port.clone(), timeout: arguments.timeout, ..Options::default() };
    options.proxy = arguments.proxy;
    if let Some(name) = &arguments.resume {
        (options.stream, options.resume) = (stream_of(name), true);
    }
    // What cannot be read is said before the guest is asked.
    let is_stream = arguments.source == Path::new("-");
    // Taken before anything is read: what changes meanwhile counts as a change.
    let look = || arguments.watch.then(|| watch::stamp(&arguments.source));
    let mut stamp = look();
    let mut sources = if is_stream { Vec::new() } else { sources(arguments)? };
    let domain = Domain::find(&arguments.domain, &options)?;
    let mut pusher = Pusher::new(domain.dialer(&options), options);
    if is_stream {
        pusher.stream(pieces(arguments.name.as_deref().unwrap_or("stdin"), io::stdin()));
    }
    let repeats = (arguments.every.is_some() || arguments.watch) && !is_stream;
    loop {
        let begun = Instant::now();
        sources.into_iter().for_each(|source| pusher.enqueue(source));
        screen.begin();
        let outcome = pusher.run(&mut |report| screen.report(&report));
        match outcome {
            Ok(done) => screen.finished(&done),
            // The next one may be better.
            Err(error @ Error::Refused(_)) if repeats => screen.failed(&error),
            Err(error) => return Err(error),
        }
        pusher.rest();
        if let Some(every) = arguments.every.filter(|_| repeats) {
            std::thread::sleep(every.saturating_sub(begun.elapsed()));
        } else if let Some(stamp) = stamp.filter(|_| repeats) {
            watch::wait_for_change(&arguments.source, stamp);
        } else {
            return Ok(());
        }
        stamp = look();
        sources = self::sources(arguments)?;
    }
}

/// The number of a stream that was given a name: FNV-1a, which is the same everywhere.
fn stream_of(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn sources(arguments: &Arguments) -> Result<Vec<Source>, Error> {
    let path = &arguments.source;
    let base = path.file_name().map_or_else(String::new, |base| base.to_string_lossy().into_owned());
    let name = arguments.name.clone();
    if path.is_dir() && arguments.each {
        return each(path, name.as_deref().unwrap_or_default());
    }
    if path.is_dir() {
        return Ok(vec![Source::folder(name.as_deref().unwrap_or_default(), path)?]);
    }
    if Path::new(&base).extension().is_some_and(|extension| extension == "tar") {
        return Ok(vec![Source::file(name.as_deref().unwrap_or_default(), path)?.as_tree()]);
    }
    Ok(vec![Source::file(name.as_deref().unwrap_or(&base), path)?])
}

/// The files of a folder, each on its own.
fn each(folder: &Path, prefix: &str) -> Result<Vec<Source>, Error> {
    let fail = |error| Error::Source(folder.display().to_string(), error);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let named = |path: &PathBuf| {
        let base = path.file_name().map_or_else(String::new, |base| base.to_string_lossy().into_owned());
        Source::file(&if prefix.is_empty() { base } else { format!("{prefix}/{base}") }, path)
    };
    paths.iter().map(named).collect()
}
