//! What tools find in the guest's directory, and that it keeps being so.

use crate::{SMALL_MIB, node, xl};
use bed::run_test;
use domu_tests::guest::{Guest, config};
use domu_tests::{Outcome, SOON};

#[test]
fn tools_see_addresses_system_and_memory() {
    run_test("tools_see_addresses_system_and_memory", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("echo", "seen", "")?.memory_mib(SMALL_MIB))?;
        let id = guest.domain.domid();
        let address = guest.address.to_string();
        node(bed, id, "attr/vif/0/ipv4/0", |value| value == address, SOON)?;
        let mac = bed.xenstore_read(&format!("/local/domain/{id}/device/vif/0/mac"))?;
        node(bed, id, "attr/vif/0/mac/0", |value| value.eq_ignore_ascii_case(&mac), SOON)?;
        node(bed, id, "attr/PVAddons/MajorVersion", |value| value != "0", SOON)?;
        for path in ["MinorVersion", "MicroVersion", "BuildVersion"] {
            node(bed, id, &format!("attr/PVAddons/{path}"), |value| value.parse::<u32>().is_ok(), SOON)?;
        }
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
        node(bed, id, "data/updated", |value| value == "1", SOON)?;
        for feature in ["poweroff", "reboot"] {
            node(bed, id, &format!("control/feature-{feature}"), |value| value == "1", SOON)?;
        }

        // An address that goes is not shown any longer; the guest takes no watch for this.
        let watches = "xenstore-ls -f /local/domain | wc -l";
        let before = bed.dom0(watches)?.stdout;
        for _ in 0..3 {
            bed.xenstore_write(&format!("/local/domain/{id}/control/sysrq"), "s")?;
            node(bed, id, "control/sysrq", str::is_empty, SOON)?;
        }
        guest.domain.wait_for_next("control/sysrq: s", SOON)?;
        let status = guest.domain.wait_for_next(", watches ", SOON)?;
        assert_eq!(bed.dom0(watches)?.stdout, before, "no node more");
        xl(bed, &format!("sysrq {id} x"))?;
        guest.domain.wait_for("sysrq: s prints the status", SOON)?;
        xl(bed, &format!("sysrq {id} s"))?;
        let later = guest.domain.wait_for_next(", watches ", SOON)?;
        let count = |line: &str| {
            line.split(", watches ").nth(1).and_then(|rest| rest.split(',').next()).map(str::to_owned)
        };
        assert!(count(&status).is_some() && count(&status) == count(&later), "{status} / {later}");
        Ok(())
    });
}
