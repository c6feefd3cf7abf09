//! Xen's own command line: the machine boots once for each variant, and one guest is checked on it.

use crate::asked_for;
use crate::guest_check;
use crate::table::{Table, Verdict};
use bed::{Options, Release, SharedBed};
use domu_tests::Outcome;
use domu_tests::guest::config;

const SECTION: &str = "Xen's command line";

/// Variants: additions to Xen's command line.
const VARIANTS: &[&str] = &[
    "",
    "gnttab=max-ver:1",
    "gnttab_max_frames=4",
    "hap_1gb=0 hap_2mb=0",
    "hap=0",
    "xsave=0",
    "sched=credit",
    "sched=rtds",
    "spec-ctrl=no-xen",
    "xpti=no",
    "sync_console",
    "clocksource=pit tsc=unstable",
    "altp2m=1",
    "vpmu=1",
    "iommu=no",
];

/// Variants of the machine itself.
const PLAIN_CPU: &str = "QEMU's -cpu qemu64";
const OXENSTORED: &str = "oxenstored";
const ONE_CPU: &str = "one processor";

/// Runs every selected variant.
pub(crate) fn run(release: Release, table: &mut Table) -> Outcome {
    for variant in VARIANTS {
        let options = variant
            .split_whitespace()
            .fold(Options::default(), |options, argument| options.xen_arg(argument));
        let name = if variant.is_empty() { "(none)" } else { variant };
        one(release, table, name, options)?;
    }
    // QEMU takes the last of two.
    one(release, table, PLAIN_CPU, Options::default().qemu_arg("-cpu").qemu_arg("qemu64,+svm,+npt"))?;
    one(release, table, OXENSTORED, Options::default().oxenstored())?;
    one(release, table, ONE_CPU, Options::default().vcpus(1))
}

fn one(release: Release, table: &mut Table, name: &str, options: Options) -> Outcome {
    if !asked_for("hypervisor", name) {
        return Ok(());
    }
    let options = options.release(release).without_snapshot();
    let verdict = match (SharedBed::start(&options), config("web", "web", "")) {
        (Ok(bed), Ok(config)) => {
            let verdict = guest_check::verdict(&bed, &config);
            if matches!(verdict, Verdict::Fault(_)) {
                bed.collect(&format!("versions-{}-{}", release.name(), name.replace([' ', '/', '\''], "_")));
            }
            verdict
        }
        (Err(error), _) => Verdict::Fault(format!("the machine does not boot: {error}").replace('\n', " ")),
        (_, Err(error)) => Verdict::Fault(error.to_string()),
    };
    table.put(SECTION, name, verdict)
}
