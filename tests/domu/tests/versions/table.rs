//! The table of verdicts: a file of rows for each release, and the document that is made of all of them.
//!
//! ```text
//!   build/versions/4.20.tsv ─┐   section ⇥ variant ⇥ verdict
//!   build/versions/sid.tsv  ─┴─► docs/versions.md, between two marks
//! ```

use bed::Release;
use domu_tests::Outcome;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;

/// The place of the table in the document.
const BEGIN: &str = "<!-- table: written by make test-versions -->";
const END: &str = "<!-- end of the table -->";

/// The result of a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The guest passed all checks.
    Works,
    /// Xen or its toolstack refuses the variant, and says so.
    Refused(String),
    /// Neither.
    Fault(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Works => f.write_str("works"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Fault(why) => write!(f, "FAULT: {why}"),
        }
    }
}

impl Verdict {
    fn parse(text: &str) -> Self {
        let (kind, why) = text.split_once(": ").unwrap_or((text, ""));
        match kind {
            "works" => Self::Works,
            "refused" => Self::Refused(why.to_owned()),
            _ => Self::Fault(why.to_owned()),
        }
    }

    /// One cell of the document.
    fn cell(&self) -> String {
        match self {
            Self::Works => "✓".to_owned(),
            Self::Refused(why) => format!("refused: {}", why.replace('|', "/")),
            Self::Fault(why) => format!("✗ {}", why.replace('|', "/")),
        }
    }
}

/// One variant and its verdict.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    section: String,
    variant: String,
    verdict: Verdict,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}", self.section, self.variant, self.verdict)
    }
}

/// The rows of one release.
#[derive(Debug)]
pub(crate) struct Table {
    release: Release,
    rows: Vec<Row>,
}

fn folder() -> PathBuf {
    bed::repository().join("build/versions")
}

fn read(release: Release) -> Vec<Row> {
    let text = fs::read_to_string(folder().join(format!("{}.tsv", release.name()))).unwrap_or_default();
    let row = |line: &str| {
        let mut fields = line.splitn(3, '\t').map(str::to_owned);
        let (section, variant) = (fields.next()?, fields.next()?);
        Some(Row { section, variant, verdict: Verdict::parse(&fields.next()?) })
    };
    text.lines().filter_map(row).collect()
}

impl Table {
    /// The rows of an earlier run; a run of a part replaces that part.
    pub(crate) fn load(release: Release) -> Outcome<Self> {
        fs::create_dir_all(folder())?;
        Ok(Self { release, rows: read(release) })
    }

    /// Adds or replaces a row, prints it, and writes the file and the document: an interrupted run keeps its rows.
    pub(crate) fn put(&mut self, section: &str, variant: &str, verdict: Verdict) -> Outcome {
        let row = Row { section: section.to_owned(), variant: variant.to_owned(), verdict };
        eprintln!("  Xen {}: {row}", self.release.name());
        let old = self.rows.iter_mut().find(|old| old.section == section && old.variant == variant);
        match old {
            Some(old) => *old = row,
            None => self.rows.push(row),
        }
        self.save()
    }

    /// Rows whose verdict is a fault.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| matches!(row.verdict, Verdict::Fault(_)))
    }

    fn save(&self) -> Outcome {
        let text: String =
            self.rows.iter().map(|row| format!("{}\n", row.to_string().replace('\n', " "))).collect();
        fs::write(folder().join(format!("{}.tsv", self.release.name())), text)?;
        document()
    }
}

/// Puts the table of all releases into the document.
fn document() -> Outcome {
    let file = bed::repository().join("docs/versions.md");
    let text = fs::read_to_string(&file)?;
    let (head, rest) = text.split_once(BEGIN).ok_or("docs/versions.md has no place for the table")?;
    let (_, tail) = rest.split_once(END).ok_or("docs/versions.md has no end of the table")?;
    let releases: Vec<(Release, Vec<Row>)> = Release::ALL
        .into_iter()
        .map(|release| (release, read(release)))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    Ok(fs::write(file, format!("{head}{BEGIN}\n{}{END}{tail}", markdown(&releases)))?)
}

/// One table for each section: a line for each variant, a column for each release.
fn markdown(releases: &[(Release, Vec<Row>)]) -> String {
    let mut sections: Vec<&str> = Vec::new();
    for row in releases.iter().flat_map(|(_, rows)| rows) {
        if !sections.contains(&row.section.as_str()) {
            sections.push(&row.section);
        }
    }
    let mut text = String::new();
    for section in sections {
        let names: Vec<&str> = releases.iter().map(|(release, _)| release.name()).collect();
        text.push_str(&format!(
            "\n| {section} | {} |\n|---|{}\n",
            names.join(" | "),
            "---|".repeat(names.len())
        ));
        let mut lines: BTreeMap<usize, String> = BTreeMap::new();
        let mut order: Vec<&str> = Vec::new();
        for row in releases.iter().flat_map(|(_, rows)| rows).filter(|row| row.section == section) {
            if !order.contains(&row.variant.as_str()) {
                order.push(&row.variant);
            }
        }
        for (number, variant) in order.iter().enumerate() {
            let cell = |(_, rows): &(Release, Vec<Row>)| {
                let row = rows.iter().find(|row| row.section == section && row.variant == *variant);
                row.map_or_else(|| "not run".to_owned(), |row| row.verdict.cell())
            };
            let cells: Vec<String> = releases.iter().map(cell).collect();
            lines.insert(number, format!("| `{variant}` | {} |\n", cells.join(" | ")));
        }
        lines.into_values().for_each(|line| text.push_str(&line));
    }
    text.push('\n');
    text
}

#[test]
fn verdicts_survive_their_file_and_make_a_table() {
    for verdict in [Verdict::Works, Verdict::Refused("no: such thing".into()), Verdict::Fault("x | y".into())]
    {
        assert_eq!(Verdict::parse(&verdict.to_string()), verdict);
    }
    let row = |variant: &str, verdict| Row { section: "xl.cfg".into(), variant: variant.into(), verdict };
    let releases = [
        (Release::Xen4_14, vec![row("vcpus=2", Verdict::Works)]),
        (
            Release::Xen4_20,
            vec![row("vcpus=2", Verdict::Works), row("nestedhvm=1", Verdict::Refused("no".into()))],
        ),
    ];
    let text = markdown(&releases);
    assert!(text.contains("| xl.cfg | 4.14 | 4.20 |\n|---|---|---|\n| `vcpus=2` | ✓ | ✓ |\n"), "{text}");
    assert!(text.contains("| `nestedhvm=1` | not run | refused: no |\n"), "{text}");
}
