//! The guest's own pages, and pushed files at all other paths.
//!
//! | path | what | for whom |
//! |---|---|---|
//! | `/status`, and `/` unless something else is published there | the status as a page that updates itself | people |
//! | `/status.json` | the status, see `STATUS.md` | programs, and the page |
//! | `/metrics` | the same for Prometheus (text format 0.0.4) | monitoring |
//! | `/healthz` | 200 with a link and an address, else 503 and the cause | load balancers |
//! | `/readyz` | 200 if there is memory for more work too | load balancers |
//! | `/1k` | 1024 bytes that never change | benchmarks |
//!
//! A guest implements [`Source`].

pub mod health;
mod markup;
pub mod metrics;
pub mod numbers;
pub mod page;
pub mod snapshot;
pub mod status;
mod tiles;
mod units;

use crate::http::server::Context;
use crate::http::{Code, Fixed, Moment, Reply, Request, Site};
use crate::publish::Store;
use alloc::rc::Rc;
use alloc::string::String;
use numbers::Group;
use status::Status;

/// The source of the status.
pub trait Source {
    /// The guest now. The site adds the group `http`.
    fn status(&self) -> Status;
}

/// The status pages and the pushed files.
#[derive(Debug)]
pub struct StatusSite<S> {
    source: S,
    kilobyte: Fixed,
    store: Rc<Store>,
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

impl<S: Source> StatusSite<S> {
    /// A site without pushed files.
    #[must_use]
    pub fn new(source: S) -> Self {
        Self::with_store(source, Rc::new(Store::new(0)))
    }

    /// A site with the files of a store.
    #[must_use]
    pub const fn with_store(source: S, store: Rc<Store>) -> Self {
        Self { store, source, kilobyte: Fixed::new("text/plain; charset=utf-8", "", &KILOBYTE) }
    }

    fn status(&self, context: &Context<'_>) -> Status {
        let mut status = self.source.status();
        let open = ("connections_open", "Open connections.", context.connections_open());
        status.groups.0.push(Group::new("http", "HTTP").gauges([open]).counters(context.counts().iter()));
        status
    }
}

impl<S: Source> Site for StatusSite<S> {
    fn get(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Rc<Reply>> {
        let now = context.now;
        let reply = match request.path {
            b"/1k" => return Some(self.kilobyte.reply(now)),
            b"/healthz" => health::reply(health::alive(&self.status(context)), now),
            b"/readyz" => health::reply(health::ready(&self.status(context)), now),
            b"/status.json" => json(&self.status(context), now),
            b"/metrics" => {
                fresh("text/plain; version=0.0.4; charset=utf-8", metrics::text(&self.status(context)), now)
            }
            b"/status" => page(&self.status(context), now),
            _ => match (self.store.get(request, context), request.path) {
                (Some(published), _) => return Some(published),
                (None, b"/" | b"/index.html") => page(&self.status(context), now),
                (None, _) => return self.store.not_found(request, context),
            },
        };
        Some(Rc::new(reply))
    }
}

/// A body about this moment.
fn fresh(content_type: &str, body: String, now: &Moment) -> Reply {
    Reply::owning(Code::Ok, content_type, "Cache-Control: no-store\r\n", body, now)
}

fn json(status: &Status, now: &Moment) -> Reply {
    // Fails for maps with keys that are no strings; there are none.
    let body = serde_json::to_string(status).unwrap_or_else(|_| String::from("{}"));
    fresh("application/json", body, now)
}

/// The page runs its own script only, and connects to this guest only.
const PAGE_HEADERS: &str = concat!(
    "Cache-Control: no-store\r\n",
    "X-Content-Type-Options: nosniff\r\n",
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; ",
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'\r\n",
);

fn page(status: &Status, now: &Moment) -> Reply {
    Reply::owning(Code::Ok, "text/html; charset=utf-8", PAGE_HEADERS, page::html(status), now)
}
