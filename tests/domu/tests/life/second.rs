//! A second vif is attached and detached while the first one carries traffic.

use crate::save::Account;
use crate::traffic::{Busy, SILENCE};
use crate::{SMALL_MIB, node, xl};
use bed::run_test;
use domu_tests::dom0::ping;
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome, SOON};
use serde_json::Value;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Times that the vif is attached and detached.
const ROUNDS: u32 = 3;
const MAC: &str = "00:16:3e:00:00:77";

#[test]
fn a_second_vif_comes_and_goes_while_the_first_is_busy() {
    run_test("a_second_vif_comes_and_goes_while_the_first_is_busy", |bed| -> Outcome {
        let cmdline = format!("{SILENCE} ip.1=10.0.2.81/24 ip6.1=off");
        let guest = Guest::create(bed, &config("web", "vifs", &cmdline)?.memory_mib(SMALL_MIB))?;
        let id = guest.domain.domid();
        let mut busy = Busy::start(bed, &guest)?;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        // From the first round on the interface is known, attached or not.
        let (mut with, mut without) = (None, None);
        for round in 1..=ROUNDS {
            xl(bed, &format!("network-attach vifs bridge=xenbr0 mac={MAC}"))?;
            guest.domain.wait_for_next("vif/1: connected", BOOT)?;
            // A port of the bridge forwards nothing in its first moments.
            bed.dom0("for i in $(seq 20); do ping -c 1 -W 1 10.0.2.81 && break; done")?;
            ping(bed, 3, "10.0.2.81").map_err(|error| format!("round {round}: {error}"))?;
            node(bed, id, "attr/vif/1/ipv4/0", |value| value == "10.0.2.81", SOON)?;
            busy.goes_on(&format!("with the second vif, round {round}"))?;
            same(&mut with, &mut connection, &format!("attached, round {round}"))?;

            xl(bed, "network-detach vifs 1")?;
            guest.domain.wait_for_next("device/vif/1: the backend in domain 0 is ", SOON)?;
            busy.goes_on(&format!("without the second vif, round {round}"))?;
            let gone = format!(
                "for i in $(seq 100); do [ ! -e /sys/class/net/vif{id}.1 ] && exit; sleep 0.1; done; exit 1"
            );
            assert!(bed.dom0(&gone)?.success(), "round {round}: dom0 still has its end of the vif");
            let status = same(&mut without, &mut connection, &format!("detached, round {round}"))?;
            assert_eq!(number(&status, "/interfaces/0/device/connects")?, 1, "the first vif was left alone");
        }
        eprintln!("  {ROUNDS} rounds: {with:?}, {without:?}");
        busy.end()
    });
}

/// Every round must leave what the first one left. Data in flight of the busy connection is in the heap, more or less
/// of it at each look; a leak is there at every look.
fn same(first: &mut Option<Account>, connection: &mut Connection, when: &str) -> Outcome<Value> {
    let began = Instant::now();
    loop {
        let status = connection.status()?;
        let now = Account::of(&status)?;
        match now.check(first.get_or_insert(now), when) {
            Ok(()) => {
                // Later rounds are compared with the least value.
                *first = first.map(|first| first.least(now));
                return Ok(status);
            }
            Err(error) if began.elapsed() > SOON => return Err(error),
            Err(_) => sleep(Duration::from_millis(50)),
        }
    }
}
