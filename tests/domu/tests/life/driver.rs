//! A driver domain: a Linux guest is the backend of ours, and is destroyed and created again, with another domid,
//! while our guest runs.
//!
//! ```text
//!   our guest ──vif──► netdriver: vifN.0 ─ xenbr0 ─ eth0 ──vif──► dom0: xenbr0 ──► the host
//! ```
//!
//! Of the hotplug that `xl devd` would do, the driver domain's script does the half that is its own, the bridge; dom0
//! writes `hotplug-status`. The toolstack rewrites nothing by itself when a driver domain comes back: the operator
//! detaches the vif and attaches it again.

use crate::save::Account;
use crate::traffic::{Busy, SILENCE};
use crate::{SMALL_MIB, xl};
use bed::linux_domu::Linux;
use bed::{Bed, Domain, Value, run_test};
use domu_tests::capture::{Capture, announces};
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome, SOON, linux};
use std::thread::sleep;
use std::time::{Duration, Instant};

const NAME: &str = "netdriver";
/// From `xl create` to a Linux guest's script, on a busy host.
const LINUX_BOOT: Duration = Duration::from_secs(240);
const MAC: &str = "00:16:3e:00:00:55";

/// The script of the driver domain: it puts every new vif on the bridge, and prints a line.
const SCRIPT: &str = "ip addr flush dev eth0
    ip link add xenbr0 type bridge
    echo 0 > /sys/class/net/xenbr0/bridge/multicast_snooping
    ip link set eth0 master xenbr0
    ip link set xenbr0 up
    echo driver: ready
    while true; do
        for vif in /sys/class/net/vif*; do
            [ -e $vif ] && [ ! -e $vif/master ] || continue
            ip link set ${vif##*/} master xenbr0 && ip link set ${vif##*/} up && echo driver: has ${vif##*/}
        done
        sleep 0.2
    done";

/// Starts the driver domain with dom0's modules of the same kernel.
fn start(bed: &Bed) -> Outcome<Domain> {
    let mut linux = Linux::new(NAME).address("10.0.2.30").script(SCRIPT);
    let list = bed.dom0("cat /etc/bed/modules")?.stdout;
    let wanted = ["/llc.ko", "/stp.ko", "/bridge.ko", "/xen_netback.ko"];
    // In the order of that list, in which each module follows the ones that it needs.
    for (at, path) in list.lines().filter(|path| wanted.iter().any(|name| path.ends_with(name))).enumerate() {
        let name = path.rsplit('/').next().unwrap_or_default();
        linux = linux.file(&format!("modules/9{at}-{name}"), 0o644, bed.get_file(path)?);
    }
    let config = linux.config(bed)?.set("driver_domain", Value::Number("1".to_owned()));
    // The driver domain cannot grant a page of our guest, which it has mapped, on to dom0. Without scatter-gather its
    // vif copies what it sends. A driver domain with a real network device does not have this problem.
    let without = |domain: &Domain| -> Outcome {
        let back = format!("/local/domain/0/backend/vif/{}/0", domain.domid());
        for feature in ["feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6"] {
            bed.xenstore_write(&format!("{back}/{feature}"), "0")?;
        }
        Ok(())
    };
    linux::start(bed, &config, without, ("driver: ready", LINUX_BOOT))
}

/// Does dom0's half of the hotplug, when the driver has done its own.
fn plug(bed: &Bed, driver: &Domain, guest: u32) -> Outcome {
    driver.wait_for(format!("driver: has vif{guest}.0"), BOOT)?;
    let back = format!("/local/domain/{}/backend/vif/{guest}/0", driver.domid());
    Ok(bed.xenstore_write(&format!("{back}/hotplug-status"), "connected")?)
}

#[test]
fn connections_go_on_when_a_driver_domain_is_made_anew() {
    run_test("connections_go_on_when_a_driver_domain_is_made_anew", |bed| -> Outcome {
        let driver = start(bed)?;
        let vif = format!("bridge=xenbr0,backend={NAME},mac={MAC}");
        let kept = bed.create(&config("web", "kept", SILENCE)?.memory_mib(SMALL_MIB).vif([vif.as_str()]))?;
        let id = kept.domid();
        plug(bed, &driver, id)?;
        let guest = Guest::of(bed, kept)?;
        let capture = Capture::start(bed)?;
        let mut busy = Busy::start(bed, &guest)?;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        let before = connection.status()?;
        assert_eq!(number(&before, "/interfaces/0/backend")?, u64::from(driver.domid()));
        let told = capture.count(|frame| announces(frame, guest.address))?;

        xl(bed, &format!("destroy {NAME}"))?;
        guest.domain.wait_for_next("is gone", SOON)?;
        let first = driver.domid();
        drop(driver);
        let driver = start(bed)?;
        assert_ne!(driver.domid(), first);
        xl(bed, "network-detach kept 0")?;
        xl(bed, &format!("network-attach kept bridge=xenbr0 backend={NAME} mac={MAC}"))?;
        plug(bed, &driver, id)?;
        guest.domain.wait_for_next(format!("vif/0: connected to domain {}", driver.domid()), SOON)?;
        // Its directory is removed before Xen has removed its mappings: the pages of its rings may still be in use
        // when the guest takes them back, and are then quarantined. By now they have returned.
        let now = Connection::open(guest.tcp(80)?)?.status()?;
        let rings = |key: &str| number(&now, &format!("/interfaces/0/device/{key}"));
        let (lost, back) = (rings("quarantined_rings")?, rings("recovered_rings")?);
        eprintln!("  pages of rings given up: {lost}, and {back} of them back");
        assert_eq!(lost, back);
        busy.goes_on("with the driver domain made again")?;
        let status = connection.status()?;
        assert_eq!(number(&status, "/interfaces/0/backend")?, u64::from(driver.domid()));
        Account::of(&status)?.check(&Account::of(&before)?, "with the driver domain made again")?;
        // The second of two announcements comes two seconds after the first.
        let began = Instant::now();
        while capture.count(|frame| announces(frame, guest.address))? <= told {
            assert!(began.elapsed() < SOON, "nobody was told");
            sleep(Duration::from_millis(100));
        }
        busy.end()
    });
}
