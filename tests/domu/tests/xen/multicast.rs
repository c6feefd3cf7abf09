//! Multicast control against dom0's netback: which groups pass, and which do not.

use bed::{Bed, run_test};
use domu_tests::guest::{Guest, config, verdict};
use domu_tests::http::{Connection, number};
use domu_tests::{Outcome, SOON};
use std::time::Instant;

/// All hosts, 224.0.0.1: the one group of IPv4 that every host is in.
const JOINED: &str = "01:00:5e:00:00:01";
/// A group of the same block, which no bridge filters; the guest has not joined it.
const NOT_JOINED: &str = "01:00:5e:00:00:05";
/// Frames that the probe sends to each group.
const FRAMES: u64 = 5;

/// How many of the probe's frames to these groups a guest gets.
fn heard(bed: &Bed, listener: &Guest<'_>, name: &str, groups: &str) -> Outcome<u64> {
    let mut http = Connection::open(listener.tcp(80)?)?;
    let pointer = "/interfaces/0/drops/ether_type";
    let before = number(&http.status()?, pointer)?;
    let cmdline = format!("app.do=shout app.to={groups}");
    verdict(&bed.create(&config("probe", name, &cmdline)?)?)?;
    Ok(number(&http.status()?, pointer)? - before)
}

#[test]
fn frames_to_groups_come_where_we_joined_them() {
    run_test("frames_to_groups_come_where_we_joined_them", |bed| -> Outcome {
        let guest = Guest::start(bed, "web", "")?;
        let front = format!("/local/domain/{}/device/vif/0", guest.domain.domid());
        assert_eq!(bed.xenstore_read(&format!("{front}/request-multicast-control"))?, "1");
        let status = Connection::open(guest.tcp(80)?)?.status()?;
        assert_eq!(status["interfaces"][0]["features"]["multicast_control"], true);
        assert!(number(&status, "/interfaces/0/tx/group_requests")? >= 1, "{status}");
        assert_eq!(number(&status, "/interfaces/0/tx/groups_refused")?, 0);
        assert_eq!(heard(bed, &guest, "joined", JOINED)?, FRAMES);
        assert_eq!(heard(bed, &guest, "other", NOT_JOINED)?, 0);

        // Without being asked, netback lets all of them in again: the frames are the same.
        bed.xenstore_write(&format!("{front}/request-multicast-control"), "0")?;
        let deadline = Instant::now() + SOON;
        while heard(bed, &guest, "all", NOT_JOINED)? != FRAMES {
            assert!(Instant::now() < deadline, "netback does not follow the node");
        }
        guest.domain.destroy()?;

        let guest = Guest::start(bed, "web", "vif.refuse=mcast")?;
        let status = Connection::open(guest.tcp(80)?)?.status()?;
        assert_eq!(status["interfaces"][0]["features"]["multicast_control"], false);
        assert_eq!(number(&status, "/interfaces/0/tx/group_requests")?, 0);
        assert_eq!(heard(bed, &guest, "refused", NOT_JOINED)?, FRAMES);
        Ok(())
    });
}
