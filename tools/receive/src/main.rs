//! `receive`: blocks from dom0 in a Linux guest. See `receive --help` and docs/receive.md.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod screen;

use clap::{ArgGroup, Parser};
use receive::disk::same_file_system;
use receive::sink::{Folder, Program, Socket, folder};
use receive::suspend::Clocks;
use receive::{Disk, End, Error, Keeper, Report, Sink, Watch, serve};
use screen::Screen;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use vchan::Way;

/// Bytes of the way back: acknowledgements.
const BACK: usize = 4096;
/// Before it goes on after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Letters of a channel's name, at most: libxenvchan cuts longer paths.
const MAX_NAME: usize = 16;

/// Receives what `push` in dom0 pushes to this guest, over shared pages, without a network: exactly once and in order.
///
/// The number of the last block is kept on disk, so that it goes on where it was after a restart of the program or of the
/// guest. Exit codes: 0 --count blocks were received, 2 wrong command line, 7 a folder, file, program or socket cannot be
/// used, 8 Xen's devices are missing.
#[derive(Debug, Parser)]
#[command(version, name = "receive", group(ArgGroup::new("to").required(true)))]
struct Arguments {
    /// To a folder: each version under its name, in one step
    #[arg(long, group = "to")]
    dir: Option<PathBuf>,
    /// Versions of each name that are kept in the folder
    #[arg(long, default_value_t = 5, conflicts_with_all = ["exec", "socket"])]
    keep: usize,
    /// To a program, once for each block: on its standard input, and its exit status is acknowledged
    #[arg(long, group = "to", value_name = "PROGRAM")]
    exec: Option<String>,
    /// To the program that listens at this Unix socket, a connection for each block
    #[arg(long, group = "to", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The channel's name: what `push --port` has
    #[arg(long, default_value = "push", value_parser = name)]
    name: String,
    /// Where it is kept how far each stream has come: by default /var/lib/receive/NAME, with --dir DIR/.receive
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// The domain that may push
    #[arg(long, default_value_t = 0, value_name = "DOMID")]
    client: u16,
    /// KiB of the ring: 1 to 1024, a power of two
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=1024))]
    ring: u16,
    /// End when this many blocks were completed
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// One JSON object a line on the standard output
    #[arg(long)]
    json: bool,
    /// The program's arguments, behind --
    #[arg(last = true, conflicts_with_all = ["dir", "socket"], value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

fn name(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if plain && (1..=MAX_NAME).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!("must be 1 to {MAX_NAME} letters, digits, - and _"))
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

/// Offers the channel, serves who comes, and offers it again.
fn run(arguments: &Arguments, screen: &mut Screen) -> Result<(), Error> {
    let (sink, folder) = sink(arguments)?;
    let mut keeper = Keeper::open(&folder, sink, Disk::default())?;
    let mut receiver = keeper.receiver()?;
    let mut most = arguments.count;
    loop {
        let mut way = offer(arguments).map_err(Error::Channel)?;
        screen.offers(&path(arguments));
        // A suspend leaves the channel dead, and nothing says so.
        let mut clocks = Clocks::default();
        let mut is_dead = || clocks.suspended().then_some(End::Suspended);
        let mut watch = Watch { greets_within: None, idle: None, greeted: false, is_dead: &mut is_dead };
        let mut report = |report: Report<'_>| screen.report(&report);
        let end = serve(&mut *way, &mut receiver, &mut keeper, &mut most, (&mut watch, &mut report));
        screen.ended(&end);
        match end {
            End::Enough => return Ok(()),
            End::Left | End::Broke(_) | End::Suspended | End::Gone | End::Silent | End::Idle => {}
            End::Failed(error) => {
                drop(way);
                screen.failed(&error);
                std::thread::sleep(PAUSE);
                receiver = keeper.receiver()?;
            }
        }
    }
}

/// Where the channel is in xenstore, relative to this domain's own nodes.
fn path(arguments: &Arguments) -> String {
    format!("data/vchan/{}/{}", arguments.client, arguments.name)
}

#[cfg(feature = "libxenvchan")]
fn offer(arguments: &Arguments) -> std::io::Result<Box<dyn Way>> {
    let ring = usize::from(arguments.ring) * 1024;
    vchan::libxenvchan::offer(arguments.client, &path(arguments), (ring, BACK))
}

#[cfg(not(feature = "libxenvchan"))]
fn offer(_: &Arguments) -> std::io::Result<Box<dyn Way>> {
    let what = "this program was built without libxenvchan; `make receive` builds it with it";
    let _ = BACK;
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, what))
}

/// What gets the blocks, and the folder of the state.
fn sink(arguments: &Arguments) -> Result<(Box<dyn Sink>, PathBuf), Error> {
    let usual = || Path::new("/var/lib/receive").join(&arguments.name);
    let asked = arguments.state.clone();
    if let Some(dir) = &arguments.dir {
        let own = dir.join(folder::OWN);
        let state = asked.unwrap_or_else(|| own.clone());
        same_file_system(&own, &state)?;
        return Ok((Box::new(Folder::new(dir.clone(), arguments.keep)), state));
    }
    let sink: Box<dyn Sink> = match (&arguments.exec, &arguments.socket) {
        (Some(program), _) => {
            runs(program)?;
            Box::new(Program::new(program.clone(), arguments.arguments.clone()))
        }
        (None, Some(socket)) => Box::new(Socket::new(socket.clone())),
        (None, None) => return Err(Error::Usage("one of --dir, --exec and --socket is needed".to_owned())),
    };
    Ok((sink, asked.unwrap_or_else(usual)))
}

/// Whether there is such a program.
fn runs(program: &str) -> Result<(), Error> {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let found = if program.contains('/') {
        Path::new(program).is_file()
    } else {
        std::env::split_paths(&in_path).any(|folder| folder.join(program).is_file())
    };
    if found { Ok(()) } else { Err(Error::Usage(format!("--exec {program}: there is no such program"))) }
}
