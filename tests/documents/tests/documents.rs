//! What documents say and a program can check.

use document_tests::{anchors, files, make_variable, matches, read, root};
use std::collections::BTreeSet;

#[test]
fn links_between_documents_resolve() {
    let mut broken = Vec::new();
    for document in files(&[".md"]) {
        let text = read(&document);
        for link in matches(r"\]\(([^)\s]+)\)", &text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = root().join(&document).parent().unwrap().to_path_buf();
            let target = if path.is_empty() { root().join(&document) } else { folder.join(path) };
            let resolves = target.exists()
                && (anchor.is_empty()
                    || anchors(&std::fs::read_to_string(&target).unwrap())
                        .iter()
                        .any(|known| known == anchor));
            if !resolves {
                broken.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "links to nowhere: {broken:#?}");
}

#[test]
fn commands_named_in_documents_exist() {
    let makefile = read("Makefile");
    let targets: BTreeSet<_> = matches(r"(?m)^([a-z][a-z-]*):", &makefile).into_iter().collect();
    let mut unknown = Vec::new();
    for document in files(&[".md", "xen.cfg", "Cargo.toml", "Makefile", ".sh"]) {
        let text = read(&document);
        for target in matches(r"(?m)(?:`|^    |&& |: )make ([a-z][a-z-]*)", &text) {
            if !targets.contains(target) {
                unknown.push(format!("{document}: make {target}"));
            }
        }
    }
    assert!(unknown.is_empty(), "the Makefile does not have {unknown:#?}");
}

#[test]
fn every_command_for_people_is_in_contributing() {
    let makefile = read("Makefile");
    let contributing = read("CONTRIBUTING.md");
    let missing: Vec<_> = matches(r"(?m)^([a-z][a-z-]*):[^\n]*## ", &makefile)
        .into_iter()
        .filter(|target| !contributing.contains(&format!("`make {target}")))
        .collect();
    assert!(missing.is_empty(), "CONTRIBUTING.md does not name make {missing:?}");
}

#[test]
fn every_fuzz_target_is_run_and_described() {
    let run: BTreeSet<_> = make_variable("FUZZ").into_iter().collect();
    let files: BTreeSet<_> = std::fs::read_dir(root().join("tests/fuzz/targets"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    assert_eq!(run, files);
    let manifest = read("tests/fuzz/Cargo.toml");
    let programs: BTreeSet<_> =
        matches(r"path = .targets/(\w+)\.rs.", &manifest).into_iter().map(str::to_owned).collect();
    assert_eq!(programs, files);
    let model = read("docs/threat-model.md");
    let (_, section) = model.split_once("\n## Fuzzing\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let described: BTreeSet<_> = matches(r"`(\w+)`", section).into_iter().map(str::to_owned).collect();
    assert_eq!(described, files);
}

#[test]
fn documents_name_all_images() {
    let images = make_variable("IMAGES");
    let folders: BTreeSet<_> = std::fs::read_dir(root().join("appliances"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(images.iter().cloned().collect::<BTreeSet<_>>(), folders);
    for document in ["README.md", "CONTRIBUTING.md"] {
        let named: BTreeSet<_> =
            matches(r"build/([a-z]+)\.elf", &read(document)).into_iter().map(str::to_owned).collect();
        assert_eq!(named, folders, "{document}");
    }
}

#[test]
fn the_readme_shows_the_echo_appliance_as_it_is() {
    let readme = read("README.md");
    let (_, behind) = readme.split_once("```rust\n").expect("README.md has a block of Rust");
    let (shown, _) = behind.split_once("```").unwrap();
    // The lints at its head are the repository's, not the appliance's.
    let source: String = read("appliances/echo/src/main.rs")
        .lines()
        .filter(|line| !line.starts_with("#![cfg_attr"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(shown == source, "README.md shows another appliances/echo/src/main.rs than there is");
}

/// The cells of the rows of the table below a heading.
fn table<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, behind) = document.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let rows =
        behind.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.skip(2).map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn figures_of_the_readme_stand_in_measuring_md() {
    let (readme, measuring) = (read("README.md"), read("docs/measuring.md"));
    let mut figures = 0;
    for row in table(&readme, "## Compared") {
        // Bold figures are measured; the other cells are words.
        for figure in row.iter().flat_map(|cell| matches(r"\*\*([0-9][0-9. ]*)\*\*", cell)) {
            assert!(
                measuring.contains(&format!(" {figure} ")),
                "{figure} ({}) is not in docs/measuring.md",
                row[0]
            );
            figures += 1;
        }
    }
    assert!(figures >= 8, "{figures} figures");
}

#[test]
fn a_new_appliance_is_at_most_50_lines() {
    let lines = read("tools/new/main.rs.in").lines().count();
    assert!(lines <= 50, "{lines}");
}

/// A report that a test follows: reports, trigger, right value, and the test.
type Row = (String, String, String, String);

/// The lines `/// Field: reports: trigger → right value` of all tests.
fn field_rows() -> Vec<Row> {
    let pattern = r"(?m)^ *(/// Field: [^\n]+\n *#\[test\](?:\n *#\[[^\n]+)*\n *(?:async )?fn [a-z0-9_]+)";
    let (mut rows, mut all) = (Vec::new(), 0);
    for file in files(&[".rs"]) {
        let text = read(&file);
        all += text.lines().filter(|line| line.trim_start().starts_with("/// Field: ")).count();
        if !text.contains("/// Field: ") {
            continue;
        }
        for found in matches(pattern, &text) {
            let (line, _) = found.split_once('\n').unwrap();
            let name = found.rsplit(' ').next().unwrap();
            let (reports, what) =
                line["/// Field: ".len()..].split_once(": ").expect("Field: reports: trigger");
            let (trigger, right) =
                what.split_once(" → ").unwrap_or_else(|| panic!("{file}, {name}: no right value"));
            let link = |report: &str| {
                let known = matches(r"^([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+#[0-9]+|RFC [0-9]+)$", report);
                assert_eq!(known, [report], "{file}, {name}: no report");
                match report.split_once('#') {
                    Some((repository, number)) => {
                        format!("[{report}](https://github.com/{repository}/issues/{number})")
                    }
                    None => report.to_owned(),
                }
            };
            let reports: Vec<_> = reports.split(", ").map(link).collect();
            rows.push((
                reports.join(", "),
                trigger.to_owned(),
                right.to_owned(),
                format!("`{name}` ([{file}](../{file}))"),
            ));
        }
    }
    assert_eq!(rows.len(), all, "a line `/// Field:` stands right above `#[test]`");
    rows.sort();
    rows
}

#[test]
fn field_bugs_md_is_made_from_the_tests() {
    let mut text = "# Reports about others, as tests\n\n\
        Public reports about network stacks, frontends, DHCP clients, web servers and archive readers. Each row is a test\n\
        of this project with the report's trigger and the right value; nothing of the reports' code is used. `make docs`\n\
        writes this table from the tests' doc lines (`/// Field: …`).\n\n\
        | report | trigger | right | test |\n|---|---|---|---|\n"
        .to_owned();
    for (reports, trigger, right, test) in field_rows() {
        text += &format!("| {reports} | {trigger} | {right} | {test} |\n");
    }
    let path = root().join("docs/field-bugs.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == text,
        "docs/field-bugs.md is old: make docs"
    );
}
