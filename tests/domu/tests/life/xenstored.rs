//! xenstored is live-updated under load: a new process takes over its rings, watches and nodes while guests use them.

use crate::{SMALL_MIB, xl};
use bed::{Bed, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::http::Connection;
use domu_tests::{BOOT, Outcome};

/// Live updates in a row.
const UPDATES: usize = 5;

/// The process that is xenstored.
fn pid(bed: &Bed) -> Outcome<u32> {
    Ok(bed.dom0("pidof xenstored")?.stdout.trim().parse()?)
}

#[test]
fn a_live_update_of_xenstored_under_load_costs_nothing() {
    run_test("a_live_update_of_xenstored_under_load_costs_nothing", |bed| -> Outcome {
        let first = pid(bed)?;
        let guest = Guest::create(bed, &config("web", "updated", "")?.memory_mib(SMALL_MIB))?;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        connection.status()?;
        let domid = guest.domain.domid();
        // Events for the guest's watches, as fast as dom0 writes: half a message is in its ring when the process
        // changes.
        let load = format!(
            "(while [ -e /tmp/load ]; do xenstore-write /local/domain/{domid}/control/shutdown ''; done) \
             >/dev/null 2>&1 &"
        );
        bed.dom0(&format!("touch /tmp/load; {load}"))?;
        for update in 0..UPDATES {
            let output = bed.dom0_within("xenstore-control live-update -t 30 -F $(which xenstored)", BOOT)?;
            // It prints nothing when xenstored answers "OK".
            assert!(output.success() && output.stdout.is_empty(), "live update {update}: {output:?}");
            connection.status()?;
        }
        bed.dom0("rm /tmp/load")?;
        let last = pid(bed)?;
        // The guest still answers through xenstore: its nodes, a vif, and the shutdown.
        xl(bed, "network-attach updated bridge=xenbr0 mac=00:16:3e:00:00:77")?;
        guest.domain.wait_for_next("vif/1: connected", BOOT)?;
        connection.status()?;
        xl(bed, "shutdown updated")?;
        guest.domain.wait_gone(BOOT)?;
        println!("xenstored: process {first}, then {last}");
        Ok(())
    });
}
