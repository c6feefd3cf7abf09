//! Connections over TLS: the certificates, the secrets that a resume replaces, and the end of a session.

use crate::guest::WebServer;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use kernel::System;
use kernel::ledger::{Account, Consumer, Reservation};
use kernel::net::TcpStream;
use web::https::TlsStream;

const SECOND_NS: u64 = 1_000_000_000;
/// What one call of a session takes at most, for its duration: a record in three forms.
const CALL_COST: usize = 3 * 17 * 1024;

/// What connections over TLS share.
#[derive(Debug)]
pub(crate) struct Secure {
    tls: Rc<tls::Server>,
    account: Account,
    /// For [`CALL_COST`]; `None` in a guest that does not have even that.
    _call: Option<Reservation>,
    /// Header lines of each reply.
    lines: String,
    /// Resumes after which the secrets were renewed.
    resumes: Cell<u32>,
}

impl Secure {
    pub(crate) fn new(system: &System, hsts_seconds: usize) -> Self {
        let account = system.ledger().open(Consumer::Appliance);
        let lines = match hsts_seconds {
            0 => String::new(),
            seconds => format!("Strict-Transport-Security: max-age={seconds}\r\n"),
        };
        kernel::log::info!(
            "https needs a certificate and its key: push --secret DIR --domain {}",
            system.name()
        );
        Self {
            tls: Rc::new(tls::Server::new(system.random_bytes())),
            _call: account.reserve(CALL_COST).ok(),
            account,
            lines,
            resumes: Cell::new(system.resumes()),
        }
    }

    pub(crate) fn tls(&self) -> Rc<tls::Server> {
        Rc::clone(&self.tls)
    }

    /// Tells TLS the time, and gives it another seed after a resume: there may be a copy of this guest.
    pub(crate) fn tell_time(&self, system: &System) {
        if self.resumes.replace(system.resumes()) != system.resumes() {
            self.tls.reseed(system.random_bytes());
        }
        let unix_ns = system.xen().machine.unix_time_ns().unwrap_or(0);
        self.tls.tick(system.since_boot() / SECOND_NS, unix_ns / SECOND_NS);
    }

    /// Serves a connection until its end.
    pub(crate) async fn connection(&self, server: &WebServer, mut stream: TcpStream) {
        let peer = stream.peer();
        let mut secure = match TlsStream::new(&self.tls, &mut stream, &self.account) {
            Ok(secure) => secure,
            Err(error) => return kernel::log::debug!("{peer:?}: {error}"),
        };
        if let Err(error) = server.serve_with(&mut secure, &self.lines).await {
            kernel::log::debug!("{peer:?}: {error}");
        }
        // What the stream does not take at once it need not have: it is closed in any case.
        let mut close = pin!(secure.close());
        poll_fn(|context| {
            let _ = close.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
    }
}
