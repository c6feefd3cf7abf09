//! From `xl create` to an address, and the messages when that is impossible.

use bed::{DomainState, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::http::Connection;
use domu_tests::{BOOT, Outcome, SOON};
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn guest_prints_its_banner_takes_a_lease_and_sleeps() {
    run_test("guest_prints_its_banner_takes_a_lease_and_sleeps", |bed| -> Outcome {
        let guest = Guest::start(bed, "echo", "ip=dhcp")?;
        let Guest { domain, address, .. } = &guest;
        let banner = domain.wait_for_next("INFO  kernel: millpond ", SOON)?;
        assert!(banner.contains(" echo: domain on Xen, 32"), "name and memory: {banner}");
        domain.wait_for_next("netfront: ", SOON)?;
        domain.wait_for_next("DHCP lease 10.0.2.15/24 from 10.0.2.2, no gateway, ", SOON)?;
        assert_eq!(*address, Ipv4Addr::new(10, 0, 2, 15));
        let console = domain.console();
        assert!(!console.contains("WARN") && !console.contains("ERROR"), "{console}");

        // An idle guest uses no processor; but not in each of its first seconds, in which it solicits routers and
        // announces its addresses.
        let mut before = domain.state()?;
        for second in 1.. {
            sleep(Duration::from_secs(1));
            let after = domain.state()?;
            let used = after.seconds - before.seconds;
            if after.state == DomainState::Blocked && used < 0.2 {
                break;
            }
            assert!(second < 10, "{:?}, and {used} s of 1 s", after.state);
            before = after;
        }
        Ok(())
    });
}

#[test]
fn static_address_is_used_and_no_lease_asked_for() {
    run_test("static_address_is_used_and_no_lease_asked_for", |bed| -> Outcome {
        let cmdline = "ip=10.0.2.77/24 gw=10.0.2.2 dns=10.0.2.3 host=still-water";
        let guest = bed.create(&config("web", "web", cmdline)?)?;
        guest.wait_for("listening on http://10.0.2.77:80/", BOOT)?;
        let status = Connection::open(bed.forward_tcp(Ipv4Addr::new(10, 0, 2, 77), 80)?)?.status()?;
        assert_eq!(status["hostname"], "still-water");
        let interface = &status["interfaces"][0];
        assert_eq!(interface["address"], "10.0.2.77/24");
        assert_eq!(interface["gateway"], "10.0.2.2");
        assert_eq!(interface["dns"][0], "10.0.2.3");
        assert_eq!(interface["dhcp"]["state"], "off");
        assert!(!guest.console().contains("DHCP"));
        Ok(())
    });
}

#[test]
fn wrong_command_line_is_told_with_key_value_and_what_is_right() {
    run_test("wrong_command_line_is_told_with_key_value_and_what_is_right", |bed| -> Outcome {
        let guest =
            bed.create(&config("echo", "wrong", "ip=10.0.0.300/24 speed=9 log=info pool.rx=many")?)?;
        for line in [
            "command line: ip=10.0.0.300/24 is wrong: dhcp, or an IPv4 address with its prefix length",
            "command line: speed=9 is wrong: the keys are ip, gw, ",
            "command line: pool.rx=many is wrong: a number of pages from 32 to 4096",
            "stopping: correct cmdline= in the domain's configuration",
        ] {
            guest.wait_for_next(line, BOOT)?;
        }
        guest.wait_gone(SOON)?;
        assert_eq!(guest.shutdown_reason()?, Some(0), "an end in order, not a crash");
        assert!(!guest.console().contains("netfront"), "it went no further");

        let guest = bed.create(&config("web", "idle", "app.idle=soon app.push=a,a")?)?;
        guest.wait_for_next(
            "command line: app.idle=soon is wrong: a number of seconds from 1 to 86400",
            BOOT,
        )?;
        guest.wait_for_next("command line: app.push=a,a is wrong: 1 to 8 different names", BOOT)?;
        guest.wait_gone(SOON)?;
        assert_eq!(guest.shutdown_reason()?, Some(0), "an end in order, not a crash");
        Ok(())
    });
}

#[test]
fn xen_cfg_as_it_is_starts_the_web_appliance() {
    run_test("xen_cfg_as_it_is_starts_the_web_appliance", |bed| -> Outcome {
        // As on a user's host: the repository's file, its paths, xl.
        let root = bed::repository();
        for file in ["xen.cfg", "build/web.elf"] {
            bed.put_file(root.join(file), &format!("/var/millpond/{file}"))?;
        }
        let created = bed.dom0("cd /var/millpond && xl create xen.cfg && xl list web && xl domid web")?;
        assert!(created.success(), "{created:?}");
        let id: u32 = created.stdout.lines().last().unwrap_or_default().trim().parse()?;
        let node = format!("/local/domain/{id}/attr/vif/0/ipv4/0");
        let began = Instant::now();
        let address: Ipv4Addr = loop {
            if let Ok(address) = bed.xenstore_read(&node) {
                break address.parse()?;
            }
            assert!(began.elapsed() < BOOT, "no address");
            sleep(Duration::from_millis(200));
        };
        let page = Connection::open(bed.forward_tcp(address, 80)?)?.get("/")?;
        assert_eq!(page.status, 200);
        // xl's own process takes the domain away, some time after it has shut down.
        let ended = bed.dom0(
            "xl shutdown -w web && for try in $(seq 100); do xl domid web 2>/dev/null || exit 0; sleep .1; done; exit 1",
        )?;
        assert!(ended.success(), "{ended:?}");
        Ok(())
    });
}
