//! Connections over TLS: the certificates, the sessions, and the secrets that a resume replaces.

use crate::guest::WebServer;
use alloc::format;
use alloc::rc::Rc;
use core::cell::Cell;
use core::future::{Future as _, poll_fn};
use core::pin::pin;
use core::task::Poll;
use kernel::System;
use kernel::ledger::{Consumer, Reservation};
use kernel::net::{Bytes, IpEndpoint, TcpStream};
use web::http::{Next, Port, Stream as _};
use web::https::Sessions;
use web::options::Options;

const SECOND_NS: u64 = 1_000_000_000;
/// What a call of a session takes at most while it lasts: a record in three forms.
const CALL_COST: usize = 3 * 17 * 1024;

/// What connections over TLS share.
#[derive(Debug)]
pub(crate) struct Secure {
    tls: Rc<tls::Server>,
    sessions: Rc<Sessions<(IpEndpoint, IpEndpoint)>>,
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

    /// Answers the requests that are there, and parks the connection or ends it.
    pub(crate) async fn attend(&self, server: &WebServer, stream: TcpStream) {
        let (peer, is_new) = (stream.peer(), stream.is_new());
        let key = (peer, stream.local());
        let mut secure = match self.sessions.open(stream, key, is_new) {
            Ok(secure) => secure,
            Err(error) => return kernel::log::debug!("{peer:?}: {error}"),
        };
        match server.serve_with(&mut secure, Port::Public, &self.lines, None).await {
            Ok(Next::Idle) => return secure.park(),
            Ok(Next::End) => {}
            Err(error) => kernel::log::debug!("{peer:?}: {error}"),
        }
        // What the stream does not take at once need not be sent: it is closed in any case.
        let mut close = pin!(secure.close());
        poll_fn(|context| Poll::Ready(close.as_mut().poll(context).is_ready())).await;
    }
}
