//! `pull`: what a guest sends to dom0. See `pull --help` and docs/pull.md.
//!
//! ```text
//!   guest: Outbox ══► Way (push: by name, over restores) ─► serve (receive) ─► Keeper ─► folder, or standard output
//!          ◄═════════ ACK ◄───────────────────────────────── recorded on disk ◄──┘
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod failure;
mod output;
mod screen;

use clap::Parser;
use failure::Failure;
use output::{Output, Scratch};
use push::domain::{Domain, Redial};
use push::duration::parse as duration;
use push::{Dial, Options};
use receive::sink::{Folder, folder};
use receive::{Disk, End, Keeper, Report, Sink, Watch, serve};
use screen::Screen;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long HELLO is awaited on a connection. A guest says it at once; on the connection of a predecessor that was killed
/// nobody says it again.
const GREETING: Duration = Duration::from_secs(3);
/// Between two connections, so that the guest notices the end of the one before.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked whether the guest is still there, while nothing comes.
const LOOK: Duration = Duration::from_secs(5);

/// Takes the blocks that a guest sends, over shared pages, without a network, and acknowledges each when it is on disk.
///
/// It goes on until it is ended, or until --count or --idle say so; after a restart of the guest or of pull it goes on where it
/// was. Exit codes: 0 ended as asked for, 2 wrong command line, 3 no such domain, 4 the domain has no such channel, 6 timed
/// out, 7 the folder or the standard output cannot be used, 8 Xen's tools fail. A guest keeps what is not acknowledged, as far
/// as its memory permits.
#[derive(Debug, Parser)]
#[command(version, name = "pull")]
struct Arguments {
    /// The guest, by name or number
    #[arg(long, short)]
    domain: String,
    /// The name of the guest's channel
    #[arg(long, short, default_value = "pull")]
    name: String,
    /// The folder for the blocks, or - for the standard output
    #[arg(long, short, default_value = "-")]
    out: PathBuf,
    /// Versions of each name that are kept in the folder
    #[arg(long, default_value_t = 5)]
    keep: usize,
    /// Where it is kept how far each stream has come: by default DIR/.receive; with - nowhere
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// End when this many blocks were completed
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End when the guest had nothing to send for this long: 500ms, 5s, 2m
    #[arg(long, value_parser = duration)]
    idle: Option<Duration>,
    /// Give up when the guest does not answer for this long
    #[arg(long, default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Use vchan-socket-proxy also where libxenvchan itself is built in
    #[arg(long)]
    proxy: bool,
    /// One JSON object a line on the standard output (needs --out DIR)
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn is_to_output(&self) -> bool {
        self.out == Path::new("-")
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut screen = Screen::new(arguments.json && !arguments.is_to_output(), &arguments.domain);
    match run(&arguments, &mut screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen.failed(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Takes blocks on one connection after the other.
fn run(arguments: &Arguments, screen: &mut Screen) -> Result<(), Failure> {
    if arguments.json && arguments.is_to_output() {
        return Err(Failure::usage(
            "--json and the blocks cannot both be on the standard output: name --out DIR",
        ));
    }
    let options = Options {
        port: arguments.name.clone(),
        timeout: arguments.timeout,
        proxy: arguments.proxy,
        ..Options::default()
    };
    let (sink, state, _scratch) = sink(arguments)?;
    let mut keeper = Keeper::open(&state, sink, Disk::default())?.waiting_for_room();
    let mut receiver = keeper.receiver()?;
    let mut dial = Domain::find(&arguments.domain, &options).map_err(Failure::Guest)?.dialer(&options);
    let mut most = arguments.count;
    let mut heard = Instant::now();
    loop {
        let mut way = dial.dial().map_err(|error| Failure::dial(error, arguments.timeout))?;
        let mut looked = Instant::now();
        let mut is_dead = || is_gone(&mut dial, &mut looked);
        let mut watch = Watch {
            greets_within: Some(GREETING.min(arguments.timeout)),
            idle: arguments.idle,
            greeted: false,
            is_dead: &mut is_dead,
        };
        let mut report = |report: Report<'_>| screen.report(&report);
        let end = serve(&mut *way, &mut receiver, &mut keeper, &mut most, (&mut watch, &mut report));
        if watch.greeted {
            heard = Instant::now();
        }
        drop(way);
        match end {
            End::Enough | End::Idle => {
                screen.finished();
                return Ok(());
            }
            End::Failed(error) => return Err(error.into()),
            End::Left | End::Broke(_) | End::Gone | End::Silent | End::Suspended => screen.interrupted(&end),
        }
        if heard.elapsed() >= arguments.timeout {
            return Err(Failure::silent(arguments.timeout));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the guest has gone: it is asked for now and then.
fn is_gone(dial: &mut Redial, looked: &mut Instant) -> Option<End> {
    if looked.elapsed() < LOOK {
        return None;
    }
    *looked = Instant::now();
    (!dial.is_alive()).then_some(End::Gone)
}

/// What gets the blocks, the folder of the state, and the state's owner if it goes away at the end.
type Place = (Box<dyn Sink>, PathBuf, Option<Scratch>);

/// Where the command line wants the blocks.
fn sink(arguments: &Arguments) -> Result<Place, Failure> {
    if !arguments.is_to_output() {
        let own = arguments.out.join(folder::OWN);
        receive::disk::same_file_system(&own, arguments.state.as_deref().unwrap_or(&own))?;
        let state = arguments.state.clone().unwrap_or(own);
        return Ok((Box::new(Folder::new(arguments.out.clone(), arguments.keep)), state, None));
    }
    if let Some(state) = &arguments.state {
        return Ok((Box::new(Output), state.clone(), None));
    }
    let scratch = Scratch::new()?;
    Ok((Box::new(Output), scratch.path().to_owned(), Some(scratch)))
}
