//! The operations on nodes, with permissions and quotas: on the tree itself, or on a transaction's copy of it.

use super::tree::{Perms, Tree, Want, is_within, parent};
use std::collections::BTreeSet;
use xen::DomId;

/// The name of an error, as sent over the wire.
pub(crate) type XsError = &'static str;

/// A change for watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fired {
    pub(crate) path: String,
    /// Only for watches on exactly this path: a node that went away with its parent.
    pub(crate) exact: bool,
    /// The domains that could read it before it was removed.
    pub(crate) perms: Option<Perms>,
}

/// Limits of an unprivileged domain; the defaults are those of Xen 4.17's xenstored.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Nodes that a domain may own.
    pub nodes: usize,
    /// Bytes of one value.
    pub value_bytes: usize,
    /// Watches that a domain may have.
    pub watches: usize,
    /// Transactions that a domain may have open.
    pub transactions: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self { nodes: 1000, value_bytes: 2048, watches: 128, transactions: 10 }
    }
}

/// A tree that one domain works on.
pub(crate) struct View<'a> {
    pub(crate) tree: &'a mut Tree,
    pub(crate) who: DomId,
    pub(crate) generation: u64,
    pub(crate) quota: Quota,
    /// Paths that were looked at or changed: what a transaction depends on.
    pub(crate) touched: BTreeSet<String>,
    /// Paths whose nodes are other than before.
    pub(crate) changed: BTreeSet<String>,
    pub(crate) fired: Vec<Fired>,
}

impl View<'_> {
    /// Whether the node exists and is permitted; for a missing node, whether its parent may be read.
    fn check(&mut self, path: &str, want: Want) -> Result<(), XsError> {
        self.touched.insert(path.to_owned());
        if let Some(node) = self.tree.get(path) {
            return if node.perms.allow(self.who, want) { Ok(()) } else { Err("EACCES") };
        }
        let mut above = parent(path);
        loop {
            if let Some(node) = self.tree.get(above) {
                return Err(if node.perms.allow(self.who, want) { "ENOENT" } else { "EACCES" });
            }
            above = parent(above);
        }
    }

    pub(crate) fn read(&mut self, path: &str) -> Result<Vec<u8>, XsError> {
        self.check(path, Want::Read)?;
        Ok(self.tree.get(path).expect("checked").value.clone())
    }

    pub(crate) fn directory(&mut self, path: &str) -> Result<Vec<String>, XsError> {
        self.check(path, Want::Read)?;
        Ok(self.tree.children(path))
    }

    pub(crate) fn perms(&mut self, path: &str) -> Result<Perms, XsError> {
        self.check(path, Want::Read)?;
        Ok(self.tree.get(path).expect("checked").perms.clone())
    }

    /// Makes the node if it is missing.
    fn make(&mut self, path: &str) -> Result<(), XsError> {
        match self.check(path, Want::Write) {
            Ok(()) => return Ok(()),
            Err("ENOENT") => {}
            Err(error) => return Err(error),
        }
        if self.who.0 != 0 && self.tree.owned(self.who) >= self.quota.nodes {
            return Err("ENOSPC");
        }
        for made in self.tree.make(path, self.who, self.generation) {
            // A new child changes its parent, too.
            self.touched.insert(parent(&made).to_owned());
            self.changed.insert(parent(&made).to_owned());
            self.touched.insert(made.clone());
            self.changed.insert(made);
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, path: &str, value: &[u8]) -> Result<(), XsError> {
        if self.who.0 != 0 && value.len() > self.quota.value_bytes {
            return Err("ENOSPC");
        }
        self.make(path)?;
        self.tree.set_value(path, value, self.generation);
        self.change(path);
        Ok(())
    }

    pub(crate) fn mkdir(&mut self, path: &str) -> Result<(), XsError> {
        if self.tree.get(path).is_some() {
            // It exists: no error, and no change.
            return self.check(path, Want::Write);
        }
        self.make(path)?;
        self.change(path);
        Ok(())
    }

    pub(crate) fn set_perms(&mut self, path: &str, perms: Perms) -> Result<(), XsError> {
        self.check(path, Want::Write)?;
        let owner = self.tree.get(path).expect("checked").perms.owner();
        if self.who.0 != 0 && (owner != self.who.0 || perms.owner() != owner) {
            return Err("EPERM");
        }
        self.tree.set_perms(path, perms, self.generation);
        self.change(path);
        Ok(())
    }

    pub(crate) fn rm(&mut self, path: &str) -> Result<(), XsError> {
        match self.check(path, Want::Write) {
            Ok(()) => {}
            // As xenstored: no error if the node is missing in an existing directory.
            Err("ENOENT") if self.tree.get(parent(path)).is_some() => return Ok(()),
            Err(error) => return Err(error),
        }
        if path == "/" {
            return Err("EINVAL");
        }
        let below = self.tree.within(path);
        let perms: Vec<_> =
            below.iter().map(|path| self.tree.get(path).map(|node| node.perms.clone())).collect();
        self.tree.remove(path, self.generation);
        self.touched.insert(parent(path).to_owned());
        self.changed.insert(parent(path).to_owned());
        for (gone, perms) in below.into_iter().zip(perms) {
            self.touched.insert(gone.clone());
            self.changed.insert(gone.clone());
            let exact = gone != path;
            self.fired.push(Fired { path: gone, exact, perms });
        }
        Ok(())
    }

    fn change(&mut self, path: &str) {
        self.changed.insert(path.to_owned());
        self.fired.push(Fired { path: path.to_owned(), exact: false, perms: None });
    }
}

impl Fired {
    /// Whether a watch of domain `who` on `watched` fires: only for nodes that the domain may read, or whose parent
    /// it may read.
    pub(crate) fn reaches(&self, watched: &str, who: DomId, tree: &Tree) -> bool {
        let matches = if self.exact { self.path == watched } else { is_within(&self.path, watched) };
        let readable = |perms: Option<&Perms>| perms.is_some_and(|perms| perms.allow(who, Want::Read));
        let seen = || {
            readable(self.perms.as_ref())
                || readable(tree.get(&self.path).map(|node| &node.perms))
                || readable(tree.get(parent(&self.path)).map(|node| &node.perms))
        };
        matches && seen()
    }
}
