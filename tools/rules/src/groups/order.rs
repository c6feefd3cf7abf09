//! The table of groups in ARCHITECTURE.md.
//!
//! ```text
//!   | crate | groups, from top to bottom |
//!   |---|---|
//!   | `kernel` | start > toolstack > run > crash, system > domain |
//! ```
//!
//! Groups between two `>` stand on one level: neither may import the other.

/// The head of the table.
const HEAD: &str = "| crate | groups, from top to bottom |";

/// The order of a crate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// The folder of the crate, from the root of the repository.
    pub(super) folder: String,
    /// The groups.
    pub(super) groups: Groups,
}

/// The groups by level, the highest first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Groups(Vec<Vec<String>>);

impl Groups {
    /// Reads `a > b, c > d`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let level = |level: &str| level.split(',').map(|group| group.trim().to_owned()).collect::<Vec<_>>();
        let levels: Vec<_> = text.split('>').map(level).collect();
        let mut all: Vec<&String> = levels.iter().flatten().collect();
        all.sort();
        if all.iter().any(|group| group.is_empty()) {
            return Err(format!("a group without a name in {text:?}"));
        }
        if let Some(twice) = all.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(format!("{twice:?} stand twice in {text:?}"));
        }
        Ok(Self(levels))
    }

    /// The level of a group; 0 is the highest.
    pub(super) fn level(&self, group: &str) -> Option<usize> {
        self.0.iter().position(|level| level.iter().any(|known| known == group))
    }
}

/// Reads the table: crates in `` `code` ``, with the path of the folder if it is not the crate's name.
pub(super) fn read(document: &str) -> Result<Vec<Order>, String> {
    let lines = document.lines().skip_while(|line| *line != HEAD).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let folder = cells.next().unwrap_or_default().trim_matches('`').to_owned();
        let groups = Groups::read(cells.next().unwrap_or_default())?;
        Ok(Order { folder, groups })
    })
    .collect()
}
