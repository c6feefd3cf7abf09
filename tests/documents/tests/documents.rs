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

#[test]
fn tests_named_in_documents_exist() {
    let code: String = files(&[".rs"]).iter().map(|file| read(file)).collect();
    let name = |line: &'_ str| {
        line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default().to_owned()
    };
    // A test is a function, or an entry of the macro `cases!`.
    let functions: BTreeSet<String> = code
        .lines()
        .map(str::trim_start)
        .filter_map(|line| match line.split_once("fn ") {
            Some((_, function)) => Some(function),
            None => line.contains(": ").then_some(line),
        })
        .map(name)
        .collect();
    let (mut missing, mut found) = (Vec::new(), 0);
    for document in ["docs/threat-model.md", "docs/soundness.md", "docs/datafront.md"] {
        // A name ends in `_…` if the rest of it is left out.
        for name in matches(r"::([a-z][a-z0-9]*(?:_[a-z0-9…]+){2,})", &read(document)) {
            let start = name.trim_end_matches('…');
            let exists = functions
                .range(start.to_owned()..)
                .next()
                .is_some_and(|known| if start == name { *known == name } else { known.starts_with(start) });
            found += 1;
            if !exists {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    assert!(found > 150, "{found} names of tests");
}
