//! IPv6 from dom0 over the bridge: fixed addresses and such by a router's advertisements, pings, TCP, UDP, offloads.

use crate::features::Way;
use bed::{Bed, run_test};
use domu_tests::dom0::{Client, ping, speak_ipv6};
use domu_tests::guest::{Guest, config};
use domu_tests::http::Connection;
use domu_tests::{Outcome, SOON};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

const BULK: u64 = 4 << 20;
const GUEST: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x6d69, 0, 0, 0, 0, 0, 0x10);

/// A guest with a fixed address, which it has tried out.
fn fixed<'a>(bed: &'a Bed, name: &str, more: &str) -> Outcome<Guest<'a>> {
    let guest = Guest::create(bed, &config("echo", name, &format!("ip6={GUEST}/64 {more}"))?)?;
    guest.domain.wait_for(format!("IPv6 address {GUEST}/64").as_str(), SOON)?;
    Ok(guest)
}

#[test]
fn pings_tcp_and_udp_by_ipv6() {
    run_test("pings_tcp_and_udp_by_ipv6", |bed| -> Outcome {
        speak_ipv6(bed)?;
        let client = Client::new(bed)?;
        let guest = fixed(bed, "six", "")?;
        let id = guest.domain.domid();
        let mac = bed.xenstore_read(&format!("/local/domain/{id}/device/vif/0/mac"))?;
        let bytes: Vec<u8> =
            mac.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
        let [a, b, c, d, e, f] = bytes[..] else { return Err(format!("no hardware address: {mac}").into()) };
        let pair = |high, low| u16::from_be_bytes([high, low]);
        let local = Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f));
        for address in [GUEST.to_string(), format!("{local}%xenbr0")] {
            for size in [0, 56, 1000, 1452] {
                ping(bed, 20, &format!("-6 -i 0.01 -s {size} {address}"))?;
            }
        }
        let to = SocketAddr::from((GUEST, 7));
        let took = client.echo_tcp(to, BULK, Duration::from_secs(120))?;
        eprintln!("  {BULK} bytes and back in {:.1} s", took.as_secs_f64());
        let again = client.echo_udp(to, 1452, Duration::from_secs(120))?;
        eprintln!("  1453 datagrams, {again} sent again");
        // As XCP-ng's guest agent writes them; within its five seconds.
        let nodes = format!("/local/domain/{id}/attr/vif/0/ipv6");
        let told = |number: u32| bed.xenstore_read(&format!("{nodes}/{number}"));
        let end = std::time::Instant::now() + SOON;
        while told(1).is_err() && std::time::Instant::now() < end {
            std::thread::sleep(Duration::from_millis(200));
        }
        assert_eq!((told(0)?, told(1)?), (local.to_string(), GUEST.to_string()));
        Ok(())
    });
}

#[test]
fn offloads_of_ipv6_are_used_and_can_be_refused() {
    run_test("offloads_of_ipv6_are_used_and_can_be_refused", |bed| -> Outcome {
        speak_ipv6(bed)?;
        let client = Client::new(bed)?;
        for (refused, all) in [("", true), ("gso6,csum6", false)] {
            let more = if refused.is_empty() { String::new() } else { format!("vif.refuse={refused}") };
            let guest = fixed(bed, if all { "all6" } else { "none6" }, &more)?;
            let took = client.echo_tcp((GUEST, 7).into(), BULK, Duration::from_secs(120))?;
            let again = client.echo_udp((GUEST, 7).into(), 1452, Duration::from_secs(60))?;
            let (rx, tx) = Way::both(&guest)?;
            eprintln!(
                "  without {refused:?}: {:.1} s, {again} datagrams again\n  {rx:?}\n  {tx:?}",
                took.as_secs_f64()
            );
            for way in [&rx, &tx] {
                assert_eq!(
                    (way.features.contains("gso6"), way.features.contains("csum6")),
                    (all, all),
                    "{way:?}"
                );
            }
            // dom0's stack merges, and leaves checksums blank; ours cuts IPv6 itself, and its frontend merges that again.
            assert_eq!((rx.merged > 0, tx.merged > 0), (all, all));
            // DHCP's few datagrams are IPv4.
            assert_eq!((rx.blank > 100, tx.blank > 100), (all, all));
            guest.domain.destroy()?;
        }
        Ok(())
    });
}

#[test]
fn a_router_gives_the_guest_an_address() {
    run_test("a_router_gives_the_guest_an_address", |bed| -> Outcome {
        // The router is QEMU's: fe80::2, with the prefix fec0::/64. dom0 hears it too.
        speak_ipv6(bed)?;
        let guest = Guest::start(bed, "web", "")?;
        let address = guest.wait_for_ipv6()?;
        guest.domain.wait_for(format!("and http://[{address}]:80/").as_str(), SOON)?;
        // Not busybox's wget, which crashes on an address in brackets.
        Client::new(bed)?.request((address, 80).into(), 4, 0, SOON)?;
        let status = Connection::open(guest.tcp(80)?)?.status()?;
        let interface = &status["interfaces"][0];
        assert_eq!(interface["ipv6_gateway"], "fe80::2", "{interface}");
        assert_eq!(interface["ipv6"][1]["address"], format!("{address}/64"), "{interface}");
        assert_eq!(interface["ipv6"][1]["state"], "valid");
        Ok(())
    });
}

#[test]
fn an_address_that_dom0_has_is_not_taken() {
    run_test("an_address_that_dom0_has_is_not_taken", |bed| -> Outcome {
        speak_ipv6(bed)?;
        let guest = Guest::start(bed, "echo", "ip6=fd00:6d69::1/64")?;
        guest.domain.wait_for("IPv6 address fd00:6d69::1 is in use by another host", SOON)?;
        guest.domain.send_line("net")?;
        guest.domain.wait_for_next("fd00:6d69::1/64 duplicate", SOON)?;
        Ok(())
    });
}
