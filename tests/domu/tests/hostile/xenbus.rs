//! Xenbus: H51 to H58, H74, H75.

use crate::cases;
use crate::rig::End::Works;
use crate::rig::{Rig, case, same};
use domu_tests::http::number;
use domu_tests::{Outcome, SOON};

/// A domain that does not exist: nobody uses the guest's grants there.
const NOBODY: u32 = 77;
/// Reconnects of H74 in the suite; `HOSTILE_RECONNECTS` says how many else.
const RECONNECTS: u64 = 10;

cases! {
    h51_a_backend_that_jumps_between_states: Works,
        ["close", "passive", "state 2", "state 6", "state 4", "wait 300", "state 2", "state 5", "state 6", "open"];
    h52_a_backend_that_is_connected_at_the_start: Works,
        ["close", "passive", "state 4", "wait 500", "state 6", "wait 100", "open"];
    h53_closing_twice: Works, ["state 5", "front 6", "close", "open"];
    h53_closed_without_closing: Works, ["leave", "passive", "state 6", "front 6", "open"];
    h58_a_storm_of_watch_events: Works, ["states 1000", "ping 1"];
    h75_closed_while_connecting: Works,
        ["close", "passive", "state 2", "front 4", "state 5", "front 6", "state 6", "state 2", "state 5", "state 5",
         "wait 300", "state 6", "open"];
}

#[test]
fn h54_a_backend_whose_directory_vanishes() {
    case("h54_a_backend_whose_directory_vanishes", Works, |rig| {
        let back = rig.back("");
        let back = back.trim_end_matches('/');
        let keys = ["frontend", "frontend-id", "mac", "handle"];
        let kept: Vec<String> =
            keys.iter().map(|key| rig.bed().xenstore_read(&rig.back(key))).collect::<Result<_, _>>()?;
        rig.orders(&["leave", "passive"])?;
        let removed = rig.bed().dom0(&format!("xenstore-rm {back}"))?;
        assert!(removed.success(), "{removed:?}");
        rig.guest.wait_for_next("is gone", SOON)?;
        rig.ask("pool", " rx_pool: ")?;
        for (key, value) in keys.iter().zip(kept) {
            rig.bed().xenstore_write(&rig.back(key), &value)?;
        }
        rig.bed().xenstore_write(&rig.back("online"), "1")?;
        // Our state 4 was for the backend that is gone. The new one would take it for the sign that there are rings.
        assert_eq!(rig.bed().xenstore_read(&rig.node("device/vif/0/state"))?, "6");
        rig.bed().xenstore_write(&rig.back("state"), "1")?;
        let shown = rig.bed().dom0(&format!("xenstore-chmod -r {back} n0 r{}", rig.guest.domid()))?;
        assert!(shown.success(), "{shown:?}");
        rig.order("open").map(drop)
    });
}

/// Gives the vif another backend, in a domain that does not exist, and waits until the guest has turned to it.
pub(crate) fn move_away(rig: &mut Rig) -> Outcome {
    let id = rig.guest.domid();
    let elsewhere = format!("/local/domain/0/elsewhere/{id}");
    let front = rig.node("device/vif/0");
    rig.orders(&["leave", "passive"])?;
    let script = format!(
        "set -e
         xenstore-write {elsewhere} '' && xenstore-chmod {elsewhere} n0 r{id}
         xenstore-write {elsewhere}/feature-rx-copy 1 {elsewhere}/online 1 {elsewhere}/state 2
         xenstore-write {front}/backend-id {NOBODY} {front}/backend {elsewhere}"
    );
    let moved = rig.bed().dom0(&script)?;
    if !moved.success() {
        return Err(format!("moving the vif: {}", moved.stderr).into());
    }
    // The guest has done all that is possible without a backend: rings published, state 4, and no event of the old
    // rings.
    let began = std::time::Instant::now();
    while rig.bed().xenstore_read(&format!("{front}/request-rx-copy")).is_err()
        || rig.bed().xenstore_read(&format!("{front}/event-channel")).is_err()
        || rig.bed().xenstore_read(&format!("{front}/state"))? != "4"
    {
        if began.elapsed() > SOON {
            return Err("the guest does not iteration to the other backend".into());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(())
}

/// And back.
pub(crate) fn come_back(rig: &mut Rig) -> Outcome {
    let front = rig.node("device/vif/0");
    let back = rig.back("").trim_end_matches('/').to_owned();
    rig.order("state 6")?;
    let moved = rig
        .bed()
        .dom0(&format!("xenstore-write {front}/backend-id 0 && xenstore-write {front}/backend {back}"))?;
    assert!(moved.success(), "{moved:?}");
    rig.order("open").map(drop)
}

#[test]
fn h55_a_backend_in_another_domain() {
    case("h55_a_backend_in_another_domain", Works, |rig| {
        move_away(rig)?;
        rig.ask("pool", " rx_pool: ")?;
        come_back(rig)?;
        rig.order("ping 1")?;
        let status = rig.status()?;
        same("the backend's domain", number(&status, "/interfaces/0/backend")?, 0)
    });
}

#[test]
fn h56_nodes_that_make_no_sense() {
    case("h56_nodes_that_make_no_sense", Works, |rig| {
        let (mac, mtu) = (rig.node("device/vif/0/mac"), rig.node("device/vif/0/mtu"));
        let [mac_kept, mtu_kept] = &[rig.bed().xenstore_read(&mac)?, rig.bed().xenstore_read(&mtu)?];
        let long = "9".repeat(2000);
        let offers = [
            "feature-sg=maybe feature-gso-tcpv4=-1 multi-queue-max-queues=x feature-xdp-headroom=0x1"
                .to_owned(),
            format!("feature-sg={long} feature-split-event-channels=\u{fffd} multi-queue-max-queues=-3"),
        ];
        let bad = [("00:16:3e:zz:00:01", "x"), ("01:00:5e:00:00:01", "4294967296")];
        for ((mac_value, mtu_value), offers) in bad.iter().zip(&offers) {
            rig.order("close")?;
            rig.bed().xenstore_write(&mac, mac_value)?;
            rig.bed().xenstore_write(&mtu, mtu_value)?;
            rig.order(&format!("open {offers}"))?;
            rig.order("ping 1")?;
            same("mtu", number(&rig.status()?, "/interfaces/0/mtu")?, 1500)?;
        }
        rig.order("close")?;
        // Bytes that are no text, where text or numbers should be; and numbers that are none of this.
        let bytes = format!(
            "xenstore-write {mtu} \"$(printf '\\377\\376\\001')\" && xenstore-write {mac} \"$(printf '\\303(')\""
        );
        assert!(rig.bed().dom0(&bytes)?.success());
        rig.orders(&["open", "ping 1", "close"])?;
        rig.bed().xenstore_write(&mtu, "67")?;
        rig.orders(&["open", "ping 1"])?;
        same("mtu", number(&rig.status()?, "/interfaces/0/mtu")?, 576)?;
        rig.order("close")?;
        rig.bed().xenstore_write(&mac, mac_kept)?;
        rig.bed().xenstore_write(&mtu, mtu_kept)?;
        rig.order("open").map(drop)
    });
}

#[test]
fn h57_a_number_of_queues_that_makes_no_sense() {
    case("h57_a_number_of_queues_that_makes_no_sense", Works, |rig| {
        for queues in ["0", "4294967296", "-1"] {
            rig.reconnect(&format!("multi-queue-max-queues={queues}"))?;
            rig.order("ping 1")?;
            same("queues", number(&rig.status()?, "/interfaces/0/features/queues")?, 1)?;
        }
        rig.reconnect("")
    });
}

#[test]
fn h74_reconnects_again_and_again() {
    case("h74_reconnects_again_and_again", Works, |rig| {
        let wanted = std::env::var("HOSTILE_RECONNECTS").ok().and_then(|text| text.parse().ok());
        let wanted: u64 = wanted.unwrap_or(RECONNECTS);
        let pages = |rig: &mut Rig| -> Outcome<[u64; 4]> {
            let status = rig.status()?;
            Ok([
                number(&status, "/pages/taken")?,
                number(&status, "/heap/used_bytes")? >> 16,
                number(&status, "/interfaces/0/rx_pool/total")?,
                number(&status, "/interfaces/0/tx_pool/total")?,
            ])
        };
        rig.reconnect("")?;
        rig.order("ping 1")?;
        let before = pages(rig)?;
        let connects = number(&rig.status()?, "/interfaces/0/device/connects")?;
        for _ in 0..wanted {
            rig.reconnect("")?;
            rig.order("ping 1")?;
        }
        assert_eq!(pages(rig)?, before, "pages out, heap in 64 KiB, pages of the pools");
        same("connections", number(&rig.status()?, "/interfaces/0/device/connects")?, connects + wanted)
    });
}
