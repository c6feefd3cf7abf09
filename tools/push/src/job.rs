//! One source into one guest, once or again and again.
//!
//! ```text
//!   look at the source ─► blocks ─► Pusher ─► result ─► --every: a pause
//!          ▲                                            --watch: until the source or the guest's instance changes
//!          └────────────────────────────────────────────┘
//! ```

use crate::Arguments;
use crate::screen::Screen;
use crate::sources::{self, is_stream};
use crate::watch::{self, Change};
use push::domain::{Domain, Redial};
use push::pieces::pieces;
use push::{Error, Options, Pusher};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at the number of the guest's domain, while the source is watched.
const GUEST: Duration = Duration::from_secs(2);

/// Pushes as the command line says, to one of its domains.
pub(crate) fn run(arguments: &Arguments, name: &str, screen: &mut Screen) -> Result<(), Error> {
    let options = options(arguments);
    let from_stream = is_stream(&arguments.source);
    // Checked before anything is read: a change during the push counts as a change.
    let look = || arguments.watch.then(|| watch::stamp(&arguments.source));
    let mut stamp = look();
    // A source that cannot be read is reported before the guest is asked.
    let mut blocks = if from_stream { Vec::new() } else { sources::blocks(arguments, screen)? };
    let domain = Domain::find(name, &options)?;
    let mut pusher = Pusher::new(domain.dialer(&options), options);
    if from_stream {
        pusher.stream(stream(arguments));
    }
    let repeats = (arguments.every.is_some() || arguments.watch) && !from_stream;
    loop {
        let begun = Instant::now();
        blocks.into_iter().for_each(|block| pusher.enqueue(block));
        screen.begin();
        match pusher.run(&mut |report| screen.report(&report)) {
            Ok(done) => screen.finished(&done),
            // The next round may succeed.
            Err(error @ (Error::Refused(_) | Error::Source(..))) if repeats => screen.failed(&error),
            // The next round is at once, and whole.
            Err(error @ Error::Restarted(_)) if arguments.watch => {
                screen.failed(&error);
                pusher.forget();
                (stamp, blocks) = (look(), sources::blocks(arguments, screen)?);
                continue;
            }
            Err(error) => return Err(error),
        }
        pusher.rest();
        if let Some(every) = arguments.every.filter(|_| repeats) {
            std::thread::sleep(every.saturating_sub(begun.elapsed()));
        } else if let Some(stamp) = stamp.filter(|_| repeats) {
            wait_for_change(arguments, stamp, &mut pusher, screen);
        } else {
            return Ok(());
        }
        stamp = look();
        blocks = sources::blocks(arguments, screen)?;
    }
}

fn options(arguments: &Arguments) -> Options {
    let mut options =
        Options { port: arguments.port.clone(), timeout: arguments.timeout, ..Options::default() };
    options.proxy = arguments.proxy;
    if let Some(name) = &arguments.resume {
        (options.stream, options.resume) = (stream_of(name), true);
    }
    options
}

/// Parts of the standard input, or of a FIFO.
fn stream(arguments: &Arguments) -> push::pieces::Pieces {
    let source = arguments.source.clone();
    let base = source.file_name().map_or_else(String::new, |base| base.to_string_lossy().into_owned());
    let is_input = source == Path::new("-");
    let name = arguments.name.clone().unwrap_or(if is_input { "stdin".to_owned() } else { base });
    pieces(&name, move || -> io::Result<Box<dyn Read>> {
        Ok(if is_input { Box::new(io::stdin()) } else { Box::new(File::open(source)?) })
    })
}

/// Waits until the source changes, or another run of the application is in the guest. A guest that is missing
/// (between save and restore, or while it starts) is searched again.
fn wait_for_change(arguments: &Arguments, stamp: u64, pusher: &mut Pusher<Redial>, screen: &mut Screen) {
    let mut domid = pusher.dialer().domid();
    while watch::wait_for_change(&arguments.source, stamp, GUEST) == Change::None {
        let Some(found) = pusher.dialer().find().filter(|found| *found != domid) else { continue };
        // Another domain of this name: restarted, or restored with the content still there.
        let before = pusher.instance();
        let Ok(instance) = pusher.ask_instance(&mut |report| screen.report(&report)) else { continue };
        pusher.rest();
        domid = found;
        if before != Some(instance) {
            return;
        }
    }
}

/// The number of a stream that was given a name: FNV-1a, which is the same everywhere.
fn stream_of(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
