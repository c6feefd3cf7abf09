//! Save and restore, with TCP connections that do not notice.

use crate::{SMALL_MIB, node, xl};
use bed::{Bed, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{Outcome, SOON};
use serde_json::Value;
use std::time::Duration;

/// `xl save` of a small guest takes seconds under emulation.
const SAVE: Duration = Duration::from_secs(120);

fn xl_slowly(bed: &Bed, command: &str) -> Outcome<String> {
    let output = bed.dom0_within(&format!("xl {command}"), SAVE)?;
    if output.success() { Ok(output.stdout) } else { Err(format!("xl {command}: {output:?}").into()) }
}

/// What must not change from one life to the next: pages that are out, pages in the pools.
fn pages(status: &Value) -> Outcome<[u64; 4]> {
    Ok([
        number(status, "/pages/taken")?,
        number(status, "/interfaces/0/rx_pool/total")?,
        number(status, "/interfaces/0/tx_pool/total")?,
        number(status, "/grants/quarantined")?,
    ])
}

#[test]
fn connections_go_on_after_save_and_restore() {
    run_test("connections_go_on_after_save_and_restore", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("web", "kept", "")?.memory_mib(SMALL_MIB))?;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        let mut idle = Connection::open(guest.tcp(80)?)?;
        let before = connection.status()?;
        node(bed, guest.domain.domid(), "control/feature-suspend", |value| value == "1", SOON)?;

        // The toolstack takes its copy and lets the guest go on.
        xl_slowly(bed, "save -c kept /var/copy")?;
        assert_eq!(connection.get("/healthz")?.status, 200, "after save -c");
        guest.domain.wait_for_next("the suspend was cancelled", SOON)?;
        assert_eq!(connection.status()?["domid"], before["domid"]);

        let mut id = guest.domain.domid();
        for round in 1..=3 {
            xl_slowly(bed, "save kept /var/kept")?;
            xl_slowly(bed, "restore /var/kept")?;
            let now: u32 = xl(bed, "domid kept")?.trim().parse()?;
            assert_ne!(now, id, "a new domain");
            id = now;
            let status = connection.status()?;
            assert_eq!(number(&status, "/domid")?, u64::from(id), "round {round}");
            assert_eq!(pages(&status)?, pages(&before)?, "round {round}");
            assert!(number(&status, "/uptime_ms")? >= number(&before, "/uptime_ms")?, "time never goes back");
            // Tools see it in its new place.
            node(bed, id, "attr/vif/0/ipv4/0", |value| value == guest.address.to_string(), SOON)?;
            node(bed, id, "control/feature-suspend", |value| value == "1", SOON)?;
        }
        assert_eq!(idle.get("/healthz")?.status, 200, "a connection that was silent all the time");
        assert_eq!(Connection::open(guest.tcp(80)?)?.get("/healthz")?.status, 200, "a new one");
        xl(bed, "shutdown -w kept")?;
        Ok(())
    });
}
