//! Queues chosen by a hash with our key: the behaviour of dom0's netback.

use bed::{Bed, run_test};
use domu_tests::Outcome;
use domu_tests::dom0::Client;
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use serde_json::Value;
use std::time::Duration;

/// Connections, each a flow of its own: that one of two queues gets none is less likely than one in 30,000.
const FLOWS: usize = 16;

/// A guest with two queues, after some connections to it.
fn busy(bed: &Bed, client: &Client<'_>, name: &str, cmdline: &str) -> Outcome<(Value, bool)> {
    let guest = Guest::create(bed, &config("web", name, &format!("vif.queues=2 {cmdline}"))?)?;
    for _ in 0..FLOWS {
        client.request((guest.address, 80).into(), 4, 0, Duration::from_secs(60))?;
    }
    let front = format!("/local/domain/{}/device/vif/0", guest.domain.domid());
    let control = bed.xenstore_read(&format!("{front}/ctrl-ring-ref")).is_ok();
    let status = Connection::open(guest.tcp(80)?)?.status()?;
    guest.domain.destroy()?;
    Ok((status, control))
}

#[test]
fn netback_chooses_queues_by_our_hash() {
    run_test("netback_chooses_queues_by_our_hash", |bed| -> Outcome {
        let client = Client::new(bed)?;
        // By default netback offers as many as dom0 has processors.
        bed.dom0("echo 4 > /sys/module/xen_netback/parameters/max_queues")?;
        let (status, control) = busy(bed, &client, "hashed", "")?;
        let interface = &status["interfaces"][0];
        let count = |pointer: &str| number(&status, &format!("/interfaces/0/{pointer}"));
        eprintln!("  queues {}, rx {}, device {}", interface["queues"], interface["rx"], interface["device"]);
        assert!(control && interface["features"]["hash"] == true, "{interface}");
        // netback does not implement mappings.
        assert_eq!((count("device/ctrl_refused")?, count("device/ctrl_silent")?), (1, 0));
        assert_eq!(count("mapped_pages")?, 0);
        for queue in ["queues/0", "queues/1"] {
            let (received, sent) = (count(&format!("{queue}/received"))?, count(&format!("{queue}/sent"))?);
            assert!(received > 10 && sent > 10, "{queue}: {received} received, {sent} sent");
        }
        // netback's hash is the one that we compute, and its queue the one that the hash says.
        assert!(count("rx/hashed")? > 100 && count("rx/hash_checked")? > 5, "{interface}");
        assert_eq!((count("rx/hash_mismatch")?, count("rx/hash_wrong_queue")?), (0, 0), "{interface}");
        assert_eq!(count("rx/dropped")?, 0);

        let (status, control) = busy(bed, &client, "plain", "vif.refuse=hash,gref")?;
        let interface = &status["interfaces"][0];
        assert!(!control && interface["features"]["hash"] == false, "{interface}");
        assert_eq!((&interface["features"]["queues"], &interface["rx"]["hashed"]), (&2.into(), &0.into()));
        Ok(())
    });
}
