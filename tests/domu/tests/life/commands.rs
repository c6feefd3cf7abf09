//! What an operator types, command by command: `docs/operating.md` has the same table in words.

use crate::{SMALL_MIB, ask, node, xl};
use bed::{DomainState, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::http::Connection;
use domu_tests::{Outcome, SOON};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

#[test]
fn looking_at_a_guest_does_not_disturb_it() {
    run_test("looking_at_a_guest_does_not_disturb_it", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("web", "looked", "")?.memory_mib(SMALL_MIB))?;
        let id = guest.domain.domid();
        let mut connection = Connection::open(guest.tcp(80)?)?;
        let mut check = |what: &str| -> Outcome {
            let status = connection.get("/healthz")?.status;
            if status == 200 { Ok(()) } else { Err(format!("after xl {what}: {status}").into()) }
        };
        for (command, answer) in [
            ("list", "looked"),
            ("list -l looked", "\"name\": \"looked\""),
            ("vcpu-list looked", "looked"),
            ("domid looked", &*id.to_string()),
            ("domname {id}", "looked"),
            ("uptime looked", "looked"),
            ("network-list looked", "/local/domain/0/backend/vif/"),
            ("dmesg", "(XEN)"),
            ("debug-keys q", ""),
            ("vcpu-pin looked 0 all", ""),
            ("sched-credit2 -d looked -w 512", ""),
            ("rename looked seen", ""),
            ("rename seen looked", ""),
        ] {
            let command = command.replace("{id}", &id.to_string());
            let out = xl(bed, &command)?;
            assert!(out.contains(answer), "xl {command}: {out}");
            check(&command)?;
        }
        Ok(())
    });
}

#[test]
fn card_that_is_pulled_and_plugged_works_again() {
    run_test("card_that_is_pulled_and_plugged_works_again", |bed| -> Outcome {
        // A static address: no lease to wait for.
        let domain =
            bed.create(&config("web", "plug", "ip=10.0.2.77/24 gw=10.0.2.2")?.memory_mib(SMALL_MIB))?;
        domain.wait_for("listening on http://10.0.2.77:80/", domu_tests::BOOT)?;
        let to = bed.forward_tcp("10.0.2.77".parse()?, 80)?;
        assert_eq!(Connection::open(to)?.get("/healthz")?.status, 200);
        xl(bed, "network-detach plug 0")?;
        domain.wait_for_next("is closing", SOON)?;
        xl(bed, "network-attach plug bridge=xenbr0")?;
        domain.wait_for_next("vif/0: connected", SOON)?;
        // The new card has another address: QEMU's network learns it by the second announcement at the latest, two
        // seconds after the first, which is lost if the bridge does not know the port yet.
        sleep(Duration::from_secs(4));
        assert_eq!(Connection::open(to)?.get("/healthz")?.status, 200);
        Ok(())
    });
}
