//! `xen::abi` says the same as Xen's public headers. Needs a C compiler and libxen-dev.

use abi_tests::{c, compare, tables};
use std::path::Path;

/// Fewer items than this mean that a part of the table was lost.
const AT_LEAST: usize = 900;

#[test]
fn xen_abi_agrees_with_xen_s_headers() {
    let table = tables::all();
    assert!(table.items().len() >= AT_LEAST, "only {} items in the table", table.items().len());
    let c_values = match c::evaluate(&table, Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(c_values) => c_values,
        Err(why) => panic!("{why}"),
    };
    let differences = compare(&table, &c_values);
    assert!(
        differences.is_empty(),
        "{} of {} items differ:\n{}",
        differences.len(),
        table.items().len(),
        differences.join("\n")
    );
    println!("{} items compared with Xen's headers", table.items().len());
}
