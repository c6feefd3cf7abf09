//! Compares `xen::abi` with Xen's own public headers.
//!
//! [`tables::all`] lists every size, offset and number of `xen::abi`, each next to the C expression that says the
//! same. [`c::evaluate`] writes these expressions into a C program, compiles it against the headers of Debian's
//! libxen-dev, runs it and reads `name value` lines back. [`compare()`] names every item on which the two differ.
//! An item is one line, for both languages; the macros in `table.rs` refuse to compile when a field of a Rust
//! struct is not listed, and panic when a flag is not.
//!
//! ```text
//! tables ──► C expressions ──► cc ──► "sizeof(struct netif_tx_request) 12" ──┐
//!    └─────► Rust values ─────────────────────────────────────────────────── compare
//! ```

pub mod c;
pub mod tables;

mod table;

pub use table::{Item, Number, Table};

/// Compares what C says with what Rust says, item by item; returns one line for each difference.
#[must_use]
pub fn compare(table: &Table, c_values: &[(String, i64)]) -> Vec<String> {
    let mut differences = Vec::new();
    if c_values.len() != table.items().len() {
        differences.push(format!(
            "the C program printed {} items, the table has {}",
            c_values.len(),
            table.items().len()
        ));
    }
    for (item, (name, c_value)) in table.items().iter().zip(c_values) {
        if item.c != *name {
            differences.push(format!("the C program printed `{name}` where `{}` was due", item.c));
        } else if item.value != *c_value {
            differences.push(format!(
                "{name}: Xen's headers say {c_value}, xen::abi says {} ({})",
                item.value, item.rust
            ));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::{Table, compare};

    #[test]
    fn a_difference_names_the_item_and_both_values() {
        let mut table = Table::default();
        table.value("SAME", "same", 1_u32);
        table.value("OTHER", "other", -2_i16);
        let c_values = [("SAME".into(), 1), ("OTHER".into(), 3)];
        assert_eq!(compare(&table, &c_values), ["OTHER: Xen's headers say 3, xen::abi says -2 (other)"]);
    }

    #[test]
    fn a_missing_or_misplaced_item_is_a_difference() {
        let mut table = Table::default();
        table.value("ONE", "one", 1_u32);
        assert_eq!(compare(&table, &[]).len(), 1);
        assert_eq!(compare(&table, &[("TWO".into(), 1)]).len(), 1);
    }
}
