//! A backend that is restarted: the module of dom0's netback is unloaded and loaded again under a guest that is busy
//! (H74).

use crate::save::Account;
use crate::traffic::{Busy, SILENCE};
use crate::{SLOWLY, SMALL_MIB};
use bed::{Bed, run_test};
use domu_tests::capture::{Capture, advertises, announces};
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{Outcome, SOON};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Restarts in the suite: each takes two or three seconds under emulation.
const RESTARTS: u64 = 5;
/// Restarts of the long test.
const MANY: u64 = 100;

/// Takes the module out and puts it in again. Linux keeps a module that has devices, so they are taken from it first.
/// The new network interface is put on the bridge as a hotplug script would, which runs only when the toolstack
/// attaches.
fn reload(bed: &Bed, domid: u32) -> Outcome {
    let script = format!(
        "back=backend/vif/{domid}/0; vif=vif{domid}.0
         echo vif-{domid}-0 > /sys/bus/xen-backend/drivers/vif/unbind && rmmod xen_netback || exit 1
         [ -e /sys/class/net/$vif ] && echo \"$vif is still there\" >&2 && exit 1
         xenstore-rm $back/hotplug-status
         insmod /usr/lib/modules/xen_netback.ko || exit 1
         for i in $(seq 200); do [ -e /sys/class/net/$vif ] && break; sleep 0.05; done
         XENBUS_PATH=$back vif=$vif sh /etc/xen/scripts/vif-bridge online"
    );
    let output = bed.dom0_within(&script, SLOWLY)?;
    if output.success() { Ok(()) } else { Err(format!("netback is not reloaded: {output:?}").into()) }
}

fn restarts(bed: &Bed, count: u64) -> Outcome {
    let guest = Guest::create(bed, &config("web", "kept", SILENCE)?.memory_mib(SMALL_MIB))?;
    let six = guest.wait_for_ipv6()?;
    let id = guest.domain.domid();
    let capture = Capture::start(bed)?;
    let mut busy = Busy::start(bed, &guest)?;
    let mut connection = Connection::open(guest.tcp(80)?)?;
    let before = connection.status()?;
    let account = Account::of(&before)?;
    let pools = |status: &serde_json::Value| -> Outcome<u64> {
        Ok(number(status, "/interfaces/0/rx_pool/total")? + number(status, "/interfaces/0/tx_pool/total")?)
    };
    let connects = number(&before, "/interfaces/0/device/connects")?;
    let heard = || -> Outcome<(usize, usize)> {
        let arp = capture.count(|frame| announces(frame, guest.address))?;
        Ok((arp, capture.count(|frame| advertises(frame, six))?))
    };
    let (mut cut, mut most) = (0, pools(&before)?);
    for restart in 1..=count {
        let told = heard()?;
        cut += u64::from(busy.download.is_within());
        reload(bed, id)?;
        guest.domain.wait_for_next("vif/0: connected to domain 0", SOON)?;
        busy.goes_on(&format!("after restart {restart}"))?;
        let status = connection.status()?;
        Account::of(&status)?.check(&account, &format!("restart {restart}"))?;
        assert_eq!(number(&status, "/interfaces/0/device/connects")?, connects + restart);
        assert_eq!(number(&status, "/interfaces/0/device/breaks")?, 0, "restart {restart}");
        if restart == 1 {
            most = most.max(pools(&status)?);
        }
        // The guest announces its address to neighbours: a second time two seconds later.
        let began = Instant::now();
        loop {
            let now = heard()?;
            if now.0 > told.0 && now.1 > told.1 {
                break;
            }
            assert!(began.elapsed() < SOON, "restart {restart}: announced {told:?}, then {now:?}");
            sleep(Duration::from_millis(100));
        }
        assert!(pools(&status)? <= most.max(number(&before, "/interfaces/0/rx_pool/max")?), "{status}");
    }
    assert!(cut > count / 2, "{cut} of {count} restarts met a download in the middle");
    eprintln!("  {count} restarts, {cut} within a reply, announced {:?}: {account:?}", heard()?);
    busy.end()
}

#[test]
fn connections_go_on_when_netback_is_reloaded() {
    run_test("connections_go_on_when_netback_is_reloaded", |bed| restarts(bed, RESTARTS));
}

#[test]
#[ignore = "takes many minutes: make test-life-long"]
fn a_hundred_reloads_of_netback() {
    run_test("a_hundred_reloads_of_netback", |bed| restarts(bed, MANY));
}
