//! What frontend and backend agree on, against dom0's netback: each feature on and off, and data that uses it.

use bed::{Bed, run_test};
use domu_tests::dom0::Client;
use domu_tests::guest::{Guest, config};
use domu_tests::{Outcome, SOON};
use std::time::Duration;

/// Bytes that go there and back with each choice of features.
const BULK: u64 = 4 << 20;

/// One direction, as the guest's shell tells of it.
#[derive(Debug)]
struct Way {
    features: String,
    /// Frames over several slots.
    chains: u64,
    /// Merged from TCP segments, or to be cut into some.
    merged: u64,
    /// Without a checksum.
    blank: u64,
}

impl Way {
    /// The next line on the guest's console that begins with `begin`.
    fn of(guest: &Guest<'_>, begin: &str) -> Outcome<Self> {
        let line = guest.domain.wait_for_next(begin, SOON)?;
        let (features, counts) = line.split_once(':').unwrap_or((&line, ""));
        let numbers = counts.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
        match numbers.collect::<Vec<u64>>()[..] {
            [chains, merged, blank] => {
                let features = features.trim().trim_start_matches(begin.trim()).trim().to_owned();
                Ok(Self { features, chains, merged, blank })
            }
            _ => Err(format!("not three counts: {line:?}").into()),
        }
    }

    const fn counts(&self) -> [u64; 3] {
        [self.chains, self.merged, self.blank]
    }
}

/// A guest without some features, with bulk data both ways: what it says of its way in and out.
fn without<'a>(bed: &'a Bed, client: &Client<'_>, refused: &str) -> Outcome<(Guest<'a>, Way, Way)> {
    let name = if refused.is_empty() { "all".to_owned() } else { refused.replace(',', "-") };
    let cmdline = if refused.is_empty() { String::new() } else { format!("vif.refuse={refused}") };
    let guest = Guest::create(bed, &config("echo", &name, &cmdline)?)?;
    let took = client.echo_tcp((guest.address, 7).into(), BULK, Duration::from_secs(120))?;
    guest.domain.send_line("net")?;
    let (rx, tx) = (Way::of(&guest, "   rx ")?, Way::of(&guest, "   tx ")?);
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
