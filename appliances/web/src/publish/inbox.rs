//! Pushed blocks become published files: a file replaces the one of its name, a tree everything below its name.
//!
//! ```text
//!   begin ─► Incoming ─ data … ─► finish ─ whole, or the last part ─► published, in one step
//!     ▲                              └ more parts follow ─► incomplete, by stream ─┐
//!     └───────────────── the next part of the stream goes on with it ◄─────────────┘
//! ```
//!
//! Nothing is published before it is complete. Memory for a block is taken at its beginning, as much as its head
//! says; if there is no room, the block is refused before its bytes arrive. The parts of a stream whose sender has
//! gone stay for a sender that continues it, until another block needs their room.

use super::archive::{self, Entry, Refused};
use super::headers::HeaderRules;
use super::name;
use super::redirects::Redirects;
use super::store::{File, HEADERS_FILE, REDIRECTS_FILE, Rules, Store};
use crate::content::Content;
use crate::memory::NoRoom;
use crate::site::Admin;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use datafront::block::wire::Sum;
use datafront::block::{Application, BlockHead, Form, Part, ReceiverStats, Status};

/// What a file of rules changes in the rules of its site.
type RulesChange = Box<dyn FnOnce(&mut Rules)>;

/// Incomplete streams of a channel at most; the oldest makes room for another.
const MOST_INCOMPLETE: usize = 4;
/// What a published file costs besides its bytes and its name.
const FILE_COST: usize = 256;
/// Bytes of a file of rules at most.
const LONGEST_RULES: usize = 64 * 1024;

/// Takes the blocks of one channel for a store.
pub struct Inbox {
    store: Rc<Store>,
    owner: u64,
    stats: Rc<Cell<ReceiverStats>>,
    /// The cause of the last refusal.
    refusal: Rc<RefCell<Option<String>>>,
    /// The wall clock, seconds since 1970; 0 if it is unknown.
    clock: Box<dyn Fn() -> u64>,
    current: Option<Incoming>,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("owner", &self.owner)
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

/// The received part of a block, and the parts before it.
#[derive(Debug)]
pub(super) struct Incoming {
    owner: u64,
    stream: u64,
    path: String,
    form: Form,
    part: Part,
    content: Content,
    /// Bytes of the parts before this block.
    before: usize,
    /// Whether the sender has gone.
    pub(super) dead: bool,
}

/// Why complete content is not published.
enum Unpublished {
    Archive(Refused),
    Rules(String),
    /// The guest's own pages are at this path.
    Taken(String),
    NoRoom,
}

impl Unpublished {
    const fn status(&self) -> Status {
        match self {
            Self::Archive(Refused::Type { .. }) => Status::UNSUPPORTED,
            Self::Archive(Refused::Memory) | Self::NoRoom => Status::NO_ROOM,
            Self::Taken(_) => Status::BAD_NAME,
            Self::Archive(_) | Self::Rules(_) => Status::BAD_CONTENT,
        }
    }
}

impl fmt::Display for Unpublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(refused) => refused.fmt(f),
            Self::Rules(error) => f.write_str(error),
            Self::Taken(path) => {
                write!(
                    f,
                    "{path}: the guest's own pages are there; choose another place for them with app.admin="
                )
            }
            Self::NoRoom => f.write_str("no room for the names of the files"),
        }
    }
}

impl Inbox {
    /// An inbox for a store, which keeps `stats` up to date.
    #[must_use]
    pub fn new(store: Rc<Store>, stats: Rc<Cell<ReceiverStats>>) -> Self {
        let owner = store.new_owner();
        Self { store, owner, stats, refusal: Rc::default(), clock: Box::new(|| 0), current: None }
    }

    /// With the wall clock, for the modification times of files.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> u64 + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// With a place for the cause of the last refusal.
    #[must_use]
    pub fn with_refusal(self, refusal: Rc<RefCell<Option<String>>>) -> Self {
        Self { refusal, ..self }
    }

    /// The wall clock, seconds since 1970; 0 if it is unknown.
    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// The sender has gone: its incomplete streams may make room for others.
    pub fn sender_gone(&self) {
        let mut incomplete = self.store.incomplete.borrow_mut();
        incomplete
            .iter_mut()
            .filter(|stream| stream.owner == self.owner)
            .for_each(|stream| stream.dead = true);
    }

    fn refuse(&self, path: &str, cause: &dyn fmt::Display, status: Status) -> Status {
        let name = if path.is_empty() { "/" } else { path };
        let text = format!("push of {name} refused: {cause}");
        kernel::log::warn!("{text}");
        *self.refusal.borrow_mut() = Some(text);
        status
    }

    /// The parts before this one; nothing for a beginning.
    fn beginning(&self, head: &BlockHead<'_>, path: &str) -> Result<Content, Status> {
        let mut incomplete = self.store.incomplete.borrow_mut();
        let at = incomplete.iter().position(|kept| kept.owner == self.owner && kept.stream == head.stream);
        let kept = at.map(|at| incomplete.remove(at));
        match kept {
            _ if !head.part.continues() => Ok(Content::new(self.store.memory())),
            Some(kept) if kept.path == path && kept.form == head.form => Ok(kept.content),
            _ => Err(Status::NO_BEGINNING),
        }
    }

    fn keep(&self, incoming: Incoming) {
        let mut incomplete = self.store.incomplete.borrow_mut();
        let own = |kept: &Incoming| kept.owner == self.owner;
        if incomplete.iter().filter(|kept| own(kept)).count() >= MOST_INCOMPLETE
            && let Some(oldest) = incomplete.iter().position(own)
        {
            incomplete.remove(oldest);
        }
        incomplete.push(incoming);
    }

    /// Makes room for a block: first of streams whose sender has gone, then, if the operator says so, of the content
    /// that this block replaces.
    fn reserve(
        &self,
        content: &mut Content,
        len: usize,
        head: &BlockHead<'_>,
        path: &str,
    ) -> Result<(), NoRoom> {
        if content.reserve(len).is_ok() {
            return Ok(());
        }
        self.store.make_room(len);
        match content.reserve(len) {
            Err(NoRoom::Now) if self.store.options.replace_first && !head.part.continues() => {
                self.store.publish(|revision| match head.form {
                    Form::Tree => revision.remove_below(&format!("{path}/")),
                    Form::Bytes | Form::Secret | Form::Append => revision.remove(path),
                });
                content.reserve(len)
            }
            outcome => outcome,
        }
    }

    fn no_room(&self, path: &str, len: usize, why: NoRoom) -> Status {
        let memory = self.store.memory();
        let (limit, used) = (memory.limit(), memory.used());
        match why {
            NoRoom::Never => {
                let cause = format!(
                    "{len} bytes are more than the whole budget of {limit}; give the guest more memory"
                );
                self.refuse(path, &cause, Status::TOO_LARGE)
            }
            NoRoom::Now => {
                let cause = format!(
                    "{len} bytes beside {used} in use are more than the budget of {limit}, or than the heap; old and new \
                     content must fit together, app.replace=first removes the old content first"
                );
                self.refuse(path, &cause, Status::NO_ROOM)
            }
        }
    }

    fn publish(&self, incoming: Incoming) -> Result<(), Unpublished> {
        let Incoming { path, form, mut content, .. } = incoming;
        let now = (self.clock)();
        let entries = match form {
            Form::Bytes => Vec::from([Entry { path: path.clone(), range: 0..content.len(), modified: now }]),
            Form::Tree => archive::files(&content, &path).map_err(Unpublished::Archive)?,
            Form::Secret | Form::Append => Vec::new(),
        };
        let cost = entries
            .iter()
            .fold(0_usize, |sum, entry| sum.saturating_add(entry.path.len()).saturating_add(FILE_COST));
        content.charge(cost).map_err(|_| Unpublished::NoRoom)?;
        if let Some(taken) = entries.iter().find(|entry| self.is_taken(&entry.path)) {
            return Err(Unpublished::Taken(taken.path.clone()));
        }
        let rules = self.rules(&content, &entries)?;
        let data = content.sealed();
        self.store.publish(|revision| {
            if form == Form::Tree {
                revision.remove_below(&format!("{path}/"));
            }
            for Entry { path, range, modified } in entries {
                let etag = etag(&data, &range);
                // Never later than the reply's own date (RFC 9110, 8.8.2.1).
                let modified = if now > 0 { modified.min(now) } else { 0 };
                revision.insert(path, File { data: Rc::clone(&data), range, etag, modified });
            }
            for (root, change) in rules {
                revision.set_rules(root, change);
            }
        });
        Ok(())
    }

    /// Whether the guest's own pages are at a path.
    fn is_taken(&self, path: &str) -> bool {
        matches!(self.store.admin(), Admin::Path(prefix) if path.starts_with(prefix.as_str()))
    }

    /// The files of rules among these, parsed, by the site that they are for.
    fn rules(&self, content: &Content, entries: &[Entry]) -> Result<Vec<(String, RulesChange)>, Unpublished> {
        let mut found: Vec<(String, RulesChange)> = Vec::new();
        for Entry { path, range, .. } in entries {
            let root = self.store.root_of(path);
            let file = path.strip_prefix(root).unwrap_or_default();
            if !matches!(file, HEADERS_FILE | REDIRECTS_FILE) {
                continue;
            }
            // Parsed rules take about as much again as their text.
            let bytes = (range.len() <= LONGEST_RULES).then(|| content.copy(range.clone())).flatten();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let text =
                text.ok_or_else(|| Unpublished::Rules(format!("{path} is no text of at most 64 KiB")))?;
            found.push((
                root.to_string(),
                if file == HEADERS_FILE {
                    let headers = HeaderRules::parse(&text).map_err(Unpublished::Rules)?;
                    Box::new(move |rules: &mut Rules| rules.headers = headers)
                } else {
                    let redirects = Redirects::parse(&text).map_err(Unpublished::Rules)?;
                    Box::new(move |rules: &mut Rules| rules.redirects = redirects)
                },
            ));
        }
        Ok(found)
    }
}

fn etag(data: &Content, range: &core::ops::Range<usize>) -> String {
    let mut sum = Sum::default();
    data.runs(range.clone()).for_each(|run| sum.add(run));
    format!("\"{:08x}-{:x}\"", sum.value(), range.len())
}

impl Application for Inbox {
    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
        // Secrets are no content, and what is published is replaced as a whole.
        if matches!(head.form, Form::Secret | Form::Append) {
            return Err(Status::BAD_FORM);
        }
        let path = name::from_push(head.name).ok_or(Status::BAD_NAME)?;
        if path.is_empty() && head.form == Form::Bytes {
            return Err(Status::BAD_NAME);
        }
        let len = usize::try_from(head.len).map_err(|_| Status::TOO_LARGE)?;
        let mut content = self.beginning(head, &path)?;
        let before = content.len();
        if let Err(why) = self.reserve(&mut content, len, head, &path) {
            return Err(self.no_room(&path, len, why));
        }
        let (stream, form, part, owner) = (head.stream, head.form, head.part, self.owner);
        self.current = Some(Incoming { owner, stream, path, form, part, content, before, dead: false });
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Status> {
        if let Some(incoming) = &mut self.current {
            incoming.content.extend(bytes);
        }
        Ok(())
    }

    fn finish(&mut self) -> Status {
        let Some(incoming) = self.current.take() else { return Status::BAD_CONTENT };
        if incoming.part.has_more() {
            self.keep(incoming);
            return Status::ACCEPTED;
        }
        let path = incoming.path.clone();
        match self.publish(incoming) {
            Ok(()) => Status::ACCEPTED,
            Err(why) => self.refuse(&path, &why, why.status()),
        }
    }

    /// The block may come again: the parts before it stay.
    fn abandon(&mut self) {
        let Some(mut incoming) = self.current.take() else { return };
        if incoming.part.continues() {
            incoming.content.truncate(incoming.before);
            self.keep(incoming);
        }
    }

    fn progress(&mut self, stats: &ReceiverStats) {
        self.stats.set(*stats);
    }
}
