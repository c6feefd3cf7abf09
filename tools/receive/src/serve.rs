//! One connection, from its first byte to its last.

use crate::error::Error;
use crate::keeper::{Done, Keeper};
use datafront::block::{Fault, Receiver};
use std::time::{Duration, Instant};
use vchan::Way;

/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;
/// Bytes and blocks after which those that have come are recorded and acknowledged although more is there already. A sender
/// has 16 blocks under way: it is not to wait for room.
const MOST_BYTES: usize = 256 * 1024;
const MOST_BLOCKS: usize = 8;
/// How often the watch is asked, while nothing comes.
const LOOK: Duration = Duration::from_secs(1);

/// What ends a connection besides its two sides.
pub struct Watch<'a> {
    /// How long the sender may take to say HELLO; `None`: for ever. One that dials in meets a connection of its predecessor
    /// now and then, on which nobody says it again.
    pub greets_within: Option<Duration>,
    /// How long the sender may have nothing to send; `None`: for ever. Then it ends with [`End::Idle`].
    pub idle: Option<Duration>,
    /// Set when the sender has said HELLO.
    pub greeted: bool,
    /// Asked once a second while nothing comes, and while nobody takes an answer: whether the connection is dead.
    pub is_dead: &'a mut dyn FnMut() -> Option<End>,
}

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// The sender left.
    Left,
    /// The sender broke a rule; it was told which.
    Broke(Fault),
    /// This guest was suspended: the channel is to be offered again.
    Suspended,
    /// The other domain is gone.
    Gone,
    /// The sender did not say HELLO.
    Silent,
    /// The sender had nothing to send for as long as was asked for.
    Idle,
    /// As many blocks were completed as were asked for.
    Enough,
    /// Something here failed: [`Keeper::receiver`] goes on from what is recorded.
    Failed(Error),
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("greets_within", &self.greets_within).finish_non_exhaustive()
    }
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
    (watch, report): (&mut Watch<'_>, &mut dyn FnMut(Report<'_>)),
) -> End {
    receiver.reset(keeper);
    let end = talk(way, receiver, keeper, most, (watch, report));
    receiver.reset(keeper);
    end
}

fn talk(
    way: &mut dyn Way,
    receiver: &mut Receiver,
    keeper: &mut Keeper,
    most: &mut Option<u64>,
    (watch, report): (&mut Watch<'_>, &mut dyn FnMut(Report<'_>)),
) -> End {
    let mut quiet = Quiet::new();
    let mut buffer = vec![0; BUFFER];
    let (mut answers, mut unanswered) = (Vec::new(), 0);
    loop {
        let (mut fed, mut has_left) = (Ok(()), false);
        match way.read(&mut buffer) {
            Ok(Some(0)) | Err(_) => has_left = true,
            Ok(Some(len)) => {
                quiet = Quiet::new();
                fed = receiver.feed(buffer.get(..len).unwrap_or_default(), keeper, &mut answers);
                unanswered += len;
                let is_enough = most.is_some_and(|most| most <= count(keeper.nr_done()));
                if fed.is_ok() && !is_enough && unanswered < MOST_BYTES && keeper.nr_done() < MOST_BLOCKS {
                    continue;
                }
            }
            Ok(None) if unanswered == 0 => match quiet.wait(way, watch) {
                Some(end) => return end,
                None => continue,
            },
            Ok(None) => {}
        }
        unanswered = 0;
        keeper.record();
        // What could not be recorded is not acknowledged, nor is anything after it.
        if let Some(error) = keeper.take_failure() {
            return End::Failed(error);
        }
        watch.greeted |= !answers.is_empty();
        let ended = if has_left { Some(End::Left) } else { answer(way, &answers, watch) };
        answers.clear();
        tell(keeper, most, report);
        if let Some(end) = ended {
            return end;
        }
        if let Err(fault) = fed {
            return End::Broke(fault);
        }
        if *most == Some(0) {
            return End::Enough;
        }
    }
}

/// Since when nothing has come.
struct Quiet {
    since: Instant,
    looked: Instant,
}

impl Quiet {
    fn new() -> Self {
        let now = Instant::now();
        Self { since: now, looked: now }
    }

    /// Waits until something comes, or for a second; how the connection ended meanwhile.
    fn wait(&mut self, way: &mut dyn Way, watch: &mut Watch<'_>) -> Option<End> {
        let limit = if watch.greeted { watch.idle } else { watch.greets_within };
        let left = limit.map(|limit| limit.saturating_sub(self.since.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return Some(if watch.greeted { End::Idle } else { End::Silent });
        }
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            if let Some(end) = (watch.is_dead)() {
                return Some(end);
            }
        }
        way.wait(false, left.map_or(LOOK, |left| left.min(LOOK))).is_err().then_some(End::Left)
    }
}

/// Tells of blocks that were recorded and of the one that is coming, and counts down.
fn tell(keeper: &mut Keeper, most: &mut Option<u64>, report: &mut dyn FnMut(Report<'_>)) {
    for done in keeper.take_done() {
        *most = most.map(|most| most.saturating_sub(1));
        report(Report::Done(&done));
    }
    if let Some((name, come, len)) = keeper.coming() {
        report(Report::Coming(name, come, len));
    }
}

fn count(blocks: usize) -> u64 {
    u64::try_from(blocks).unwrap_or(u64::MAX)
}

/// Writes all answers; how the connection ended meanwhile. A sender that does not read them is not read on either.
fn answer(way: &mut dyn Way, mut answers: &[u8], watch: &mut Watch<'_>) -> Option<End> {
    while !answers.is_empty() {
        match way.write(answers) {
            Err(_) => return Some(End::Left),
            Ok(0) => {
                if let Some(end) = (watch.is_dead)() {
                    return Some(end);
                }
                if way.wait(true, LOOK).is_err() {
                    return Some(End::Left);
                }
            }
            Ok(len) => answers = answers.get(len..).unwrap_or_default(),
        }
    }
    None
}
