//! What happens to a block between its first byte and its acknowledgement.
//!
//! ```text
//!   begin ─► does the sink have it? is there room? ─► data ─► incoming/<stream> ─► finish
//!     whole, or the last part:  the sink is not sure? "handing on" is recorded ─► sink ─► completed
//!     appended: to the end of a file, sync ──────────────────────────────────────────► completed
//!     a part before the last:   sync ──────────────────────────────────────────────────► completed
//!   record: the sink shows all blocks that were completed since the last time ─► one state for all ─► their ACKs
//! ```
//!
//! A block whose file the sink has not taken is recorded before its stream's next block begins: that one would overwrite it.
//!
//! A failure that is not the block's own (a disk that cannot be written, a program that does not start) stops everything:
//! nothing more is acknowledged, and the receiver goes on from what is recorded, as if it had been killed there.

use crate::disk::{Disk, is_full};
use crate::error::Error;
use crate::sink::{Block, Sink};
use crate::state::{Log, Parts, State, StateFile};
use datafront::block::{Application, BlockHead, Form, Part, Receiver, Status, Streams};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Blocks that are recorded together, at most: a sink has to remember them until then.
pub const MAX_TOGETHER: usize = 16;

/// A block that was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its name.
    pub name: String,
    /// Its stream.
    pub stream: u64,
    /// Its number.
    pub seq: u64,
    /// Its bytes.
    pub len: u64,
    /// What was acknowledged.
    pub status: Status,
}

/// The block that is coming.
#[derive(Debug)]
struct Current {
    block: Block,
    part: Part,
    /// The bytes of this block alone.
    len: u64,
    come: u64,
    /// `None`: the sink has it already.
    file: Option<File>,
}

/// Takes blocks for a sink, and records what it has.
#[derive(Debug)]
pub struct Keeper {
    disk: Disk,
    incoming: PathBuf,
    /// It, open: what is free is asked for each block.
    incoming_folder: File,
    file: StateFile,
    state: State,
    sink: Box<dyn Sink>,
    current: Option<Current>,
    /// What the next `completed` is about.
    done: Option<Done>,
    /// Files to be removed once it is recorded that the sink has what is in them.
    used: Vec<PathBuf>,
    /// Blocks that were completed and are not recorded.
    behind: usize,
    events: Vec<Done>,
    failure: Option<Error>,
    /// A full disk is a failure of ours: the sender keeps the block.
    waits_for_room: bool,
}

impl Keeper {
    /// With its state in this folder, which nobody else uses meanwhile.
    ///
    /// # Errors
    /// The folder cannot be used, or its state is damaged.
    pub fn open(folder: &Path, sink: Box<dyn Sink>, disk: Disk) -> Result<Self, Error> {
        let mut file = StateFile::open(folder, &disk)?;
        let incoming = folder.join("incoming");
        disk.create_folders(&incoming).map_err(Error::at(&incoming))?;
        let state = file.load(&disk)?;
        let incoming_folder = File::open(&incoming).map_err(Error::at(&incoming))?;
        Ok(Self {
            disk,
            incoming,
            incoming_folder,
            file,
            state,
            sink,
            current: None,
            done: None,
            used: Vec::new(),
            behind: 0,
            events: Vec::new(),
            failure: None,
            waits_for_room: false,
        })
    }

    /// With a full disk as a failure, so that the block stays with its sender; otherwise it refuses the block.
    #[must_use]
    pub fn waiting_for_room(self) -> Self {
        Self { waits_for_room: true, ..self }
    }

    /// A receiver that goes on where the state on disk is: at the start, and after a failure.
    ///
    /// # Errors
    /// As for [`Keeper::open`].
    pub fn receiver(&mut self) -> Result<Receiver, Error> {
        (self.current, self.done, self.failure, self.behind) = (None, None, None, 0);
        self.used.clear();
        self.events.clear();
        self.state = self.file.load(&self.disk)?;
        self.cut_logs()?;
        let streams = Streams::load(&self.state.streams).unwrap_or_default();
        Ok(Receiver::with_streams(self.state.instance, streams))
    }

    /// Records the blocks that were completed since the last time, in one step. They may be acknowledged then, unless there is
    /// a failure.
    pub fn record(&mut self) {
        if self.failure.is_some() || std::mem::take(&mut self.behind) == 0 {
            return;
        }
        if let Err(error) = self.save() {
            self.failure = Some(error);
            return;
        }
        for used in self.used.drain(..) {
            let _ = self.disk.remove(&used);
        }
        self.failure = self.sink.recorded(&self.disk).err().map(|error| self.sink_failed(error));
    }

    /// Blocks that were completed since the last [`Keeper::take_done`].
    #[must_use]
    pub const fn nr_done(&self) -> usize {
        self.events.len()
    }

    /// Puts the state on the medium. What it calls completed is where it belongs before.
    fn save(&mut self) -> Result<(), Error> {
        self.sink.publish(&self.disk).map_err(|error| self.sink_failed(error))?;
        self.file.save(&self.state, &self.disk)
    }

    fn sink_failed(&self, error: io::Error) -> Error {
        Error::Sink(self.sink.to_string(), error)
    }

    /// The error that ended it, if any. A new receiver is needed then.
    pub const fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    /// Blocks that were completed since the last call.
    pub fn take_done(&mut self) -> std::vec::Drain<'_, Done> {
        self.events.drain(..)
    }

    /// Name, bytes that have come, and bytes of the block that is coming.
    #[must_use]
    pub fn coming(&self) -> Option<(&str, u64, u64)> {
        self.current.as_ref().map(|current| (current.block.name.as_str(), current.come, current.len))
    }

    /// Cuts off what was appended and not recorded: it comes again.
    fn cut_logs(&self) -> Result<(), Error> {
        for log in &self.state.logs {
            let Some(path) = self.sink.log(&named(&log.name)) else { continue };
            // A file that was removed or exchanged meanwhile is somebody else's now.
            let found = path.symlink_metadata().ok().filter(|found| found.is_file());
            if found.is_some_and(|found| found.ino() == log.inode && found.len() > log.len) {
                self.disk.truncate(&path, log.len).map_err(Error::at(&path))?;
            }
        }
        Ok(())
    }

    /// Adds a block to the end of a file. Its length before the first block is recorded before that is written.
    fn append(&mut self, block: &Block, from: &Path, to: &Path) -> Result<(), Error> {
        let fail = || Error::at(to);
        // Blocks of before are seen before this one.
        self.sink.publish(&self.disk).map_err(|error| self.sink_failed(error))?;
        self.disk.create_folders(to.parent().unwrap_or(to)).map_err(fail())?;
        let is_new = !to.exists();
        let file = File::options().create(true).append(true).open(to).map_err(fail())?;
        let found = file.metadata().map_err(fail())?;
        let before = Log { inode: found.ino(), len: found.len(), name: block.name.clone() };
        if !self.state.logs.contains(&before) {
            self.state.note_log(before.clone());
            self.save()?;
        }
        self.disk.append(from, &file).map_err(fail())?;
        self.disk.sync(&file).map_err(fail())?;
        if is_new {
            self.disk.sync_folder(to.parent().unwrap_or(to)).map_err(fail())?;
        }
        self.state.note_log(Log { len: before.len.saturating_add(block.len), ..before });
        Ok(())
    }

    /// Where a stream's bytes go.
    fn place(&self, stream: u64) -> PathBuf {
        self.incoming.join(format!("{stream:016x}"))
    }

    /// What an error means for the block: a full disk refuses it, everything else is a failure of ours.
    fn refusal(&mut self, error: io::Error, place: &Path) -> Status {
        if self.waits_for_room || !is_full(&error) {
            self.failure.get_or_insert(Error::Disk(place.to_owned(), error));
        }
        Status::NO_ROOM
    }

    /// The file for a block: a new one, or the parts that are there.
    fn open_file(&mut self, block: &mut Block, part: Part, len: u64) -> Result<File, Status> {
        let place = self.place(block.stream);
        if self.used.contains(&place) {
            self.record();
            if self.failure.is_some() {
                return Err(Status::NO_ROOM);
            }
        }
        if !self.disk.has_room(&self.incoming_folder, len) {
            let full = io::Error::new(io::ErrorKind::StorageFull, format!("no room for {len} bytes"));
            return Err(self.refusal(full, &self.incoming.clone()));
        }
        if !part.continues() {
            self.state.forget(block.stream);
            return self.disk.create(&place).map_err(|error| self.refusal(error, &place));
        }
        let parts = self.state.parts(block.stream, &block.name, block.form);
        block.len = parts.ok_or(Status::NO_BEGINNING)?.len;
        match self.disk.reopen(&place, block.len) {
            Ok(file) => Ok(file),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
                Err(Status::NO_BEGINNING)
            }
            Err(error) => Err(self.refusal(error, &place)),
        }
    }

    fn start(&mut self, block: &mut Block, head: &BlockHead<'_>) -> Result<Option<File>, Status> {
        // Secrets are for appliances that keep them apart; here each block ends up in a file.
        if block.form == Form::Secret {
            return Err(Status::NO_SECRETS);
        }
        self.sink.look(block)?;
        if !head.part.has_more() {
            match self.sink.has(block) {
                Ok(true) => return Ok(None),
                Ok(false) => {}
                Err(error) => return Err(self.refusal(error, &self.incoming.clone())),
            }
        }
        self.open_file(block, head.part, head.len).map(Some)
    }

    /// The sink gets the whole of it.
    fn hand_on(&mut self, mut block: Block, file: Option<File>) -> Status {
        let place = self.place(block.stream);
        let key = (block.stream, block.seq);
        if !self.sink.is_sure() {
            block.again = self.state.handing_on.replace(key) == Some(key);
            if let Err(error) = self.save() {
                self.failure.get_or_insert(error);
                return Status::NO_ROOM;
            }
        }
        let log = self.sink.log(&block).filter(|_| block.form == Form::Append);
        let came = file.is_some();
        let result = match (log, file) {
            (Some(log), _) => {
                if let Err(error) = self.append(&block, &place, &log) {
                    self.failure.get_or_insert(error);
                    return Status::NO_ROOM;
                }
                Ok(Status::ACCEPTED)
            }
            (None, Some(file)) => self.sink.deliver(&self.disk, &block, &file, &place),
            (None, None) => self.sink.settle(&self.disk, &block).map(|()| Status::ACCEPTED),
        };
        let status = match result {
            Ok(status) => status,
            Err(error) if is_full(&error) && !self.waits_for_room => Status::NO_ROOM,
            Err(error) => {
                let failure = self.sink_failed(error);
                self.failure.get_or_insert(failure);
                return Status::NO_ROOM;
            }
        };
        self.state.handing_on = None;
        self.state.forget(block.stream);
        let is_taken = came && status.is_accepted() && self.sink.takes_file(block.form);
        if !is_taken && place.symlink_metadata().is_ok() {
            self.used.push(place);
        }
        status
    }

    /// Bytes of a part are kept for those that follow.
    fn keep_part(&mut self, block: &Block, file: Option<&File>) -> Status {
        let place = self.place(block.stream);
        let Some(file) = file else { return Status::NO_BEGINNING };
        if let Err(error) = self.disk.sync(file) {
            return self.refusal(error, &place);
        }
        let Block { stream, form, len, ref name, .. } = *block;
        if let Some(oldest) = self.state.keep(Parts { stream, form, len, name: name.clone() }) {
            let _ = self.disk.remove(&self.place(oldest.stream));
        }
        Status::ACCEPTED
    }

    /// The block is over; what is said of it when it is recorded.
    fn over(&mut self, current: Current, status: Status) -> Status {
        let Current { block: Block { name, stream, seq, .. }, len, .. } = current;
        self.done = Some(Done { name, stream, seq, len, status });
        status
    }
}

/// A block of which only the name counts.
fn named(name: &str) -> Block {
    Block { name: name.to_owned(), stream: 0, seq: 0, form: Form::Append, len: 0, again: false }
}

impl Application for Keeper {
    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
        let mut block = Block {
            name: head.name.to_owned(),
            stream: head.stream,
            seq: head.seq,
            form: head.form,
            len: 0,
            again: false,
        };
        if self.behind >= MAX_TOGETHER {
            self.record();
        }
        // After a failure nothing of what still comes on this connection counts.
        let started = match &self.failure {
            Some(_) => Err(Status::NO_ROOM),
            None => self.start(&mut block, head),
        };
        let (file, status) = started.map_or_else(|status| (None, Some(status)), |file| (file, None));
        let current = Current { block, part: head.part, len: head.len, come: 0, file };
        match status {
            Some(status) => Err(self.over(current, status)),
            None => {
                self.current = Some(current);
                Ok(())
            }
        }
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Status> {
        let Some(mut current) = self.current.take() else { return Err(Status::NO_ROOM) };
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        current.come = current.come.saturating_add(len);
        current.block.len = current.block.len.saturating_add(len);
        let written = current.file.as_ref().map_or(Ok(()), |file| self.disk.write(file, bytes));
        if let Err(error) = written {
            let place = self.place(current.block.stream);
            let status = self.refusal(error, &place);
            return Err(self.over(current, status));
        }
        self.current = Some(current);
        Ok(())
    }

    fn finish(&mut self) -> Status {
        let Some(mut current) = self.current.take() else { return Status::NO_ROOM };
        let file = current.file.take();
        let status = if current.part.has_more() {
            self.keep_part(&current.block, file.as_ref())
        } else {
            self.hand_on(current.block.clone(), file)
        };
        self.over(current, status)
    }

    fn abandon(&mut self) {
        // What has come of it is cut off again when the stream goes on. (Or the sender has given it up: then it is completed.)
        if let Some(current) = self.current.take() {
            self.over(current, Status::ABORTED);
        }
    }

    fn completed(&mut self, streams: &Streams) {
        if self.failure.is_some() {
            return;
        }
        // Parts that follow a refused one would leave a hole.
        if let Some(refused) = self.done.as_ref().filter(|done| !done.status.is_accepted()) {
            self.state.forget(refused.stream);
        }
        streams.save(&mut self.state.streams);
        self.behind = self.behind.saturating_add(1);
        self.events.extend(self.done.take());
    }
}
