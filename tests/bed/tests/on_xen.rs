//! Tests of the test bed on real Xen, with Linux as the guest: each restores the machine and ends it.

use bed::linux_domu::Linux;
use bed::{Bed, DomainConfig, DomainState, Error, Kind, Options, run_test, run_test_with};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const BOOT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(20);

type Outcome = Result<(), Error>;

#[test]
fn dom0_runs_commands_and_keeps_files() {
    run_test("dom0_runs_commands_and_keeps_files", |bed| -> Outcome {
        let output = bed.dom0("echo out; echo err >&2; exit 3")?;
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str(), output.status),
            ("out\n", "err\n", Some(3))
        );
        let echoed = bed.dom0_with_input("wc -c", &vec![b'x'; 1 << 20], SOON)?;
        assert_eq!(echoed.stdout.trim(), "1048576");
        let begun = Instant::now();
        let late = bed.dom0_within("sleep 1000 & sleep 1000", Duration::from_secs(1)).unwrap_err();
        assert_eq!(late.kind(), Kind::Timeout);
        assert!(begun.elapsed() < SOON);
        assert!(!bed.dom0("ps")?.stdout.contains("sleep 1000"), "what timed out is still there");

        let file = std::env::temp_dir().join(format!("bed-file-{}", std::process::id()));
        let bytes: Vec<u8> = (0..750_000u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&file, &bytes).unwrap();
        bed.put_file(&file, "/tmp/folder/file")?;
        std::fs::remove_file(&file).unwrap();
        assert!(bed.get_file("/tmp/folder/file")? == bytes, "the file came back changed");
        assert_eq!(bed.get_file("/tmp/absent").unwrap_err().kind(), Kind::Agent);
        Ok(())
    });
}

#[test]
fn xenstore_is_read_and_written() {
    run_test("xenstore_is_read_and_written", |bed| -> Outcome {
        assert_eq!(bed.xenstore_read("/local/domain/0/name")?, "Domain-0");
        bed.xenstore_write("/tool/bed/key", "it's a value")?;
        assert_eq!(bed.xenstore_read("/tool/bed/key")?, "it's a value");
        assert_eq!(bed.xenstore_ls("/tool/bed")?.trim(), "/tool/bed/key = \"it's a value\"");
        assert!(bed.xenstore_exists("/tool/bed")? && !bed.xenstore_exists("/tool/absent")?);
        assert!(bed.xenstore_read("/tool/absent").unwrap_err().to_string().contains("absent"));
        assert!(bed.hypervisor_log()?.contains("Xen version 4."));
        Ok(())
    });
}

#[test]
fn linux_guest_is_reached_from_dom0_and_from_the_host() {
    run_test("linux_guest_is_reached_from_dom0_and_from_the_host", |bed| -> Outcome {
        let config = Linux::new("peer")
            .file("www/index.html", 0o644, "a page from the guest\n")
            .script("httpd -h /www\n bed-agent echo 7 &\n read line\n echo \"got <$line>\"\n sleep 1000")
            .config(bed)?;
        let guest = bed.create(&config)?;
        let line = guest.wait_for("linux: address", BOOT)?;
        let address: Ipv4Addr = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert_eq!(address, Ipv4Addr::new(10, 0, 2, 15), "the first lease");
        guest.wait_for("echo: listening on port 7", SOON)?;
        assert!(matches!(guest.state()?.state, DomainState::Blocked | DomainState::Running));

        let ping = bed.dom0(&format!("ping -c 5 -i 0.2 -W 5 {address}"))?;
        assert!(ping.stdout.contains("5 packets received"), "{ping:?}");

        let mut stream = TcpStream::connect(bed.forward_tcp(address, 80)?).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        assert!(page.starts_with("HTTP/1.") && page.ends_with("a page from the guest\n"), "{page}");

        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        socket.send_to(b"a datagram", bed.forward_udp(address, 7)?).unwrap();
        let mut buffer = [0; 64];
        let (len, _) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"a datagram");

        guest.send_line("typed by the host")?;
        guest.wait_for("got <typed by the host>", SOON)?;
        guest.destroy()?;
        guest.wait_gone(SOON)
    });
}

#[test]
fn guests_that_end_are_seen_to_end() {
    run_test("guests_that_end_are_seen_to_end", |bed| -> Outcome {
        let guest = bed.create(&Linux::new("brief").script("echo bye").config(bed)?)?;
        guest.wait_for_next("linux: address 10.0.2.15", BOOT)?;
        guest.wait_for_next("bye", SOON)?;
        assert_ne!(guest.wait_ended(BOOT)?.state, DomainState::Crashed);
        guest.wait_gone(SOON)?;
        assert_eq!(guest.shutdown_reason()?, Some(0));
        drop(guest);

        let panic = "echo 1 >/proc/sys/kernel/panic_on_oops; echo c >/proc/sysrq-trigger; sleep 100";
        let guest = bed.create(&Linux::new("crash").script(panic).config(bed)?)?;
        let error = guest.wait_for("never printed", BOOT).unwrap_err();
        assert_eq!(error.kind(), Kind::GuestEnded, "{error}");
        let status = guest.wait_ended(SOON)?;
        assert_eq!((status.state, status.reason), (DomainState::Crashed, Some(3)), "kept, with its reason");
        Ok(())
    });
}

#[test]
fn two_guests_talk_to_each_other() {
    run_test("two_guests_talk_to_each_other", |bed| -> Outcome {
        let serve =
            Linux::new("a").address("10.0.2.31").script("nc -l -p 5000 -e echo hello from a\n sleep 1000");
        let server = bed.create(&serve.config(bed)?)?;
        server.wait_for("linux: address 10.0.2.31", BOOT)?;
        let ask = Linux::new("b").address("10.0.2.32").script("nc 10.0.2.31 5000");
        let client = bed.create(&ask.config(bed)?)?;
        client.wait_for("hello from a", BOOT)?;
        assert_ne!(server.macs(), client.macs());
        Ok(())
    });
}

#[test]
fn what_xl_refuses_is_told() {
    run_test("what_xl_refuses_is_told", |bed| -> Outcome {
        let file = std::env::temp_dir().join(format!("bed-no-kernel-{}", std::process::id()));
        std::fs::write(&file, "this is no kernel").unwrap();
        let error = bed.create(&DomainConfig::pvh("wrong", &file)).unwrap_err();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(error.kind(), Kind::Command);
        assert!(error.to_string().contains("libxl"), "{error}");
        let error = bed.create(&DomainConfig::pvh("absent", "/no/such/kernel")).unwrap_err();
        assert!(error.to_string().contains("/no/such/kernel"), "{error}");
        let error = bed.create(&DomainConfig::pvh("a b", &file)).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        Ok(())
    });
}

#[test]
fn failing_test_leaves_its_logs() {
    let name = "failing_test_leaves_its_logs";
    let folder = bed::bed_dir().join("logs").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    let outcome = std::panic::catch_unwind(|| {
        run_test(name, |bed: &Bed| -> Outcome {
            let guest = bed.create(&Linux::new("witness").script("echo seen; sleep 1000").config(bed)?)?;
            guest.wait_for("seen", BOOT)?;
            panic!("on purpose");
        });
    });
    assert!(outcome.is_err());
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    assert!(read("guest-witness.log").contains("seen"));
    assert!(read("xl-list.txt").contains("witness"), "the guest was destroyed before it was looked at");
    assert!(read("xenstore.txt").contains("/local/domain/1/name = \"witness\""));
    assert!(read("xen.txt").contains("Xen version"));
}

#[test]
fn machine_that_counts_instructions_starts_with_one_processor() {
    let options = Options::default().icount("shift=1,sleep=off");
    run_test_with("machine_that_counts_instructions_starts_with_one_processor", options, |bed| -> Outcome {
        assert!(bed.dom0("xl info")?.stdout.contains("nr_cpus                : 1"));
        Ok(())
    });
}
