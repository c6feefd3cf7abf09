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

/// Sends bytes to the echo service, and reads them back.
fn echo(stream: &mut TcpStream, bytes: &[u8]) -> Outcome {
    stream.write_all(bytes)?;
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer)?;
    if answer == bytes { Ok(()) } else { Err(format!("{bytes:?} came back as {answer:?}").into()) }
}

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
fn guest_that_is_asked_for_memory_keeps_it_and_says_so() {
    run_test("guest_that_is_asked_for_memory_keeps_it_and_says_so", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("web", "full", "")?.memory_mib(SMALL_MIB))?;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        xl(bed, "mem-set full 12")?;
        guest.domain.wait_for_next(" KiB: this guest keeps the ", SOON)?;
        assert_eq!(connection.get("/healthz")?.status, 200);
        assert_eq!(guest.domain.state()?.memory_mib, u64::from(SMALL_MIB), "as it was");
        xl(bed, "mem-set full 16")?;
        assert_eq!(connection.get("/healthz")?.status, 200);
        Ok(())
    });
}

#[test]
fn pause_costs_no_connection() {
    run_test("pause_costs_no_connection", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("echo", "paused", "")?.memory_mib(SMALL_MIB))?;
        let mut stream = TcpStream::connect(guest.tcp(7)?)?;
        stream.set_read_timeout(Some(SOON))?;
        echo(&mut stream, b"before")?;
        xl(bed, "pause paused")?;
        assert_eq!(guest.domain.state()?.state, DomainState::Paused);
        stream.write_all(b"meanwhile")?;
        sleep(Duration::from_secs(15));
        xl(bed, "unpause paused")?;
        let mut answer = [0; 9];
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"meanwhile");
        echo(&mut stream, b"after")?;
        ask(&guest.domain, "grants", "quarantined 0")?;
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

#[test]
fn watchdog_ends_a_guest_that_hangs_and_no_other() {
    run_test("watchdog_ends_a_guest_that_hangs_and_no_other", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("echo", "guarded", "watchdog=3")?.memory_mib(SMALL_MIB))?;
        sleep(Duration::from_secs(10));
        assert_eq!(guest.domain.state()?.state, DomainState::Blocked, "it looks after itself while idle");
        let id = guest.domain.domid();
        node(bed, id, "control/feature-poweroff", |value| value == "1", SOON)?;
        xl(bed, "destroy guarded")?;
        guest.domain.wait_gone(SOON)?;
        Ok(())
    });
}
