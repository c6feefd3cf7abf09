//! Each finding is seen, and nothing else is found.

use super::check::check;
use super::graph::Crate;
use super::order::{self, Groups};

const NOTHING: [&str; 0] = [];

fn found(order: &str, files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let krate = Crate::parse(&files).unwrap();
    let found = check(&krate, &Groups::read(order).unwrap());
    found.into_iter().map(|(file, what)| format!("{file}: {what}")).collect()
}

#[test]
fn the_table_is_read_from_the_document() {
    let document = "# A\n\n| crate | groups, from top to bottom |\n|---|---|\n| `a` | x > y, z |\n| `b/c` | w |\n\n| d | e |\n";
    let orders = order::read(document).unwrap();
    let read: Vec<_> = orders.iter().map(|order| order.folder.as_str()).collect();
    assert_eq!(read, ["a", "b/c"]);
    let levels = ["x", "y", "z", "w"].map(|group| orders[0].groups.level(group));
    assert_eq!(levels, [Some(0), Some(1), Some(1), None]);
    assert!(Groups::read("a > b, a").unwrap_err().contains("twice"));
    assert!(Groups::read("a > > b").unwrap_err().contains("without a name"));
    assert_eq!(order::read("no table").unwrap(), []);
}

#[test]
fn imports_downward_and_inside_a_group_are_right() {
    let files = [
        ("lib.rs", "mod top; mod low; pub use top::Top;"),
        ("top/mod.rs", "mod part; use crate::low::{self, part::Low}; pub struct Top(Low);"),
        ("top/part.rs", "use super::Top; impl Top { fn part(&self) {} }"),
        ("low/mod.rs", "pub mod part;"),
        (
            "low/part.rs",
            "pub(crate) struct Low; impl Low { fn f(self) { self.g() } } #[cfg(test)] mod tests { use crate::top::Top; }",
        ),
    ];
    assert_eq!(found("top > low", &files), NOTHING);
}

#[test]
fn an_import_upward_is_found_wherever_it_stands() {
    for text in [
        "use crate::top::Top;",
        "use super::super::top::Top;",
        "use crate::{low::a, top::Top};",
        "fn f() { crate::top::f(); }",
        "fn f() { println!(\"{}\", crate::top::VALUE); }",
        "mod inline { use super::super::super::top::Top; }",
        "type T = Vec<crate::top::Top>;",
        "use super::super::top::*;",
    ] {
        let files = [
            ("lib.rs", "mod top; mod low;"),
            ("top.rs", "pub struct Top;"),
            ("low/mod.rs", ""),
            ("low/a.rs", text),
        ];
        let expected =
            "low/a.rs: group low imports top.rs, which is not below it: see the table in ARCHITECTURE.md";
        assert_eq!(found("top > low", &files), [expected], "{text}");
    }
}

#[test]
fn groups_on_one_level_do_not_import_each_other() {
    let files = [("lib.rs", ""), ("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B;")];
    assert_eq!(found("a, b", &files).len(), 1);
    assert_eq!(found("a > b", &files).len(), 0);
}

#[test]
fn a_path_by_a_re_export_leads_to_the_file_behind_it() {
    let files = [
        ("lib.rs", "pub use top::Top;"),
        ("top/mod.rs", "mod part; pub use part::Top;"),
        ("top/part.rs", "pub struct Top;"),
        ("low.rs", "use crate::Top;"),
    ];
    let found = found("top > low", &files);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("imports top/part.rs"), "{found:?}");
}

#[test]
fn the_root_is_above_all_groups() {
    let files = [("lib.rs", "pub struct Root;"), ("a.rs", "use crate::Root;")];
    assert_eq!(found("a", &files), ["a.rs: imports the crate's root: move what it needs into a group"]);
    let files = [("lib.rs", ""), ("a.rs", "fn f() { crate::macro_of_the_crate!(); }")];
    assert_eq!(found("a", &files).len(), 0);
}

#[test]
fn a_file_outside_of_every_group_is_found() {
    let files = [("lib.rs", ""), ("a.rs", ""), ("b.rs", "")];
    assert_eq!(
        found("a", &files),
        ["b.rs: is in no group: move it, or add b to the table in ARCHITECTURE.md"]
    );
}

#[test]
fn a_circle_of_files_is_found_but_not_with_submodules() {
    let files = [
        ("lib.rs", ""),
        ("a/mod.rs", "mod x; mod y; mod z; use x::X; pub struct A;"),
        ("a/x.rs", "use super::{A, y::Y}; pub struct X;"),
        ("a/y.rs", "use crate::a::z::Z; pub struct Y;"),
        ("a/z.rs", "pub struct Z; fn f(_: super::X) {}"),
    ];
    assert_eq!(found("a", &files), ["a/x.rs: is in a circle of imports: a/x.rs, a/y.rs, a/z.rs"]);
    let files = [("lib.rs", ""), ("a/mod.rs", "mod x; use x::X; pub struct A;"), ("a/x.rs", "use super::A;")];
    assert_eq!(found("a", &files), NOTHING);
}

#[test]
fn impl_blocks_of_a_type_in_several_groups_are_found() {
    let files = [
        ("lib.rs", ""),
        ("a/mod.rs", "use crate::b::Thing; impl Thing { fn a(&self) {} }"),
        ("b/mod.rs", "mod more; pub struct Thing; impl Thing {}"),
        ("b/more.rs", "impl super::Thing { fn b(&self) {} }"),
    ];
    assert_eq!(found("a > b", &files), ["b/mod.rs: Thing has impl blocks in several groups: a, b"]);
    // Two types of the same name are two types.
    let files = [
        ("lib.rs", ""),
        ("a.rs", "struct Inner; impl Inner {}"),
        ("b.rs", "struct Inner; impl Inner {} impl crate::c::Inner<u8> {}"),
        ("c.rs", "pub struct Inner<T>(T);"),
    ];
    assert_eq!(found("a > b > c", &files), NOTHING);
}
