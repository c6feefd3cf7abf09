//! Connections over TLS: the certificates, the sessions, and the secrets that a resume replaces.

use alloc::format;
use alloc::rc::Rc;
use core::cell::Cell;
use kernel::System;
use kernel::ledger::{Consumer, Reservation};
use kernel::net::{Bytes, IpEndpoint, TcpStream};
use kernel::stats::numbers::Group;
use web::https::{Sessions, TlsStream};
use web::options::Options;

const SECOND_NS: u64 = 1_000_000_000;
/// What a call of a session takes at most while it lasts: a record in three forms.
const CALL_COST: usize = 3 * 17 * 1024;

/// What names a connection: the two ends.
type Key = (IpEndpoint, IpEndpoint);

/// What connections over TLS share.
#[derive(Debug)]
pub(crate) struct Secure {
    tls: Rc<tls::Server>,
    sessions: Rc<Sessions<Key>>,
    /// For [`CALL_COST`]; `None` in a guest that does not have even that.
    _call: Option<Reservation>,
    /// Header lines of each reply.
    lines: Bytes,
    /// Seconds for which a connection may be parked.
    idle_seconds: u64,
    /// Resumes after which the secrets were renewed.
    resumes: Cell<u32>,
}

impl Secure {
    pub(crate) fn new(system: &System, options: &Options) -> Self {
        let account = system.ledger().open(Consumer::Appliance);
        let tls = Rc::new(tls::Server::new(system.random_bytes()));
        let lines = match options.hsts_seconds {
            0 => Bytes::new(),
            seconds => format!("Strict-Transport-Security: max-age={seconds}\r\n").into(),
        };
        kernel::log::info!(
            "https needs a certificate and its key: push --secret DIR --domain {}",
            system.name()
        );
        Self {
            sessions: Rc::new(Sessions::new(Rc::clone(&tls), system.ledger().open(Consumer::Appliance))),
            tls,
            _call: account.reserve(CALL_COST).ok(),
            lines,
            idle_seconds: u64::try_from(options.idle_seconds).unwrap_or(u64::MAX),
            resumes: Cell::new(system.resumes()),
        }
    }

    pub(crate) fn tls(&self) -> Rc<tls::Server> {
        Rc::clone(&self.tls)
    }

    /// Tells the time, and gives TLS another seed after a resume: there may be a copy of this guest.
    pub(crate) fn tell_time(&self, system: &System) {
        if self.resumes.replace(system.resumes()) != system.resumes() {
            self.tls.reseed(system.random_bytes());
        }
        let unix_ns = system.xen().machine.unix_time_ns().unwrap_or(0);
        let now = system.since_boot() / SECOND_NS;
        self.tls.tick(now, unix_ns / SECOND_NS);
        self.sessions.tick(now, self.idle_seconds);
    }

    /// The numbers of sessions.
    pub(crate) fn numbers(&self) -> Group {
        web::site::https(self.sessions.parked(), &self.sessions.counts())
    }

    /// Header lines of each reply.
    pub(crate) const fn lines(&self) -> &Bytes {
        &self.lines
    }

    /// The session of a connection, unless there is no certificate, or no memory.
    pub(crate) fn open(&self, stream: TcpStream) -> Option<TlsStream<TcpStream, Key>> {
        let (peer, is_new) = (stream.peer(), stream.is_new());
        let key = (peer, stream.local());
        let opened = self.sessions.open(stream, key, is_new);
        opened.inspect_err(|error| kernel::log::debug!("{peer:?}: {error}")).ok()
    }
}
