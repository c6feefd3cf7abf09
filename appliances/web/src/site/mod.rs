//! The guest's own pages, and pushed files.
//!
//! | page | what | for whom |
//! |---|---|---|
//! | `status` | the status as a page that updates itself | people |
//! | `status.json` | the status, see `STATUS.md` | programs, and the page |
//! | `metrics` | the same for Prometheus (text format 0.0.4) | monitoring |
//! | `healthz` | 200 with a link and an address, else 503 and the cause | load balancers |
//! | `readyz` | 200 if there is memory for more work too | load balancers |
//! | `1k` | 1024 bytes that never change | benchmarks |
//! | `debug/pcap` | the frames of some seconds, see [`capture`]; never where everybody comes unasked | operators |
//!
//! Where they are is the operator's choice, [`Admin`]. A guest implements [`Source`].

pub mod capture;
pub mod health;
pub mod json;
mod markup;
pub mod metrics;
pub mod page;
pub mod snapshot;
pub mod status;
mod tiles;
mod units;

use crate::content::Content;
use crate::http::server::{Context, Port};
use crate::http::{Code, Fixed, HttpCounts, Moment, Refusal, Reply, Request, Site};
use crate::https::HttpsCounts;
use crate::memory::Memory;
use crate::publish::Store;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use capture::{Capture, Frames, Wish};
use core::cell::Cell;
use status::{Group, Status};

/// The source of the status.
pub trait Source {
    /// The guest now. The site adds the group `http`.
    fn status(&self) -> Status;

    /// The interface whose frames can be captured.
    fn frames(&self) -> Option<Rc<dyn Frames>> {
        None
    }
}

/// Where the own pages are, `app.admin=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// On a port of their own; on the public port only until something is published.
    Port(u16),
    /// On the public port below this path, which begins and ends with `/`. Nothing can be published there.
    Path(String),
    /// Nowhere.
    Off,
}

/// The status pages and the pushed files.
#[derive(Debug)]
pub struct StatusSite<S> {
    source: S,
    kilobyte: Fixed,
    store: Rc<Store>,
    /// For pages that are generated.
    replies: Rc<Memory>,
    /// A capture is in progress.
    capturing: Rc<Cell<bool>>,
}

/// 1024 bytes of text: 16 lines of 64.
static KILOBYTE: [u8; 1024] = kilobyte();

const fn kilobyte() -> [u8; 1024] {
    const LINE: &[u8; 64] = b"A pool of pages, granted once: rx and tx. A body is 1024 bytes.\n";
    let mut lines = [[0; 64]; 16];
    let mut rest: &mut [[u8; 64]] = &mut lines;
    while let Some((line, others)) = rest.split_first_mut() {
        *line = *LINE;
        rest = others;
    }
    let mut text = [0; 1024];
    text.copy_from_slice(lines.as_flattened());
    text
}

/// The numbers of the server.
#[must_use]
pub fn http(serving: u64, waiting: u64, counts: &HttpCounts) -> Group {
    Group::new("http", "HTTP")
        .gauges([
            ("serving", "Connections with a request in progress.", serving),
            ("waiting", "Requests that wait for their rest, or for their client. Each has a task.", waiting),
        ])
        .counters(counts.iter())
}

/// The numbers of the server over TLS.
#[must_use]
pub fn https(parked: usize, counts: &HttpsCounts) -> Group {
    let parked = u64::try_from(parked).unwrap_or(u64::MAX);
    Group::new("https", "HTTP over TLS")
        .gauges([("parked", "Sessions of idle connections.", parked)])
        .counters(counts.iter())
}

impl<S: Source> StatusSite<S> {
    /// A site with the files of a store, whose own pages take their memory from `replies`.
    #[must_use]
    pub fn new(source: S, store: Rc<Store>, replies: Rc<Memory>) -> Self {
        let kilobyte = Fixed::new("text/plain; charset=utf-8", "", &KILOBYTE);
        Self { store, source, replies, kilobyte, capturing: Rc::default() }
    }

    fn status(&self, context: &Context<'_>) -> Status {
        let mut status = self.source.status();
        status.groups.0.push(http(context.serving(), context.waiting(), &context.counts()));
        status
    }

    /// The own page with this name.
    fn own(&self, name: &[u8], context: &Context<'_>) -> Option<Rc<Reply>> {
        let now = context.now;
        Some(Rc::new(match name {
            b"1k" => return Some(self.kilobyte.reply(now)),
            b"healthz" => health::reply(health::alive(&self.status(context)), now),
            b"readyz" => health::reply(health::ready(&self.status(context)), now),
            b"status.json" => {
                let mut text = Content::new(&self.replies);
                let written = json::write(&mut text, &self.status(context)).is_ok();
                fresh("application/json", FRESH, written.then_some(text), now)
            }
            b"metrics" => {
                let text = metrics::text(Content::new(&self.replies), &self.status(context));
                fresh("text/plain; version=0.0.4; charset=utf-8", FRESH, text, now)
            }
            b"status" => {
                let text = page::html(Content::new(&self.replies), &self.status(context));
                fresh("text/html; charset=utf-8", PAGE_HEADERS, text, now)
            }
            _ => return None,
        }))
    }

    /// The own page with this name, where the operator has put them.
    fn own_in_its_place(&self, name: &[u8], query: &[u8], context: &Context<'_>) -> Option<Rc<Reply>> {
        match name {
            b"" => self.own(b"status", context),
            b"debug/pcap" => self.capture(query, context.now),
            name => self.own(name, context),
        }
    }

    /// A capture of frames, which is made later.
    fn capture(&self, query: &[u8], now: &Moment) -> Option<Rc<Reply>> {
        let frames = self.source.frames()?;
        Some(Rc::new(match Wish::parse(query) {
            Ok(wish) => {
                let (memory, busy) = (Rc::clone(&self.replies), Rc::clone(&self.capturing));
                Reply::later(Rc::new(Capture::new(wish, frames, memory, busy)))
            }
            Err(refusal) => Reply::refusal(refusal, now),
        }))
    }

    /// The own page of a request on the public port, whatever is published.
    fn own_at_prefix(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Option<Rc<Reply>>> {
        let Admin::Path(prefix) = self.store.admin() else { return None };
        let name = request.path.strip_prefix(prefix.as_bytes())?;
        Some(self.own_in_its_place(name, request.query, context))
    }

    /// The own page of a request on the public port while nothing is published.
    fn own_at_root(&self, path: &[u8], context: &Context<'_>) -> Option<Rc<Reply>> {
        match (self.store.admin(), path) {
            (Admin::Off, _) => None,
            (Admin::Path(prefix), b"/" | b"/index.html") => {
                let location = format!("Location: {prefix}status\r\nCache-Control: no-store\r\n");
                let reply = Reply::new(Code::Found, "text/plain; charset=utf-8", &location, b"", context.now);
                Some(Rc::new(reply))
            }
            (Admin::Path(_), _) => None,
            (Admin::Port(_), b"/" | b"/index.html") => self.own(b"status", context),
            (Admin::Port(_), _) => self.own(path.get(1..).unwrap_or_default(), context),
        }
    }
}

impl<S: Source> Site for StatusSite<S> {
    fn get(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Rc<Reply>> {
        let path = request.path;
        if context.port == Port::Admin {
            let name = path.strip_prefix(b"/").unwrap_or_default();
            return self.own_in_its_place(name, request.query, context);
        }
        if let Some(reply) = self.own_at_prefix(request, context) {
            return reply;
        }
        if self.store.is_empty() {
            return self.own_at_root(path, context);
        }
        self.store.get(request, context).or_else(|| self.store.not_found(request, context))
    }
}

const FRESH: &str = "Cache-Control: no-store\r\n";

/// A body about this moment; 503 without the memory for it.
fn fresh(content_type: &str, headers: &str, body: Option<Content>, now: &Moment) -> Reply {
    match body.map(Content::sealed) {
        Some(body) => {
            let len = body.len();
            Reply::shared(Code::Ok, content_type, headers, (&body, 0..len), now)
        }
        None => Reply::refusal(TOO_MUCH, now),
    }
}

const TOO_MUCH: Refusal = Refusal::new(Code::ServiceUnavailable, "too many replies wait to be sent");

/// The page runs its own script only, and connects to this guest only.
const PAGE_HEADERS: &str = concat!(
    "Cache-Control: no-store\r\n",
    "X-Content-Type-Options: nosniff\r\n",
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; ",
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'\r\n",
);
