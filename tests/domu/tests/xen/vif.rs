//! The vif: backends that come late, guests without one.

use bed::run_test;
use domu_tests::guest::{Guest, config, leased};
use domu_tests::{BOOT, Outcome, SOON};
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn guest_waits_for_a_hotplug_script_that_is_late() {
    run_test("guest_waits_for_a_hotplug_script_that_is_late", |bed| -> Outcome {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("files/vif-late");
        bed.put_file(script, "/etc/xen/scripts/vif-late")?;
        let begun = Instant::now();
        let guest = bed.create(&config("echo", "patient", "")?.vif(["bridge=xenbr0,script=vif-late"]))?;
        guest.wait_for("listening on ", BOOT)?;
        let backend = format!("/local/domain/0/backend/vif/{}/0", guest.domid());
        sleep(Duration::from_secs(1));
        // 2: InitWait, 4: Connected.
        assert_eq!(bed.xenstore_read(&format!("{backend}/state"))?, "2", "the script is still asleep");
        assert!(!guest.console().contains("DHCP lease"), "{}", guest.console());
        assert_eq!(leased(&guest)?, Ipv4Addr::new(10, 0, 2, 15));
        assert!(begun.elapsed() > Duration::from_secs(4), "the script was not late");
        assert_eq!(bed.xenstore_read(&format!("{backend}/state"))?, "4");
        let ping = bed.dom0("ping -c 3 -W 5 10.0.2.15")?;
        assert!(ping.success(), "{ping:?}");
        Ok(())
    });
}

#[test]
fn guest_without_a_vif_says_what_to_add() {
    run_test("guest_without_a_vif_says_what_to_add", |bed| -> Outcome {
        let guest = bed.create(&config("echo", "without-vif", "")?.vif([]))?;
        guest.wait_for("no network interface: add vif = [ 'bridge=...' ]", BOOT)?;
        let order = bed.dom0(&format!("xl shutdown {}", guest.domid()))?;
        assert!(order.success(), "{order:?}");
        guest.wait_gone(SOON)?;
        Ok(())
    });
}

#[test]
fn two_guests_talk_to_each_other_through_dom0() {
    run_test("two_guests_talk_to_each_other_through_dom0", |bed| -> Outcome {
        let echo = Guest::start(bed, "echo", "")?;
        let bytes = 4 << 20;
        let cmdline = format!("app.do=talk app.peer={}:7 app.bytes={bytes}", echo.address);
        let probe = bed.create(&config("probe", "talker", &cmdline)?)?;
        assert_ne!(leased(&probe)?, echo.address);
        domu_tests::guest::verdict(&probe)?;
        for line in probe.console().lines().filter(|line| line.contains("equal")) {
            eprintln!("  {line}");
        }
        assert!(probe.console().contains(&format!("{bytes} bytes to {}:7 and back by TCP", echo.address)));
        assert!(probe.console().contains("9 datagrams to "));
        Ok(())
    });
}
