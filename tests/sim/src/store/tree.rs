//! The nodes of xenstore: values, permissions, and when each was last changed.

use std::collections::BTreeMap;
use xen::DomId;

/// What a domain may do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Read,
    Write,
}

/// Permissions as in `GET_PERMS`: the first entry has the owner and the rights of all other domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Perms(pub(crate) Vec<(char, u16)>);

impl Perms {
    /// Parses `n0`, `r5`, `b7`, …
    pub(crate) fn parse<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Self> {
        let one = |text: &str| {
            let kind = text.chars().next().filter(|kind| "nrwb".contains(*kind))?;
            Some((kind, text.get(1..)?.parse().ok()?))
        };
        let perms: Vec<_> = texts.map(one).collect::<Option<_>>()?;
        (!perms.is_empty()).then_some(Self(perms))
    }

    pub(crate) fn owner(&self) -> u16 {
        self.0[0].1
    }

    /// The same rights with another owner.
    fn owned_by(&self, who: DomId) -> Self {
        let mut perms = self.clone();
        perms.0[0].1 = who.0;
        perms
    }

    /// Whether `who` has the right: dom0 and the owner always have.
    pub(crate) fn allow(&self, who: DomId, want: Want) -> bool {
        if who.0 == 0 || who.0 == self.owner() {
            return true;
        }
        let kind = self.0.iter().skip(1).find(|(_, id)| *id == who.0).map_or(self.0[0].0, |(kind, _)| *kind);
        match want {
            Want::Read => matches!(kind, 'r' | 'b'),
            Want::Write => matches!(kind, 'w' | 'b'),
        }
    }
}

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Vec<u8>,
    pub(crate) perms: Perms,
    /// Of the last change of the node or of the set of its children.
    pub(crate) generation: u64,
}

/// All nodes, by absolute path.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node { value: Vec::new(), perms: Perms(vec![('n', 0)]), generation: 0 };
        Self { nodes: BTreeMap::from([("/".to_owned(), root)]) }
    }
}

/// The path of the directory that a node is in.
pub(crate) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// Whether `path` is `base` or below it.
pub(crate) fn is_within(path: &str, base: &str) -> bool {
    base == "/" || path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Tree {
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub(crate) fn generation(&self, path: &str) -> Option<u64> {
        self.get(path).map(|node| node.generation)
    }

    /// Paths of the node and everything below it.
    pub(crate) fn within(&self, base: &str) -> Vec<String> {
        // Names that begin with the whole path are adjacent, including those of other nodes (`a-b` beside `a/b`).
        let from = self.nodes.range(base.to_owned()..).map(|(path, _)| path);
        from.take_while(|path| path.starts_with(base)).filter(|path| is_within(path, base)).cloned().collect()
    }

    /// Names of the direct children.
    pub(crate) fn children(&self, path: &str) -> Vec<String> {
        let below = self.within(path);
        let names = below.iter().filter(|below| *below != path && parent(below) == path);
        names.filter_map(|below| below.rsplit('/').next()).map(str::to_owned).collect()
    }

    /// How many nodes a domain owns.
    pub(crate) fn owned(&self, who: DomId) -> usize {
        self.nodes.values().filter(|node| node.perms.owner() == who.0).count()
    }

    /// Creates a node and its missing parents, owned by the domain. Returns the created paths, parents first.
    pub(crate) fn make(&mut self, path: &str, who: DomId, generation: u64) -> Vec<String> {
        if self.nodes.contains_key(path) {
            return Vec::new();
        }
        let mut made = self.make(parent(path), who, generation);
        let above = self.nodes.get_mut(parent(path)).expect("just made, or the root");
        above.generation = generation;
        let perms = if who.0 == 0 { above.perms.clone() } else { above.perms.owned_by(who) };
        self.nodes.insert(path.to_owned(), Node { value: Vec::new(), perms, generation });
        made.push(path.to_owned());
        made
    }

    pub(crate) fn set_value(&mut self, path: &str, value: &[u8], generation: u64) {
        let node = self.nodes.get_mut(path).expect("made before");
        value.clone_into(&mut node.value);
        node.generation = generation;
    }

    pub(crate) fn set_perms(&mut self, path: &str, perms: Perms, generation: u64) {
        let node = self.nodes.get_mut(path).expect("looked up before");
        node.perms = perms;
        node.generation = generation;
    }

    /// Removes a node and all below it; the paths removed.
    pub(crate) fn remove(&mut self, path: &str, generation: u64) -> Vec<String> {
        let gone = self.within(path);
        for path in &gone {
            self.nodes.remove(path);
        }
        if let Some(above) = self.nodes.get_mut(parent(path)) {
            above.generation = generation;
        }
        gone
    }

    /// Takes one node over from another tree: its new state, or that it is gone.
    pub(crate) fn adopt(&mut self, path: &str, from: &Self, generation: u64) {
        match from.get(path) {
            Some(node) => {
                self.nodes.insert(path.to_owned(), Node { generation, ..node.clone() });
            }
            None => {
                self.nodes.remove(path);
            }
        }
    }

    /// The tree as text, one `path = "value" (perms)` a line.
    pub(crate) fn dump(&self) -> String {
        let line = |(path, node): (&String, &Node)| {
            let perms: Vec<String> = node.perms.0.iter().map(|(kind, id)| format!("{kind}{id}")).collect();
            format!("{path} = \"{}\" ({})\n", String::from_utf8_lossy(&node.value), perms.join(","))
        };
        self.nodes.iter().map(line).collect()
    }
}
