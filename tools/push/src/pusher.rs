//! Everything until the last acknowledgement, over as many connections as it takes.
//!
//! ```text
//!   waiting sources ─► ledger (a window of them) ─► chunks ─► connection
//!                        ▲        ACK: done          ended: dial again, HELLO, unacknowledged blocks
//! ```

use crate::connection::{Connection, News};
use crate::dial::Dial;
use crate::error::Error;
use crate::outgoing::Outgoing;
use crate::pieces::Pieces;
use crate::sending::Sending;
use crate::source::Source;
use datafront::block::wire::{Frame, Kind};
use datafront::block::{Event, Ledger, Status};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often it is looked whether the guest is still there, when nothing moves.
const LOOK: Duration = Duration::from_secs(1);
/// How long a part that is still being read is waited for at a time.
const READING: Duration = Duration::from_millis(20);
/// How long WELCOME is awaited on a connection before another one is made, at first and at most. A sender that
/// connects before the guest has noticed the death of the last one inherits its connection: libxenvchan's page and
/// port still exist, and HELLO is read as bytes of a block that will never end.
const ANSWER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(8));
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);

/// How to push.
#[derive(Clone, Debug)]
pub struct Options {
    /// The last part of the channel's path.
    pub port: String,
    /// The stream; the same number goes on where the last push with it ended.
    pub stream: u64,
    /// Skip as many sources as the guest has completed of the stream.
    pub resume: bool,
    /// How long nothing may move.
    pub timeout: Duration,
    /// How long the guest may take to offer its channel.
    pub appear: Duration,
    /// By `vchan-socket-proxy` also where libxenvchan is built in.
    pub proxy: bool,
}

impl Default for Options {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or(0);
        Self {
            port: "push".into(),
            stream: nanos ^ (u64::from(std::process::id()) << 48),
            resume: false,
            timeout: Duration::from_secs(30),
            appear: Duration::from_secs(5),
            proxy: false,
        }
    }
}

/// A block that the guest has completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its name.
    pub name: Arc<str>,
    /// Its number.
    pub seq: u64,
    /// Its bytes.
    pub len: u64,
    /// The application's word.
    pub status: Status,
}

/// Progress of a push.
#[derive(Debug)]
pub enum Report<'a> {
    /// The guest answered.
    Connected {
        /// Blocks that it has completed of this stream.
        completed: u64,
    },
    /// Bytes that were given to the channel since the start, and the known total.
    Sent(u64, u64),
    /// A block was completed.
    Done(&'a Done),
    /// The connection ended; it is tried again.
    Interrupted(&'a str),
}

/// Called for each report.
pub type Reporter<'r> = dyn FnMut(Report<'_>) + 'r;

/// Pushes blocks over one stream.
pub struct Pusher<D> {
    dial: D,
    options: Options,
    waiting: VecDeque<Source>,
    /// Where more comes from.
    pieces: Option<Pieces>,
    ledger: Ledger<Source>,
    connection: Option<Connection>,
    sending: Option<Sending>,
    outgoing: Outgoing,
    welcomed: bool,
    /// When HELLO was sent, and how long its answer is waited for.
    asked: Instant,
    answer: Duration,
    skipped: bool,
    /// The receiver's number by its last WELCOME: it differs in another run of the application.
    instance: Option<u64>,
    /// Blocks of this run that were accepted.
    accepted: usize,
    /// The first source that could not be read to its end.
    failure: Option<Error>,
    sent_bytes: u64,
    total_bytes: u64,
}

impl<D> std::fmt::Debug for Pusher<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pusher").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<D: Dial> Pusher<D> {
    /// A pusher that has nothing to do yet.
    #[must_use]
    pub fn new(dial: D, options: Options) -> Self {
        let ledger = Ledger::new(options.stream);
        Self {
            dial,
            options,
            waiting: VecDeque::new(),
            pieces: None,
            ledger,
            connection: None,
            sending: None,
            outgoing: Outgoing::default(),
            welcomed: false,
            asked: Instant::now(),
            answer: ANSWER.0,
            skipped: false,
            instance: None,
            accepted: 0,
            failure: None,
            sent_bytes: 0,
            total_bytes: 0,
        }
    }

    /// Adds a block.
    pub fn enqueue(&mut self, source: Source) {
        self.total_bytes += source.len;
        self.waiting.push_back(source);
    }

    /// Adds blocks that are still to be read, after those that were enqueued.
    pub fn stream(&mut self, pieces: Pieces) {
        self.pieces = Some(pieces);
    }

    /// Ends the connection, so that another sender gets its turn; the next [`Pusher::run`] makes one.
    pub fn rest(&mut self) {
        self.connection = None;
    }

    /// Connects, and asks for the run of the application: a number that changes with each restart.
    ///
    /// # Errors
    /// As [`Pusher::run`].
    pub fn ask_instance(&mut self, report: &mut Reporter<'_>) -> Result<u64, Error> {
        self.connection = None;
        (self.welcomed, self.accepted) = (false, 0);
        self.run_until(report, |pusher| pusher.welcomed)?;
        Ok(self.instance.unwrap_or_default())
    }

    /// Forgets everything that was not pushed, so that a push starts again from its sources, on a new stream.
    pub fn forget(&mut self) {
        let stream = self.options.stream.wrapping_add(1);
        self.options.stream = stream;
        (self.ledger, self.connection, self.sending) = (Ledger::new(stream), None, None);
        (self.pieces, self.failure, self.welcomed) = (None, None, false);
        self.waiting.clear();
        self.sent_bytes = self.total_bytes;
    }

    /// How the guest is reached.
    #[must_use]
    pub const fn dialer(&self) -> &D {
        &self.dial
    }

    /// The run of the application that answered last.
    #[must_use]
    pub const fn instance(&self) -> Option<u64> {
        self.instance
    }

    /// Takes the results of finished reads.
    fn take_pieces(&mut self) -> Result<(), Error> {
        while let (Some(pieces), true) = (&self.pieces, self.waiting.is_empty()) {
            match pieces.try_recv() {
                Ok(source) => self.enqueue(source?),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => self.pieces = None,
            }
        }
        Ok(())
    }

    /// Pushes until every block is acknowledged. The connection stays for the next call.
    ///
    /// # Errors
    /// [`Error::Source`] if a source could not be read to its end, [`Error::Refused`] names what the application did
    /// not take, both once everything is through; else what ended it.
    pub fn run(&mut self, report: &mut Reporter<'_>) -> Result<Vec<Done>, Error> {
        self.accepted = 0;
        let is_done =
            |pusher: &Self| pusher.ledger.is_empty() && pusher.waiting.is_empty() && pusher.pieces.is_none();
        let done = self.run_until(report, is_done)?;
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let refused: Vec<_> = done.iter().filter(|done| !done.status.is_accepted()).collect();
        if refused.is_empty() {
            return Ok(done);
        }
        Err(Error::Refused(refused.into_iter().map(|done| (done.name.to_string(), done.status)).collect()))
    }

    fn run_until(
        &mut self,
        report: &mut Reporter<'_>,
        is_done: impl Fn(&Self) -> bool,
    ) -> Result<Vec<Done>, Error> {
        let mut done = Vec::new();
        // Read once an iteration.
        let mut now = Instant::now();
        let (mut moved, mut looked) = (now, now);
        let mut read = 0;
        let mut why = String::new();
        loop {
            self.take_pieces()?;
            if is_done(self) {
                return Ok(done);
            }
            if let Some(bytes) = self.pieces.as_ref().map(Pieces::bytes_read).filter(|bytes| *bytes != read) {
                (read, moved) = (bytes, now);
            }
            let limit = self.options.timeout.saturating_sub(now.saturating_duration_since(moved));
            if limit.is_zero() {
                return Err(self.timed_out(why));
            }
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.connect()?,
            };
            if self.is_worth_while() && self.fill(&mut connection, report)? {
                moved = now;
            }
            let wait = if self.pieces.is_some() { READING } else { LOOK };
            let news = connection.next(!self.outgoing.next().is_empty(), limit.min(wait));
            self.connection = Some(connection);
            now = Instant::now();
            match news {
                Some(News::Frames(frames)) => {
                    for frame in frames {
                        // A guest that has not noticed yet that the last sender died answers that one: it is asked
                        // again.
                        if !self.welcomed && frame.kind != Kind::Welcome {
                            why = self.interrupt(format!("the guest answers {:?}", frame.kind), report);
                            break;
                        }
                        moved = now;
                        done.extend(self.hear(&frame, report)?);
                    }
                }
                Some(News::Ended(because)) => {
                    why = self.interrupt(because, report);
                }
                None if !self.welcomed && now.saturating_duration_since(self.asked) >= self.answer => {
                    self.answer = (self.answer * 2).min(ANSWER.1);
                    why = self.interrupt("no answer to HELLO".into(), report);
                }
                None if now.saturating_duration_since(looked) >= LOOK => {
                    looked = now;
                    if !self.dial.is_alive() {
                        why = self.interrupt("the guest has gone".into(), report);
                    }
                }
                None => {}
            }
        }
    }

    /// The awaited event that did not come, and the connection's last message.
    fn timed_out(&mut self, why: String) -> Error {
        let idle = self.ledger.is_empty() && self.waiting.is_empty();
        if let Some(pieces) = self.pieces.as_ref().filter(|_| idle && self.welcomed) {
            let after = self.options.timeout.as_secs();
            let silent = io::Error::new(io::ErrorKind::TimedOut, format!("nothing to read for {after} s"));
            return Error::Source(pieces.name().to_owned(), silent);
        }
        let said = self.connection.take().map_or(why, |connection| connection.said());
        let awaited = if self.welcomed {
            "no acknowledgement"
        } else {
            "no answer from the guest (or another push is at work)"
        };
        Error::TimedOut { after: self.options.timeout, awaited, said }
    }

    fn connect(&mut self) -> Result<Connection, Error> {
        let way = self.dial.dial().map_err(|error| match error.kind() {
            io::ErrorKind::HostUnreachable => Error::NoSuchDomain(error.to_string()),
            io::ErrorKind::TimedOut => Error::TimedOut {
                after: self.options.timeout,
                awaited: "no answer from the guest (or another push is at work)",
                said: String::new(),
            },
            _ => Error::Tool("the channel".into(), error),
        })?;
        (self.welcomed, self.sending, self.asked) = (false, None, Instant::now());
        self.outgoing.clear();
        self.outgoing.push(&self.ledger.bound_hello());
        Ok(Connection::new(way, self.ledger.stream()))
    }

    /// Leaves the connection, says why, and rests before the next one.
    fn interrupt(&mut self, because: String, report: &mut Reporter<'_>) -> String {
        let said = self.connection.take().map(|connection| connection.said()).unwrap_or_default();
        let why = if said.is_empty() { because } else { format!("{because}: {said}") };
        report(Report::Interrupted(&why));
        std::thread::sleep(PAUSE);
        why
    }

    /// What a frame of the guest means.
    fn hear(&mut self, frame: &Frame, report: &mut Reporter<'_>) -> Result<Option<Done>, Error> {
        match self.ledger.receive(frame)? {
            Event::Welcome { completed, instance } => {
                let before = self.instance.replace(instance);
                if self.accepted > 0 && before.is_some_and(|before| before != instance) {
                    return Err(Error::Restarted(self.accepted));
                }
                (self.welcomed, self.answer) = (true, ANSWER.0);
                if self.options.resume && !self.skipped {
                    let skip = usize::try_from(completed).unwrap_or(usize::MAX).min(self.waiting.len());
                    self.total_bytes -= self.waiting.drain(..skip).map(|source| source.len).sum::<u64>();
                }
                self.skipped = true;
                report(Report::Connected { completed });
                Ok(None)
            }
            Event::Completed { seq, block, status } => {
                self.accepted += usize::from(status.is_accepted());
                let done = Done { name: block.name, seq, len: block.len, status };
                report(Report::Done(&done));
                Ok(Some(done))
            }
            Event::Stop { seq } => {
                // The rest of the block is not sent: the next connection begins after it.
                if self.sending.is_some() && self.ledger.last_seq() == Some(seq) {
                    self.connection = None;
                    self.sending = None;
                }
                Ok(None)
            }
        }
    }

    /// Gives the connection as much as it takes; whether it took anything.
    fn fill(&mut self, connection: &mut Connection, report: &mut Reporter<'_>) -> Result<bool, Error> {
        let mut has_moved = false;
        loop {
            if self.outgoing.next().is_empty() {
                self.gather()?;
            }
            let bytes = self.outgoing.next();
            // Without bytes to write no event is needed.
            let written = if bytes.is_empty() { 0 } else { connection.write(bytes) };
            if written == 0 {
                return Ok(has_moved);
            }
            has_moved = true;
            self.outgoing.advance(written);
            self.sent_bytes += u64::try_from(written).unwrap_or(0);
            report(Report::Sent(self.sent_bytes, self.total_bytes));
        }
    }

    /// The next bytes of the stream: several small blocks together, or a part of a large one.
    fn gather(&mut self) -> Result<(), Error> {
        while self.welcomed && self.outgoing.takes_more() {
            match self.sending.take() {
                Some(sending) => self.send_some(sending),
                None if self.begin()? => {}
                None => break,
            }
        }
        Ok(())
    }

    /// Moves a block on. If a source cannot be read to its end, the block is aborted.
    fn send_some(&mut self, sending: Sending) {
        self.sending = sending.some(&mut self.outgoing);
        if let Some(error) = self.sending.as_mut().and_then(Sending::take_failure) {
            let name = self.ledger.last_sent().map(|source| source.name.to_string()).unwrap_or_default();
            self.failure.get_or_insert(Error::Source(name, error));
        }
    }

    /// Whether filling the channel is worthwhile: a block is half sent, or half of the window has been
    /// answered. A small block for each answer would cost a switch to the guest and back for each.
    fn is_worth_while(&self) -> bool {
        self.sending.is_some()
            || !self.outgoing.next().is_empty()
            || self.ledger.under_way() <= self.ledger.window() / 2
    }

    /// Begins the next block, if the window is open.
    fn begin(&mut self) -> Result<bool, Error> {
        if self.ledger.next_to_send().is_none()
            && let Some(source) = self.waiting.pop_front()
        {
            self.ledger.enqueue(source);
        }
        let Some((seq, source)) = self.ledger.next_to_send() else { return Ok(false) };
        let sending = Sending::open(source).map_err(|error| Error::Source(source.name.to_string(), error))?;
        let frame = Frame { kind: Kind::Block, seq, length: source.len, aux: source.form.aux(source.part) };
        self.outgoing.push(&frame.to_bytes(&source.name));
        self.outgoing.push(source.name.as_bytes());
        self.ledger.sent();
        self.sending = Some(sending);
        Ok(true)
    }
}
