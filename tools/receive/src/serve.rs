//! One connection, from its first byte to its last.

use crate::error::Error;
use crate::keeper::{Done, Keeper};
use crate::suspend::Clocks;
use datafront::block::{Fault, Receiver};
use std::time::Duration;
use vchan::Way;

/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;
/// How often it is looked whether the guest was suspended, while nothing comes.
const LOOK: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// The sender left.
    Left,
    /// The sender broke a rule; it was told which.
    Broke(Fault),
    /// This guest was suspended: the channel is to be offered again.
    Suspended,
    /// As many blocks were completed as were asked for.
    Enough,
    /// Something here failed: [`Keeper::receiver`] goes on from what is recorded.
    Failed(Error),
}

/// What happens meanwhile.
#[derive(Debug)]
pub enum Report<'a> {
    /// A block was completed.
    Done(&'a Done),
    /// A block is coming: its name, bytes that have come, bytes.
    Coming(&'a str, u64, u64),
}

/// Serves a sender until it leaves, or as many blocks were completed as `most` says, which is counted down.
pub fn serve(
    way: &mut dyn Way,
    receiver: &mut Receiver,
    keeper: &mut Keeper,
    most: &mut Option<u64>,
    report: &mut dyn FnMut(Report<'_>),
) -> End {
    receiver.reset(keeper);
    let end = talk(way, receiver, keeper, most, report);
    receiver.reset(keeper);
    end
}

fn talk(
    way: &mut dyn Way,
    receiver: &mut Receiver,
    keeper: &mut Keeper,
    most: &mut Option<u64>,
    report: &mut dyn FnMut(Report<'_>),
) -> End {
    let mut clocks = Clocks::default();
    let mut buffer = vec![0; BUFFER];
    let mut answers = Vec::new();
    loop {
        let len = match way.read(&mut buffer) {
            Ok(Some(0)) | Err(_) => return End::Left,
            Ok(Some(len)) => len,
            Ok(None) if clocks.suspended() => return End::Suspended,
            Ok(None) if way.wait(false, LOOK).is_err() => return End::Left,
            Ok(None) => continue,
        };
        let fed = receiver.feed(buffer.get(..len).unwrap_or_default(), keeper, &mut answers);
        // What could not be recorded is not acknowledged, nor is anything after it.
        if let Some(error) = keeper.take_failure() {
            return End::Failed(error);
        }
        if let Some(end) = answer(way, &answers, &mut clocks) {
            return end;
        }
        answers.clear();
        for done in keeper.take_done() {
            *most = most.map(|most| most.saturating_sub(1));
            report(Report::Done(&done));
        }
        if let Some((name, come, len)) = keeper.coming() {
            report(Report::Coming(name, come, len));
        }
        if let Err(fault) = fed {
            return End::Broke(fault);
        }
        if *most == Some(0) {
            return End::Enough;
        }
    }
}

/// Writes all answers; how the connection ended meanwhile. A sender that does not read them is not read on either.
fn answer(way: &mut dyn Way, mut answers: &[u8], clocks: &mut Clocks) -> Option<End> {
    while !answers.is_empty() {
        match way.write(answers) {
            Err(_) => return Some(End::Left),
            Ok(0) if clocks.suspended() => return Some(End::Suspended),
            Ok(0) if way.wait(true, LOOK).is_err() => return Some(End::Left),
            Ok(len) => answers = answers.get(len..).unwrap_or_default(),
        }
    }
    None
}
