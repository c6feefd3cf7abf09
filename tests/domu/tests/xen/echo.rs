//! Packets of every size and streams of every byte, there and back through dom0's netback.

use bed::run_test;
use domu_tests::dom0::{Client, ping};
use domu_tests::guest::Guest;
use domu_tests::{Outcome, SOON, echo};
use std::time::Duration;

/// 20 sizes, on both sides of the limits: the shortest frame, the pool's threshold, the longest unfragmented datagram.
const PING_SIZES: [usize; 20] =
    [56, 63, 64, 127, 128, 213, 214, 215, 255, 256, 257, 400, 511, 512, 600, 800, 1000, 1024, 1280, 1400];
const PINGS_OF_A_SIZE: u32 = 50;

#[test]
fn thousand_pings_are_answered() {
    run_test("thousand_pings_are_answered", |bed| -> Outcome {
        let guest = Guest::start(bed, "echo", "")?;
        guest.wait_for_ipv6()?;
        for size in PING_SIZES {
            ping(bed, PINGS_OF_A_SIZE, &format!("-i 0.01 -s {size} {}", guest.address))?;
        }
        Ok(())
    });
}

#[test]
fn datagrams_of_every_size_come_back() {
    run_test("datagrams_of_every_size_come_back", |bed| -> Outcome {
        let guest = Guest::start(bed, "echo", "")?;
        guest.wait_for_ipv6()?;
        // 1500 bytes are the MTU; IPv4 and UDP take 28 of them.
        // From dom0: QEMU drops what a guest answers to a forwarded UDP port while its network is restricted.
        let client = Client::new(bed)?;
        let again = client.echo_udp((guest.address, 7).into(), 1472, Duration::from_secs(300))?;
        eprintln!("  1473 datagrams there and back; {again} sent again");
        assert!(again <= 15, "{again} datagrams were lost on a network that loses none");
        // Echo retains each datagram in its page until the answer is sent; every page has returned.
        guest.domain.send_line("net")?;
        let device = guest.domain.wait_for("0 device:", SOON)?;
        let console = guest.domain.console();
        let value = |name: &str| {
            console.split(&format!(" {name} ")).nth(1)?.split([',', '\r', '\n']).next()?.parse().ok()
        };
        let retained: Option<u64> = value("retained_packets");
        assert!(retained.is_some_and(|retained| retained >= 1473), "{console}");
        // Counters at 0 are not in the answer.
        assert!(!console.contains("retained_refused") && !device.contains("mismatches"), "{console}");
        guest.domain.send_line("pool")?;
        let pool = guest.domain.wait_for("0 rx_pool: ", SOON)?;
        assert!(pool.contains(" in_use 0, quarantined 0"), "{pool}");
        Ok(())
    });
}

#[test]
fn sixty_four_mebibytes_come_back_by_tcp() {
    run_test("sixty_four_mebibytes_come_back_by_tcp", |bed| -> Outcome {
        let guest = Guest::start(bed, "echo", "")?;
        // A little from the host first: over another way, with other sizes of segments.
        echo::tcp(guest.tcp(7)?, 1 << 20)?;
        let total = 64 << 20;
        let client = Client::new(bed)?;
        // Half a minute on an idle machine, minutes on a busy one.
        let took = client.echo_tcp((guest.address, 7).into(), total, Duration::from_secs(900))?;
        let rate = total as f64 / took.as_secs_f64() / 1e6;
        eprintln!("  64 MiB there and back in {:.1} s: {rate:.1} MB/s each way", took.as_secs_f64());
        Ok(())
    });
}

#[test]
fn a_plain_smoltcp_program_echoes_a_mebibyte() {
    run_test("a_plain_smoltcp_program_echoes_a_mebibyte", |bed| -> Outcome {
        let guest = Guest::start(bed, "stock", "")?;
        // Twice: a socket listens while another one closes.
        echo::tcp(guest.tcp(7)?, 1 << 20)?;
        echo::tcp(guest.tcp(7)?, 1 << 20)?;
        Ok(())
    });
}
