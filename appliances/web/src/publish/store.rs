//! The published files, and which of them answers a request.
//!
//! ```text
//!   request ─► file at the path, or its .br or .gz form ──► 200
//!           ├► folder without its slash ──────────────────► 301
//!           ├► a rule of _redirects ──────────────────────► 301 …, or the file that it names
//!           └► nothing ─► the guest's own pages ─► 404.html ─► 404
//! ```

use super::encoding::accepted;
use super::headers::{HeaderRules, Headers};
use super::inbox::Incoming;
use super::name;
use super::recent::{Key, Recent};
use super::redirects::{Redirect, Redirects, encode};
use super::reply::{self, Served};
use crate::content::Content;
use crate::http::server::Context;
use crate::http::{Code, Reply, Request};
use crate::memory::Memory;
use crate::site::Admin;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Range;
use kernel::xen::signal::Signal;

/// A published file: a range of a block's bytes.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) data: Rc<Content>,
    pub(super) range: Range<usize>,
    /// The strong entity tag, in quotes.
    pub(super) etag: String,
    /// Seconds since 1970; 0 if unknown.
    pub(super) modified: u64,
}

/// The rules of a site.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) headers: HeaderRules,
    pub(super) redirects: Redirects,
}

/// All files that are published at one time, by path.
#[derive(Debug, Default)]
pub(super) struct Revision {
    files: BTreeMap<String, File>,
    /// By the root of the site: empty, or `/HOST`.
    rules: BTreeMap<String, Rules>,
}

impl Revision {
    /// Publishes a file at a path, and replaces the present one.
    pub(super) fn insert(&mut self, path: String, file: File) {
        self.files.insert(path, file);
    }

    /// Removes every file whose path begins with `prefix`.
    pub(super) fn remove_below(&mut self, prefix: &str) {
        self.files.retain(|path, _| !path.starts_with(prefix));
        self.rules.retain(|root, _| !format!("{root}/").starts_with(prefix));
    }

    /// Removes the file at a path.
    pub(super) fn remove(&mut self, path: &str) {
        self.files.remove(path);
    }

    /// Sets the rules of a site.
    pub(super) fn set_rules(&mut self, root: String, change: impl FnOnce(&mut Rules)) {
        change(self.rules.entry(root).or_default());
    }

    /// The file at a path of a site, which may be a folder's.
    fn file(&self, root: &str, path: &str) -> Option<&File> {
        let index = if path.ends_with('/') { "index.html" } else { "" };
        if root.is_empty() && index.is_empty() {
            return self.files.get(path);
        }
        self.files.get(&[root, path, index].concat())
    }

    fn has_below(&self, prefix: &str) -> bool {
        let mut from = self.files.range(String::from(prefix)..);
        from.next().is_some_and(|(path, _)| path.starts_with(prefix))
    }
}

/// The choices of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// `app.hosts=on`: the first folder of a path is the name of the host that it is for.
    pub hosts: bool,
    /// `app.replace=first`: old content goes before the new one arrives, if both do not fit.
    pub replace_first: bool,
    /// `app.admin=`: where the guest's own pages are.
    pub admin: Admin,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { hosts: false, replace_first: false, admin: Admin::Port(9090) }
    }
}

/// The state of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// How often the published content has changed.
    pub revision: u64,
    /// Published files.
    pub files: usize,
    /// Bytes of published content, of pushes in progress, and of former revisions that clients still read.
    pub bytes: usize,
    /// The limit on `bytes`.
    pub budget_bytes: usize,
}

/// The published content.
#[derive(Debug)]
pub struct Store {
    current: RefCell<Revision>,
    recent: RefCell<Recent>,
    number: Cell<u64>,
    memory: Rc<Memory>,
    pub(super) options: StoreOptions,
    /// The parts that have arrived of streams that are not complete, on all channels.
    pub(super) incomplete: RefCell<Vec<Incoming>>,
    owners: Cell<u64>,
    changed: Signal,
}

impl Store {
    /// An empty store with the operator's choices; its content takes its memory from `memory`.
    #[must_use]
    pub fn new(memory: Rc<Memory>, options: StoreOptions) -> Self {
        Self {
            current: RefCell::default(),
            recent: RefCell::default(),
            number: Cell::new(0),
            memory,
            options,
            incomplete: RefCell::default(),
            owners: Cell::new(0),
            changed: Signal::new(),
        }
    }

    /// Where the guest's own pages are.
    pub(crate) const fn admin(&self) -> &Admin {
        &self.options.admin
    }

    /// Whether nothing is published.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current.borrow().files.is_empty()
    }

    /// A number for a channel that pushes here.
    pub(super) fn new_owner(&self) -> u64 {
        self.owners.set(self.owners.get().saturating_add(1));
        self.owners.get()
    }

    /// Changes the published content in one step. Clients that read a file of the former revision read it to its end.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Revision)) {
        change(&mut self.current.borrow_mut());
        self.recent.borrow_mut().forget();
        self.number.set(self.number.get().wrapping_add(1));
        self.changed.set();
    }

    /// Waits until the published content has changed, for one task.
    pub async fn changed(&self) {
        self.changed.wait().await;
    }

    /// Whoever waits for a change is to look again.
    pub fn look_again(&self) {
        self.changed.set();
    }

    /// The memory of all content.
    pub(super) const fn memory(&self) -> &Rc<Memory> {
        &self.memory
    }

    /// Drops parts of streams whose sender has gone, the oldest first, until `bytes` fit.
    pub(super) fn make_room(&self, bytes: usize) {
        let mut incomplete = self.incomplete.borrow_mut();
        while !self.memory.fits(bytes)
            && let Some(dead) = incomplete.iter().position(|stream| stream.dead)
        {
            incomplete.remove(dead);
        }
    }

    /// The root of the site to which a path belongs.
    pub(super) fn root_of<'a>(&self, path: &'a str) -> &'a str {
        let end = path.get(1..).and_then(|rest| rest.find('/')).map_or(path.len(), |at| at.saturating_add(1));
        if self.options.hosts { path.get(..end).unwrap_or_default() } else { "" }
    }

    /// The state.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        let (files, bytes) = (self.current.borrow().files.len(), self.memory.used());
        StoreStatus { revision: self.number.get(), files, bytes, budget_bytes: self.memory.limit() }
    }

    /// The reply to a request, if something is published at its path.
    #[must_use]
    pub fn get(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Rc<Reply>> {
        let revision = self.current.borrow();
        if revision.files.is_empty() {
            return None;
        }
        let (key, second) = (Key::of(request, self.options.hosts), context.now.seconds);
        if let Some(reply) = key.and_then(|key| self.recent.borrow().get(&key, second)) {
            return Some(reply);
        }
        let path = name::from_request(request.path).filter(|path| path.len() <= name::LONGEST)?;
        let root = self.site(request, &revision)?;
        let site = Site { revision: &revision, rules: revision.rules.get(&root), root: &root };
        let reply = Rc::new(site.reply(&path, request, context)?);
        if let Some(key) = key.filter(|_| reply.code() == Code::Ok) {
            self.recent.borrow_mut().put(&key, second, &reply);
        }
        Some(reply)
    }

    /// The site's own `404.html`.
    #[must_use]
    pub fn not_found(&self, request: &Request<'_>, context: &Context<'_>) -> Option<Rc<Reply>> {
        let revision = self.current.borrow();
        let root = self.site(request, &revision)?;
        let site = Site { revision: &revision, rules: revision.rules.get(&root), root: &root };
        site.serve("/404.html", Code::NotFound, request, context).map(Rc::new)
    }

    /// The root of the site that a request is for; with `app.hosts=on` a folder named by the host, or else `_`.
    fn site(&self, request: &Request<'_>, revision: &Revision) -> Option<String> {
        if !self.options.hosts {
            return Some(String::new());
        }
        let host = core::str::from_utf8(request.header("Host").unwrap_or_default()).ok()?;
        let name = if host.starts_with('[') { host } else { host.split(':').next().unwrap_or_default() };
        let named = format!("/{}", name.to_ascii_lowercase());
        let is_site = |root: &String| root.len() > 1 && revision.has_below(&format!("{root}/"));
        Some(named).filter(is_site).or_else(|| Some(String::from("/_")).filter(is_site))
    }
}

/// A site of a revision.
struct Site<'a> {
    revision: &'a Revision,
    rules: Option<&'a Rules>,
    root: &'a str,
}

/// Bytes of a query that a redirect repeats at most.
const LONGEST_QUERY: usize = 1024;

/// Files that rule a site and are not served.
pub(super) const HEADERS_FILE: &str = "/_headers";
pub(super) const REDIRECTS_FILE: &str = "/_redirects";

impl Site<'_> {
    fn reply(&self, path: &str, request: &Request<'_>, context: &Context<'_>) -> Option<Reply> {
        if matches!(path, HEADERS_FILE | REDIRECTS_FILE) {
            return None;
        }
        if let Some(reply) = self.serve(path, Code::Ok, request, context) {
            return Some(reply);
        }
        if !path.ends_with('/') && self.revision.file(self.root, &format!("{path}/")).is_some() {
            let mut url = encode(path);
            url.push('/');
            let query = core::str::from_utf8(request.query).ok();
            if let Some(query) = query.filter(|query| (1..=LONGEST_QUERY).contains(&query.len())) {
                url = format!("{url}?{query}");
            }
            return Some(redirect(&url, Code::MovedPermanently, context));
        }
        match self.rules?.redirects.of(path)? {
            Redirect::To(url, code) => Some(redirect(&url, code, context)),
            Redirect::Serve(path, code) => self.serve(&path, code, request, context),
        }
    }

    /// The file at a path, in the form that the client prefers.
    fn serve(&self, path: &str, code: Code, request: &Request<'_>, context: &Context<'_>) -> Option<Reply> {
        let plain = self.revision.file(self.root, path)?;
        let path = if path.ends_with('/') { format!("{path}index.html") } else { String::from(path) };
        let form = |end: &str| self.revision.file(self.root, &format!("{path}{end}"));
        let forms = [("br", form(".br")), ("gzip", form(".gz"))];
        let varies = forms.iter().any(|(_, file)| file.is_some());
        let chosen = forms.into_iter().find_map(|(coding, file)| {
            let file = file.filter(|_| accepted(request, coding))?;
            Some((coding, file))
        });
        let (coding, file) = chosen.map_or((None, plain), |(coding, file)| (Some(coding), file));
        let headers = self.rules.map_or_else(Headers::usual, |rules| rules.headers.of(&path));
        let served = Served { path: &path, file, coding, varies, code };
        Some(reply::make(served, headers, request, context.now))
    }
}

fn redirect(url: &str, code: Code, context: &Context<'_>) -> Reply {
    let headers = format!("Location: {url}\r\nCache-Control: no-cache\r\n");
    let body = format!("{}: {url}\n", code.line());
    Reply::new(code, "text/plain; charset=utf-8", &headers, body.as_bytes(), context.now)
}
