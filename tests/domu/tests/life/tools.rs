//! What tools find in the guest's directory, and that it stays.

use crate::{SLOWLY, SMALL_MIB, node, xl};
use bed::{Bed, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::{BOOT, Outcome, SOON};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The assertions of XCP-ng's test of its guest agent, after each kind of start: the version of the tools, the
/// system, memory within 90 s, no balloon, and the address among those of the first vif. And Xen Orchestra's
/// conditions: a version that is not 0, `Installed`, and a list of addresses without gaps.
pub(crate) fn agent(bed: &Bed, domid: u32, address: Ipv4Addr) -> Outcome {
    let is_number = |value: &str| value.parse::<u32>().is_ok();
    node(bed, domid, "attr/PVAddons/MajorVersion", |value| is_number(value) && value != "0", SOON)?;
    for path in ["MinorVersion", "MicroVersion", "BuildVersion"] {
        node(bed, domid, &format!("attr/PVAddons/{path}"), is_number, SOON)?;
    }
    node(bed, domid, "attr/PVAddons/Installed", |value| value == "1", SOON)?;
    for path in ["os_name", "os_distro", "os_uname", "os_majorver", "os_minorver"] {
        node(bed, domid, &format!("data/{path}"), |value| !value.is_empty(), SOON)?;
    }
    let total: u64 = node(bed, domid, "data/meminfo_total", is_number, SOON)?.parse()?;
    let free: u64 = node(bed, domid, "data/meminfo_free", is_number, Duration::from_secs(90))?.parse()?;
    assert!(free > 0 && free < total, "{free} of {total} KiB");
    // Either it is not there, or it is true. It is not.
    let balloon = bed.xenstore_read(&format!("/local/domain/{domid}/control/feature-balloon"));
    assert!(balloon.as_deref().unwrap_or_default().is_empty(), "{balloon:?}");
    let address = address.to_string();
    node(bed, domid, "attr/vif/0/ipv4/0", |value| value == address, SOON)?;
    node(bed, domid, "attr/vif/0/ipv6/0", |value| value.starts_with("fe80::"), SOON)?;
    node(bed, domid, "data/updated", |value| value == "1", SOON)?;
    for kind in ["ipv4", "ipv6"] {
        let listed = bed.dom0(&format!("xenstore-list /local/domain/{domid}/attr/vif/0/{kind}"))?.stdout;
        let slots: Vec<usize> = listed.lines().map(str::parse).collect::<Result<_, _>>()?;
        assert!(slots.iter().copied().eq(0..slots.len()), "{kind}: {slots:?}");
    }
    Ok(())
}

#[test]
fn tools_see_addresses_system_and_memory() {
    run_test("tools_see_addresses_system_and_memory", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("echo", "seen", "")?.memory_mib(SMALL_MIB))?;
        let id = guest.domain.domid();
        let address = guest.address.to_string();
        let mac = bed.xenstore_read(&format!("/local/domain/{id}/device/vif/0/mac"))?;
        node(bed, id, "attr/vif/0/mac/0", |value| value.eq_ignore_ascii_case(&mac), SOON)?;
        agent(bed, id, guest.address)?;
        node(
            bed,
            id,
            "data/os_name",
            |value| value.starts_with("Millpond ") && value.ends_with(" echo"),
            SOON,
        )?;
        node(bed, id, "data/os_distro", |value| value == "millpond", SOON)?;
        node(bed, id, "data/os_uname", |value| value.contains('.'), SOON)?;
        let kib = |path| -> Outcome<u64> {
            Ok(node(bed, id, path, |value| value.parse::<u64>().is_ok(), SOON)?.parse()?)
        };
        let (total, free) = (kib("data/meminfo_total")?, kib("data/meminfo_free")?);
        assert!((15 << 10..=16 << 10).contains(&total) && free > 0 && free < total, "{free} of {total} KiB");
        for feature in ["poweroff", "reboot", "suspend"] {
            node(bed, id, &format!("control/feature-{feature}"), |value| value == "1", SOON)?;
        }
        // Nothing is claimed that is not so.
        for feature in ["balloon", "s3", "laptop-slate-mode"] {
            let value = bed.xenstore_read(&format!("/local/domain/{id}/control/feature-{feature}"));
            assert!(value.as_deref().unwrap_or_default() != "1", "{feature}: {value:?}");
        }

        // An address that changes is shown, and no other any more: another vif, to which DHCP gives another lease.
        xl(bed, "network-detach seen 0")?;
        guest.domain.wait_for_next("is closing", SOON)?;
        xl(bed, "network-attach seen bridge=xenbr0 mac=00:16:3e:00:00:99")?;
        node(bed, id, "attr/vif/0/mac/0", |value| value == "00:16:3e:00:00:99", BOOT)?;
        let next = node(bed, id, "attr/vif/0/ipv4/0", |value| value != address, BOOT)?;
        guest.domain.wait_for(format!("DHCP lease {next}/24"), SOON)?;
        assert_eq!(bed.dom0(&format!("xenstore-list /local/domain/{id}/attr/vif/0/ipv4"))?.stdout, "0\n");
        reboots(bed, &guest, next.parse()?)
    });
}

/// restarted by xl, as `on_reboot=` says where nothing is said, the guest is seen again; then it goes in order.
fn reboots(bed: &Bed, guest: &Guest<'_>, address: Ipv4Addr) -> Outcome {
    xl(bed, "reboot seen")?;
    guest.domain.wait_gone(BOOT)?;
    let began = Instant::now();
    let restarted = loop {
        let output = bed.dom0("xl domid seen")?;
        if let Ok(restarted) = output.stdout.trim().parse::<u32>() {
            break restarted;
        }
        assert!(began.elapsed() < BOOT, "no new domain: {output:?}");
        sleep(Duration::from_millis(200));
    };
    assert_ne!(restarted, guest.domain.domid());
    let told = node(bed, restarted, "attr/vif/0/ipv4/0", |value| !value.is_empty(), BOOT)?;
    assert_eq!(told, address.to_string(), "the address that the vif had");
    agent(bed, restarted, address)?;
    xl(bed, "shutdown -w seen")?;
    // xl has returned after the guest's shutdown; the background xl removes the domain after that.
    let began = Instant::now();
    while bed.dom0("xl domid seen")?.success() {
        assert!(began.elapsed() < BOOT, "it is still there");
        sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// What xenstored counts for a domain: nodes, watches, transactions, outstanding requests, bytes.
fn quota(bed: &Bed, domid: u32) -> Outcome<BTreeMap<String, u64>> {
    let output = bed.dom0(&format!("xenstore-control quota {domid}"))?;
    let counts: BTreeMap<String, u64> = output
        .stdout
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(name, count)| Some((name.trim().to_owned(), count.trim().parse().ok()?)))
        .collect();
    if counts.contains_key("nodes") { Ok(counts) } else { Err(format!("no quota: {output:?}").into()) }
}

/// More than a day brings to a guest that its operator and its tools do not leave alone. Xen's default quota is 1,000
/// nodes and 128 watches for a domain.
#[test]
fn a_day_s_events_leave_nothing_behind_in_xenstore() {
    run_test("a_day_s_events_leave_nothing_behind_in_xenstore", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("web", "asked", "")?.memory_mib(SMALL_MIB))?;
        let id = guest.domain.domid();
        let home = format!("/local/domain/{id}");
        node(bed, id, "data/updated", |value| value == "1", SOON)?;
        let round = |times: u32, attach: bool| -> Outcome {
            let script = format!(
                "for i in $(seq {times}); do
                     xenstore-write {home}/control/sysrq s
                     xenstore-write {home}/control/shutdown dance
                     xenstore-write {home}/memory/target $((16000 + i))
                     while [ -n \"$(xenstore-read {home}/control/shutdown)\" ]; do sleep 0.05; done
                 done"
            );
            let output = bed.dom0_within(&script, SLOWLY)?;
            assert!(output.success(), "{output:?}");
            if attach {
                xl(bed, "network-detach asked 0")?;
                guest.domain.wait_for_next("is closing", SOON)?;
                xl(bed, "network-attach asked bridge=xenbr0 mac=00:16:3e:00:00:98")?;
                guest.domain.wait_for_next("vif/0: connected", BOOT)?;
                // The new vif's nodes are complete once it has its addresses: the router's prefix makes the last one.
                node(bed, id, "attr/vif/0/mac/0", |value| value == "00:16:3e:00:00:98", SOON)?;
                node(bed, id, "attr/vif/0/ipv4/0", |value| !value.is_empty(), SOON)?;
                node(bed, id, "attr/vif/0/ipv6/1", |value| value.starts_with("fec0:"), SOON)?;
            }
            // Everything has been looked at when this is answered.
            xl(bed, "sysrq asked h")?;
            guest.domain.wait_for_next("s prints the status", SOON)?;
            Ok(())
        };
        // Once, so that nodes which exist only from then on exist.
        round(1, true)?;
        let before = quota(bed, id)?;
        round(30, false)?;
        round(1, true)?;
        let mut after = quota(bed, id)?;
        for _ in 0..40 {
            // While the vif has no address, it has fewer nodes.
            if after.get("nodes") == before.get("nodes") {
                break;
            }
            sleep(Duration::from_millis(500));
            after = quota(bed, id)?;
        }
        for what in ["nodes", "watches", "transactions", "outstanding"] {
            assert_eq!(after.get(what), before.get(what), "{what}: {before:?}, then {after:?}");
        }
        assert!(before.get("watches").is_some_and(|watches| *watches < 16), "{before:?}");
        assert!(before.get("nodes").is_some_and(|nodes| *nodes < 200), "{before:?}");
        Ok(())
    });
}
