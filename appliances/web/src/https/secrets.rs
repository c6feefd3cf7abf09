//! Certificates and private keys that dom0 pushes: kept apart from content, checked, then in use.
//!
//! ```text
//!   block of the form Secret:   file NAME\n PEM …   file NAME\n PEM …   ─► tls::Identities ─► tls::Server
//! ```
//!
//! The bytes are in memory of their own, which is cleared when the block is done or given up. What is refused leaves the
//! certificates as they were.

use crate::publish::Inbox;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use datafront::block::{Application, BlockHead, Form, Part, ReceiverStats, Status, Streams};
use tls::{Identities, Refusal, RefusalReason, Secret, Server};
use zeroize::Zeroizing;

/// Bytes of a block at most: the files, and their names.
const MOST_BYTES: u64 = 80 * 1024;
/// What a line that begins a file begins with.
const FILE: &[u8] = b"file ";

/// What gets the pushed secrets.
#[derive(Debug)]
pub struct Secrets {
    /// `None` if the appliance serves without TLS.
    server: Option<Rc<Server>>,
    bytes: Zeroizing<Vec<u8>>,
    /// The cause of the last refusal.
    refusal: Rc<RefCell<Option<String>>>,
}

impl Secrets {
    /// Secrets for a server; for nobody, if there is none.
    #[must_use]
    pub fn new(server: Option<Rc<Server>>, refusal: Rc<RefCell<Option<String>>>) -> Self {
        Self { server, bytes: Zeroizing::default(), refusal }
    }

    fn refuse(&self, cause: &dyn core::fmt::Display, status: Status) -> Status {
        let text = format!("push of secrets refused: {cause}");
        kernel::log::warn!("{text}");
        *self.refusal.borrow_mut() = Some(text);
        status
    }

    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
        if self.server.is_none() {
            return Err(self.refuse(&"the command line has no app.tls=on", Status::NO_SECRETS));
        }
        if head.part != Part::Whole || head.len > MOST_BYTES {
            return Err(self.refuse(&"more than 80 KiB", Status::TOO_LARGE));
        }
        let len = usize::try_from(head.len).map_err(|_| Status::TOO_LARGE)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| Status::NO_ROOM)?;
        self.bytes = Zeroizing::new(bytes);
        Ok(())
    }

    /// Appends to memory that was reserved for all: nothing is moved, and no copy stays behind.
    fn data(&mut self, bytes: &[u8]) {
        let room = self.bytes.capacity().saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn finish(&mut self, unix: u64) -> Status {
        let bytes = core::mem::take(&mut self.bytes);
        let Some(server) = &self.server else { return Status::NO_SECRETS };
        let Some(files) = files(&bytes) else { return Status::NO_ROOM };
        let identities = match Identities::from_files(&files, unix) {
            Ok(identities) => identities,
            Err(refusal) => return self.refuse(&refusal, status(&refusal)),
        };
        for identity in identities.summary() {
            let (names, file) = (identity.names.join(", "), &identity.file);
            kernel::log::info!("certificate {file} for {names}, valid until {}", identity.not_after);
        }
        match server.set_identities(identities) {
            Ok(()) => Status::ACCEPTED,
            Err(error) => self.refuse(&error, Status::BAD_CONTENT),
        }
    }

    fn abandon(&mut self) {
        self.bytes = Zeroizing::default();
    }
}

/// The files of a block: one for each line that begins one. `None`: there is no memory for them.
fn files(bytes: &[u8]) -> Option<Vec<Secret>> {
    let mut files: Vec<Secret> = Vec::new();
    let (mut name, mut begin, mut at) = (None, 0, 0_usize);
    let mut end = |name: &mut Option<String>, bytes: Option<&[u8]>| -> Option<()> {
        if let (Some(name), Some(bytes)) = (name.take(), bytes) {
            let mut copy = Zeroizing::new(Vec::new());
            copy.try_reserve_exact(bytes.len()).ok()?;
            copy.extend_from_slice(bytes);
            files.try_reserve(1).ok()?;
            files.push(Secret { name, bytes: copy });
        }
        Some(())
    };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let after = at.saturating_add(line.len());
        if let Some(text) = line.strip_prefix(FILE) {
            end(&mut name, bytes.get(begin..at))?;
            name = Some(String::from_utf8_lossy(text.trim_ascii()).into_owned());
            begin = after;
        }
        at = after;
    }
    end(&mut name, bytes.get(begin..))?;
    Some(files)
}

const fn status(refusal: &Refusal) -> Status {
    match refusal.reason {
        RefusalReason::TooLarge | RefusalReason::ChainTooLong(_) => Status::TOO_LARGE,
        RefusalReason::NotPem | RefusalReason::BadCertificate => Status::NOT_PEM,
        RefusalReason::UnusableKey | RefusalReason::EncryptedKey => Status::UNUSABLE_KEY,
        RefusalReason::Nothing | RefusalReason::NoKey | RefusalReason::NoCertificate => Status::NO_PAIR,
        RefusalReason::Expired => Status::EXPIRED,
        RefusalReason::NotYetValid => Status::NOT_YET_VALID,
        RefusalReason::ChainOrder => Status::CHAIN_ORDER,
    }
}

/// What gets the blocks of a channel: content goes to the store, secrets do not.
#[derive(Debug)]
pub struct Receiving {
    inbox: Inbox,
    secrets: Secrets,
    /// The block under way is secret.
    secret: bool,
}

impl Receiving {
    /// Both.
    #[must_use]
    pub const fn new(inbox: Inbox, secrets: Secrets) -> Self {
        Self { inbox, secrets, secret: false }
    }

    /// The sender has gone.
    pub fn sender_gone(&self) {
        self.inbox.sender_gone();
    }
}

impl Application for Receiving {
    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
        self.secret = head.form == Form::Secret;
        if self.secret { self.secrets.begin(head) } else { self.inbox.begin(head) }
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Status> {
        if self.secret {
            self.secrets.data(bytes);
            return Ok(());
        }
        self.inbox.data(bytes)
    }

    fn finish(&mut self) -> Status {
        if self.secret { self.secrets.finish(self.inbox.now()) } else { self.inbox.finish() }
    }

    fn abandon(&mut self) {
        if self.secret {
            self.secrets.abandon();
        } else {
            self.inbox.abandon();
        }
    }

    fn completed(&mut self, streams: &Streams) {
        self.inbox.completed(streams);
    }

    fn progress(&mut self, stats: &ReceiverStats) {
        self.inbox.progress(stats);
    }
}

#[cfg(test)]
mod tests {
    use super::files;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn each_line_that_names_a_file_begins_one() {
        let shown = |bytes: &[u8]| -> Vec<_> {
            files(bytes).unwrap().iter().map(|file| (file.name.to_string(), file.bytes.to_vec())).collect()
        };
        let both = [("a.crt".to_string(), b"one\ntwo\n".to_vec()), ("b key".to_string(), b"three".to_vec())];
        assert_eq!(shown(b"file a.crt\none\ntwo\nfile b key\nthree"), both);
        assert_eq!(shown(b"before\nfile \n"), [(alloc::string::String::new(), Vec::new())]);
        assert_eq!((shown(b""), shown(b"no file")), (Vec::new(), Vec::new()));
        assert_eq!(shown("file x\n".repeat(1000).as_bytes()).len(), 1000);
    }
}
