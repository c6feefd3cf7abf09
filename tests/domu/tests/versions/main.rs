//! One release of Xen: does the guest run with the hypervisor's and the toolstack's options?
//!
//! ```text
//!   BED_XEN=4.14 | 4.17 | 4.20 | sid ──► hypervisor: a boot of the machine for each command line ──┐
//!                                    ──► xl_cfg: one machine, a guest for each variant of xl.cfg ──┴─► table
//! ```
//!
//! Each line gets a verdict: the guest works, or the toolstack refuses the variant and gives a reason. Everything
//! else is a fault, and fails the test. The verdicts are kept in `build/versions/`; `docs/versions.md` is generated
//! from all of them. `make test-versions` runs this for every release, and also the programs `xen`, `life` and `push`.

mod guest_check;
mod hypervisor;
mod table;
mod xl_cfg;

use bed::Release;
use domu_tests::Outcome;
use table::{Row, Table};

/// The selected part: `VERSIONS=hypervisor` or `xl.cfg` in the environment, and a part of a variant's name after a
/// colon, like `VERSIONS=xl.cfg:memory`.
fn asked_for(section: &str, variant: &str) -> bool {
    let asked = std::env::var("VERSIONS").unwrap_or_default();
    let (want, part) = asked.split_once(':').unwrap_or((&asked, ""));
    (want.is_empty() || want == section) && variant.contains(part)
}

#[test]
#[ignore = "a command of its own: make test-versions"]
fn a_release_of_xen_runs_the_guest_in_every_variant() {
    let release = Release::from_env().unwrap();
    let mut table = Table::load(release).unwrap();
    run(release, &mut table).unwrap();
    let faults: Vec<String> = table.faults().map(Row::to_string).collect();
    assert!(faults.is_empty(), "Xen {release}:\n{}", faults.join("\n"));
}

fn run(release: Release, table: &mut Table) -> Outcome {
    xl_cfg::run(release, table)?;
    hypervisor::run(release, table)
}
