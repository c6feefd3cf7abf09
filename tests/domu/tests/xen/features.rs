//! Negotiation with dom0's netback: each feature on and off, and data that uses it.

use bed::{Bed, run_test};
use domu_tests::dom0::{Client, ping};
use domu_tests::guest::{Guest, config};
use domu_tests::{Outcome, SOON};
use std::time::Duration;

/// Bytes that go there and back with each choice of features.
const BULK: u64 = 4 << 20;

/// One direction, as the guest's shell prints it.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) features: String,
    /// Frames over several slots.
    chains: u64,
    /// Merged from TCP segments, or to be cut into some.
    pub(crate) merged: u64,
    /// Without a checksum.
    pub(crate) blank: u64,
}

impl Way {
    /// Both directions, received and sent, by the shell's command `net`.
    pub(crate) fn both(guest: &Guest<'_>) -> Outcome<(Self, Self)> {
        let domain = &guest.domain;
        domain.send_line("net")?;
        domain.wait_for_next("> net", SOON)?;
        let features = domain.wait_for_next("; features to receive: ", SOON)?;
        // The group after those of both directions: they are complete.
        domain.wait_for_next("0 device:", SOON)?;
        let console = domain.console();
        let (_, answer) = console.rsplit_once("> net").ok_or("no answer")?;
        let (_, both) = features.split_once("to receive: ").ok_or("no features")?;
        let (rx, tx) = both.split_once("; to send: ").ok_or("no features to send")?;
        Ok((Self::of(answer, "0 rx:", rx)?, Self::of(answer, "0 tx:", tx)?))
    }

    /// The counters of a group; those at 0 are not in the answer.
    fn of(answer: &str, group: &str, features: &str) -> Outcome<Self> {
        let (_, rest) = answer.split_once(group).ok_or_else(|| format!("no {group} in {answer:?}"))?;
        let lines = rest.lines().enumerate().take_while(|(at, line)| *at == 0 || line.starts_with("   "));
        let text: String = lines.map(|(_, line)| line).collect();
        let value = |name: &str| {
            let words = |number: &str| {
                number.trim().split_once(' ').map(|(name, n)| (name.to_owned(), n.parse().ok()))
            };
            text.split(',')
                .filter_map(words)
                .find(|(found, _)| found == name)
                .and_then(|(_, n)| n)
                .unwrap_or(0)
        };
        Ok(Self {
            features: features.trim().to_owned(),
            chains: value("chains"),
            merged: value("gso_packets"),
            blank: value("checksum_blank"),
        })
    }

    const fn counts(&self) -> [u64; 3] {
        [self.chains, self.merged, self.blank]
    }
}

/// A guest without some features, with bulk data both ways; returns its figures of both directions.
fn without<'a>(bed: &'a Bed, client: &Client<'_>, refused: &str) -> Outcome<(Guest<'a>, Way, Way)> {
    let name = if refused.is_empty() { "all".to_owned() } else { refused.replace(',', "-") };
    let cmdline = if refused.is_empty() { String::new() } else { format!("vif.refuse={refused}") };
    let guest = Guest::create(bed, &config("echo", &name, &cmdline)?)?;
    let took = client.echo_tcp((guest.address, 7).into(), BULK, Duration::from_secs(120))?;
    let (rx, tx) = Way::both(&guest)?;
    eprintln!("  without {refused:?}: {BULK} bytes and back in {:.1} s", took.as_secs_f64());
    eprintln!("  {rx:?}\n  {tx:?}");
    Ok((guest, rx, tx))
}

#[test]
fn each_feature_is_used_and_can_be_refused() {
    run_test("each_feature_is_used_and_can_be_refused", |bed| -> Outcome {
        let client = Client::new(bed)?;
        let (guest, rx, tx) = without(bed, &client, "")?;
        assert_eq!(
            (rx.features.as_str(), tx.features.as_str()),
            ("sg csum4 csum6 gso4 gso6", "sg csum4 csum6 gso4 gso6")
        );
        assert!(
            rx.counts().iter().all(|count| *count > 0),
            "dom0's stack merges, and leaves checksums blank"
        );
        assert!(tx.counts().iter().all(|count| *count > 0), "and so does ours");
        let front = format!("/local/domain/{}/device/vif/0", guest.domain.domid());
        for key in ["feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-ipv6-csum-offload"] {
            assert_eq!(bed.xenstore_read(&format!("{front}/{key}"))?, "1", "{key}");
        }
        guest.domain.destroy()?;

        let (guest, rx, tx) = without(bed, &client, "gso4,gso6")?;
        for way in [rx, tx] {
            assert_eq!(way.features, "sg csum4 csum6");
            assert!(way.chains == 0 && way.merged == 0 && way.blank > 0, "segments of an MTU: {way:?}");
        }
        guest.domain.destroy()?;

        let (guest, rx, tx) = without(bed, &client, "sg,csum4,csum6,split")?;
        for way in [rx, tx] {
            assert_eq!((way.features.as_str(), way.counts()), ("none", [0, 0, 0]));
        }
        let front = format!("/local/domain/{}/device/vif/0", guest.domain.domid());
        assert_eq!(bed.xenstore_read(&format!("{front}/feature-no-csum-offload"))?, "1");
        assert!(bed.xenstore_read(&format!("{front}/event-channel"))?.parse::<u32>().is_ok(), "one for both");
        Ok(())
    });
}

/// Payload bytes of a packet that has to cross in one piece or in six.
const JUMBO: usize = 8000;

#[test]
fn frames_of_nine_thousand_bytes_go_both_ways() {
    run_test("frames_of_nine_thousand_bytes_go_both_ways", |bed| -> Outcome {
        let client = Client::new(bed)?;
        // Without merged segments, so that one large packet takes several slots. Without IPv6: each address of
        // it that becomes valid empties the cache of neighbours, which costs the reply to a ping.
        let domain = config("echo", "jumbo", "ip6=off vif.refuse=gso4,gso6")?.vif(["bridge=xenbr0,mtu=9000"]);
        let guest = Guest::create(bed, &domain)?;
        let id = guest.domain.domid();
        assert_eq!(bed.xenstore_read(&format!("/local/domain/{id}/device/vif/0/mtu"))?, "9000");
        for command in ["ip link set vif{id}.0 mtu 9000", "ip link set xenbr0 mtu 9000"] {
            let done = bed.dom0(&command.replace("{id}", &id.to_string()))?;
            assert!(done.success(), "{command}: {}", done.stderr);
        }
        ping(bed, 5, &format!("-s {JUMBO} {}", guest.address))?;
        client.echo_datagrams((guest.address, 7).into(), JUMBO, 20)?;
        client.echo_tcp((guest.address, 7).into(), 1 << 20, Duration::from_secs(60))?;
        let (rx, tx) = Way::both(&guest)?;
        guest.domain.wait_for(", mtu 9000,", SOON)?;
        eprintln!("  {rx:?}\n  {tx:?}");
        for way in [rx, tx] {
            assert!(way.chains >= 25 && way.merged == 0, "each in one piece: {way:?}");
        }
        Ok(())
    });
}

/// What a vif with a rate sends: some of it at once, on credit; the rest at 100,000 bytes a second.
const RATED: u64 = 768 << 10;
const CREDIT: u64 = 128 << 10;
const RATE: u64 = 100_000;

#[test]
fn a_vif_with_a_rate_is_slow_and_does_not_hang() {
    run_test("a_vif_with_a_rate_is_slow_and_does_not_hang", |bed| -> Outcome {
        let client = Client::new(bed)?;
        let domain = config("echo", "rate", "")?.vif(["bridge=xenbr0,rate=100KB/s"]);
        let guest = Guest::create(bed, &domain)?;
        let took = client.echo_tcp((guest.address, 7).into(), RATED, Duration::from_secs(120))?;
        eprintln!("  {RATED} bytes and back in {:.1} s", took.as_secs_f64());
        // So slow that a busy machine without a rate is faster, by far.
        assert!(took > Duration::from_millis((RATED - CREDIT) * 900 / RATE), "{took:?}");
        assert!(!guest.domain.console().contains("broken by the backend"));
        Ok(())
    });
}

#[test]
fn frames_flow_while_the_backend_has_carrier() {
    run_test("frames_flow_while_the_backend_has_carrier", |bed| -> Outcome {
        let client = Client::new(bed)?;
        let guest = Guest::create(bed, &config("echo", "carrier", "ip6=off")?)?;
        let carrier = format!("/local/domain/0/backend/vif/{}/0/carrier", guest.domain.domid());
        let address = guest.address.to_string();
        ping(bed, 2, &address)?;
        // Dom0's netback does not write the node, as others do.
        bed.xenstore_write(&carrier, "0")?;
        guest.domain.wait_for_next("the backend has no carrier", SOON)?;
        let none = bed.dom0(&format!("ping -c 2 -W 1 {address}"))?;
        assert!(
            none.stdout.contains("% packet loss") && !none.stdout.contains(" 0% packet loss"),
            "{none:?}"
        );
        bed.xenstore_write(&carrier, "1")?;
        guest.domain.wait_for_next("the backend has carrier", SOON)?;
        ping(bed, 2, &address)?;
        client.echo_tcp((guest.address, 7).into(), 64 << 10, Duration::from_secs(60))?;
        Ok(())
    });
}

/// Connections, each a flow of its own: that one of three queues gets none is less likely than one in 100,000.
const FLOWS: usize = 32;

#[test]
fn several_queues_are_used() {
    run_test("several_queues_are_used", |bed| -> Outcome {
        let client = Client::new(bed)?;
        // By default netback offers as many as dom0 has processors.
        bed.dom0("echo 4 > /sys/module/xen_netback/parameters/max_queues")?;
        let guest = Guest::create(bed, &config("echo", "queues", "vif.queues=3")?)?;
        let id = guest.domain.domid();
        let front = format!("/local/domain/{id}/device/vif/0");
        let agreed: usize = bed.xenstore_read(&format!("{front}/multi-queue-num-queues"))?.parse()?;
        assert_eq!(agreed, 3);
        for queue in 0..agreed {
            bed.xenstore_read(&format!("{front}/queue-{queue}/event-channel-tx"))?;
        }
        for _ in 0..FLOWS {
            client.echo_tcp((guest.address, 7).into(), 64 << 10, Duration::from_secs(60))?;
        }
        let interrupts = bed.dom0("cat /proc/interrupts")?.stdout;
        for queue in 0..agreed {
            let begin = format!("vif{id}.0-q{queue}-tx");
            let line = interrupts.lines().find(|line| line.trim_end().ends_with(&begin));
            let line = line.ok_or_else(|| format!("no {begin} in:\n{interrupts}"))?;
            let rung: u64 = line.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok()).sum();
            eprintln!("  {begin}: {rung} events");
            assert!(rung > 0, "nothing was sent by queue {queue}");
        }
        Ok(())
    });
}

#[test]
fn every_vif_is_a_separate_interface() {
    run_test("every_vif_is_a_separate_interface", |bed| -> Outcome {
        let client = Client::new(bed)?;
        let two = ["bridge=xenbr0", "bridge=xenbr0"];
        let cmdline = "ip=dhcp ip.1=10.0.2.81/24 ip.2=10.0.2.82/24 ip.3=10.0.2.83/24";
        let guest = Guest::create(bed, &config("echo", "vifs", cmdline)?.vif(two))?;
        let id = guest.domain.domid();
        guest.domain.wait_for("vif/1: connected", SOON)?;
        let echo =
            |address: [u8; 4]| client.echo_tcp((address, 7).into(), 256 << 10, Duration::from_secs(60));
        client.echo_tcp((guest.address, 7).into(), 256 << 10, Duration::from_secs(60))?;
        echo([10, 0, 2, 81])?;

        // A third one, attached while the guest runs.
        bed.dom0(&format!("xl network-attach {id} bridge=xenbr0"))?;
        guest.domain.wait_for("vif/2: connected", SOON)?;
        echo([10, 0, 2, 82])?;

        // The second goes, and the others do not notice; another one comes, with the next number.
        bed.dom0(&format!("xl network-detach {id} 1"))?;
        guest.domain.wait_for_next("device/vif/1: the backend in domain 0 is ", SOON)?;
        client.echo_tcp((guest.address, 7).into(), 256 << 10, Duration::from_secs(60))?;
        echo([10, 0, 2, 82])?;
        bed.dom0(&format!("xl network-attach {id} bridge=xenbr0"))?;
        guest.domain.wait_for("vif/3: connected", SOON)?;
        echo([10, 0, 2, 83])?;
        Ok(())
    });
}
