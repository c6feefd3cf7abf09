//! xenstored's handling of a message: dispatch, transactions, watches.

use super::connection::{Connection, Request, Transaction, Watch};
use super::ops::{Fired, View, XsError};
use super::tree::{Perms, Tree};
use super::{Inner, LogEntry};
use std::collections::BTreeSet;
use xen::DomId;
use xen::abi::io_xs_wire::{XENSTORE_ABS_PATH_MAX, XENSTORE_PAYLOAD_MAX, XsdSockmsgType as Type};

/// The result of an operation: a payload, or the name of an error.
type Answer = Result<Vec<u8>, XsError>;

/// The absolute form of a path that a domain gave.
fn absolute(who: DomId, given: &str) -> Result<String, XsError> {
    let special = given.starts_with('@');
    let legal = |c: char| c.is_ascii_alphanumeric() || "-/_@".contains(c);
    let long = given.len() > XENSTORE_ABS_PATH_MAX;
    if given.is_empty() || long || !given.chars().all(legal) || given.contains("//") {
        return Err("EINVAL");
    }
    if given != "/" && given.ends_with('/') {
        return Err("EINVAL");
    }
    let relative = !special && !given.starts_with('/');
    Ok(if relative { format!("/local/domain/{who}/{given}") } else { given.to_owned() })
}

/// The payload split at its zero bytes; the rest after the last one is the last item.
fn strings(payload: &[u8]) -> Vec<&[u8]> {
    payload.split(|byte| *byte == 0).collect()
}

fn text(bytes: &[u8]) -> Result<&str, XsError> {
    std::str::from_utf8(bytes).map_err(|_| "EINVAL")
}

/// The first string of a payload: most requests are just a path with its zero.
fn only_path(who: DomId, payload: &[u8]) -> Result<String, XsError> {
    match strings(payload).as_slice() {
        [path, b""] => absolute(who, text(path)?),
        _ => Err("EINVAL"),
    }
}

const OK: &[u8] = b"OK\0";

impl Inner {
    /// Answers one message of a domain.
    pub(super) fn handle(&mut self, conn: &mut Connection, request: &Request) {
        let who = conn.domain.id();
        let kind = Type::try_from(request.header.kind);
        let path = strings(&request.payload).first().map(|path| String::from_utf8_lossy(path).into_owned());
        let path = path.unwrap_or_default();
        let name = kind.map_or("unknown", Type::c_name);
        self.log.push(LogEntry {
            domain: who,
            operation: name,
            path: path.clone(),
            transaction: request.header.tx_id,
        });
        let answer = match (self.refusal(who, name, &path), kind) {
            (Some(error), _) => Err(error),
            (None, Ok(kind)) => self.operate(conn, kind, request),
            (None, Err(_)) => Err("ENOSYS"),
        };
        match &answer {
            // `send_reply` of xenstored: an answer that does not fit a message is an error.
            Ok(payload) if payload.len() > XENSTORE_PAYLOAD_MAX => {
                conn.answer(&request.header, Type::Error, b"E2BIG\0")
            }
            Ok(payload) => conn.answer(&request.header, kind.unwrap_or(Type::Error), payload),
            Err(error) => conn.answer(&request.header, Type::Error, format!("{error}\0").as_bytes()),
        }
        if kind == Ok(Type::Watch) && answer.is_ok() {
            // The first event is sent at once, after the answer.
            let (given, token) =
                conn.watches.last().map(|w| (w.given.clone(), w.token.clone())).expect("just made");
            conn.event(&given, &token);
        }
    }

    fn operate(&mut self, conn: &mut Connection, kind: Type, request: &Request) -> Answer {
        match kind {
            Type::Watch => self.watch(conn, &request.payload),
            Type::Unwatch => Self::unwatch(conn, &request.payload),
            Type::ResetWatches => {
                conn.watches.clear();
                Ok(OK.to_vec())
            }
            Type::TransactionStart => self.start(conn),
            Type::TransactionEnd => self.end(conn, request.header.tx_id, &request.payload),
            Type::GetDomainPath | Type::IsDomainIntroduced => self.about_domain(kind, &request.payload),
            Type::Read
            | Type::Directory
            | Type::GetPerms
            | Type::Write
            | Type::Mkdir
            | Type::Rm
            | Type::SetPerms => self.on_nodes(conn, kind, request),
            Type::Introduce | Type::Release | Type::Resume | Type::SetTarget => Err("EACCES"),
            _ => Err("ENOSYS"),
        }
    }

    fn about_domain(&self, kind: Type, payload: &[u8]) -> Answer {
        let [id, _] = strings(payload)[..] else { return Err("EINVAL") };
        let id: u16 = text(id)?.parse().map_err(|_| "EINVAL")?;
        Ok(match kind {
            Type::GetDomainPath => format!("/local/domain/{id}\0").into_bytes(),
            _ if self.introduced.contains(&DomId(id)) => b"T\0".to_vec(),
            _ => b"F\0".to_vec(),
        })
    }

    fn watch(&self, conn: &mut Connection, payload: &[u8]) -> Answer {
        let [given, token, b""] = strings(payload)[..] else { return Err("EINVAL") };
        let given = text(given)?.to_owned();
        let path = absolute(conn.domain.id(), &given)?;
        if conn.watches.iter().any(|watch| watch.path == path && watch.token == token) {
            return Err("EEXIST");
        }
        if conn.watches.len() >= self.quota.watches {
            return Err("E2BIG");
        }
        conn.watches.push(Watch { path, given, token: token.to_vec() });
        Ok(OK.to_vec())
    }

    fn unwatch(conn: &mut Connection, payload: &[u8]) -> Answer {
        let [given, token, b""] = strings(payload)[..] else { return Err("EINVAL") };
        let path = absolute(conn.domain.id(), text(given)?)?;
        let found = conn.watches.iter().position(|watch| watch.path == path && watch.token == token);
        conn.watches.remove(found.ok_or("ENOENT")?);
        Ok(OK.to_vec())
    }

    fn start(&self, conn: &mut Connection) -> Answer {
        if conn.transactions.len() >= self.quota.transactions {
            return Err("ENOSPC");
        }
        conn.last_transaction += 1;
        let id = conn.last_transaction;
        let transaction = Transaction {
            tree: self.tree.clone(),
            start: self.tree.clone(),
            touched: BTreeSet::new(),
            changed: BTreeSet::new(),
            fired: Vec::new(),
        };
        conn.transactions.insert(id, transaction);
        Ok(format!("{id}\0").into_bytes())
    }

    fn end(&mut self, conn: &mut Connection, id: u32, payload: &[u8]) -> Answer {
        let commit = match payload {
            b"T\0" => true,
            b"F\0" => false,
            _ => return Err("EINVAL"),
        };
        let transaction = conn.transactions.remove(&id).ok_or("ENOENT")?;
        if !commit {
            return Ok(OK.to_vec());
        }
        let same = |path: &String| transaction.start.generation(path) == self.tree.generation(path);
        if self.conflicts > 0 || !transaction.touched.iter().all(same) {
            self.conflicts = self.conflicts.saturating_sub(1);
            return Err("EAGAIN");
        }
        self.generation += 1;
        for path in &transaction.changed {
            self.tree.adopt(path, &transaction.tree, self.generation);
        }
        self.fire(transaction.fired, Some(conn));
        Ok(OK.to_vec())
    }

    fn on_nodes(&mut self, conn: &mut Connection, kind: Type, request: &Request) -> Answer {
        let id = request.header.tx_id;
        if id == 0 {
            let (answer, fired) =
                self.directly(conn.domain.id(), |view| node_operation(view, kind, &request.payload));
            self.fire(fired, Some(conn));
            return answer;
        }
        self.generation += 1;
        let transaction = conn.transactions.get_mut(&id).ok_or("ENOENT")?;
        let mut view = self.scratch_view(&mut transaction.tree, conn.domain.id());
        let answer = node_operation(&mut view, kind, &request.payload);
        let View { touched, changed, fired, .. } = view;
        transaction.touched.extend(touched);
        transaction.changed.extend(changed);
        transaction.fired.extend(fired);
        answer
    }

    fn scratch_view<'a>(&self, tree: &'a mut Tree, who: DomId) -> View<'a> {
        View {
            tree,
            who,
            generation: self.generation,
            quota: self.quota,
            touched: BTreeSet::new(),
            changed: BTreeSet::new(),
            fired: Vec::new(),
        }
    }

    /// Works on the tree; returns the changes for watches.
    pub(super) fn directly<T>(
        &mut self,
        who: DomId,
        work: impl FnOnce(&mut View<'_>) -> T,
    ) -> (T, Vec<Fired>) {
        self.generation += 1;
        let mut tree = std::mem::take(&mut self.tree);
        let mut view = self.scratch_view(&mut tree, who);
        let result = work(&mut view);
        let fired = view.fired;
        self.tree = tree;
        (result, fired)
    }

    /// Fires the watches: those of `current`, whose message is being handled, and those of the others.
    pub(super) fn fire(&mut self, fired: Vec<Fired>, current: Option<&mut Connection>) {
        let tree = &self.tree;
        let others = self.connections.iter_mut().flatten();
        for conn in others.chain(current) {
            for change in &fired {
                let told: Vec<Watch> = conn
                    .watches
                    .iter()
                    .filter(|w| change.reaches(&w.path, conn.domain.id(), tree))
                    .cloned()
                    .collect();
                for watch in told {
                    let below = change.path.strip_prefix(watch.path.as_str()).unwrap_or_default();
                    let path = if watch.given == "/" {
                        change.path.clone()
                    } else {
                        format!("{}{below}", watch.given)
                    };
                    conn.event(&path, &watch.token);
                }
            }
        }
    }
}

fn node_operation(view: &mut View<'_>, kind: Type, payload: &[u8]) -> Answer {
    let who = view.who;
    match kind {
        Type::Read => view.read(&only_path(who, payload)?),
        Type::Directory => {
            let names = view.directory(&only_path(who, payload)?)?;
            Ok(names.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect())
        }
        Type::GetPerms => {
            let perms = view.perms(&only_path(who, payload)?)?;
            Ok(perms.0.iter().flat_map(|(kind, id)| format!("{kind}{id}\0").into_bytes()).collect())
        }
        Type::Mkdir => view.mkdir(&only_path(who, payload)?).map(|()| OK.to_vec()),
        Type::Rm => view.rm(&only_path(who, payload)?).map(|()| OK.to_vec()),
        Type::Write => {
            let end = payload.iter().position(|byte| *byte == 0).ok_or("EINVAL")?;
            let path = absolute(who, text(&payload[..end])?)?;
            if path.starts_with('@') {
                return Err("EINVAL");
            }
            view.write(&path, &payload[end + 1..]).map(|()| OK.to_vec())
        }
        _ => {
            let all = strings(payload);
            let [path, perms @ .., b""] = all.as_slice() else { return Err("EINVAL") };
            let perms: Result<Vec<&str>, XsError> = perms.iter().map(|perm| text(perm)).collect();
            let perms = Perms::parse(perms?.into_iter()).ok_or("EINVAL")?;
            view.set_perms(&absolute(who, text(path)?)?, perms).map(|()| OK.to_vec())
        }
    }
}
