//! Ends of a guest: by its own decision, by request, or with a crash report.

use bed::{Bed, Domain, DomainState, Value, run_test};
use domu_tests::guest::{Guest, config, verdict};
use domu_tests::{BOOT, Outcome, SOON};

/// Starts a probe that is to crash, and returns it with the report on its console.
fn crashed(bed: &Bed, what: &str) -> Outcome<(Domain, String)> {
    let probe = bed.create(&config("probe", what, &format!("app.do={what}"))?)?;
    let report = report_of(&probe, what)?;
    Ok((probe, report))
}

/// The report of a probe that is about to crash.
fn report_of(probe: &Domain, what: &str) -> Outcome<String> {
    let status = probe.wait_ended(BOOT)?;
    assert_eq!((status.state, status.reason), (DomainState::Crashed, Some(3)), "{what}: as xl list shows it");
    let console = probe.console();
    assert!(!console.contains("Test result"), "{what} was survived:\n{console}");
    let report = console.split_once("\n=== millpond ").map(|(_, report)| report.to_owned());
    let report = report.ok_or_else(|| format!("{what}: no report on the console:\n{console}"))?;
    assert!(report.trim_end().ends_with("=== end of report ==="), "{what}: cut short:\n{report}");
    assert!(report.lines().count() <= 25, "{what}: more than a screen:\n{report}");
    let early = probe.early_output()?;
    assert!(early.contains("=== end of report ==="), "{what}: not in Xen's log:\n{early}");
    Ok(report)
}

/// The line of the report that begins with this, less that.
fn line<'a>(report: &'a str, begin: &str) -> &'a str {
    let mut lines = report.lines().filter_map(|line| line.strip_prefix(begin));
    lines.next().unwrap_or_else(|| panic!("no line with {begin:?} in:\n{report}"))
}

/// The addresses of the report's backtrace.
fn backtrace(report: &str) -> Vec<u64> {
    let hex = |word: &str| word.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    line(report, "backtrace:").split_whitespace().map(|word| hex(word).unwrap_or_default()).collect()
}

#[test]
fn panic_is_reported_with_reason_place_and_backtrace() {
    run_test("panic_is_reported_with_reason_place_and_backtrace", |bed| -> Outcome {
        let (_probe, report) = crashed(bed, "panic")?;
        assert!(report.starts_with("panic ==="), "{report}");
        assert_eq!(line(&report, "reason: "), "on purpose, with a number: 42");
        assert!(line(&report, "at: ").starts_with("tests/guests/probe/src/main.rs:"), "{report}");
        let trace = backtrace(&report);
        // The image is at 1 MiB plus a multiple of 4 MiB in the upper half of the address space.
        let moved = |at: &u64| at & !0x3f_ffff;
        let first = trace.first().map_or(0, moved);
        assert!(first >= 0xffff_8000_0000_0000, "{report}");
        let inside = first + (1 << 20)..first + (4 << 20);
        assert!(trace.len() >= 3 && trace.iter().all(|at| inside.contains(at)), "{report}");

        // Small blocks use the last byte: console and xenstore get a whole report all the same.
        let (_probe, report) = crashed(bed, "exhaust")?;
        let reason = line(&report, "reason: ");
        assert!(reason.starts_with("memory allocation of ") && reason.ends_with(" bytes failed"), "{report}");
        assert!(backtrace(&report).len() >= 3 && report.contains("build: "), "{report}");
        let (_probe, report) = crashed(bed, "heap")?;
        assert!(line(&report, "reason: ").starts_with("memory allocation of 65536 bytes failed"), "{report}");
        assert_ne!(
            backtrace(&report).first().map_or(0, moved),
            first,
            "the next start lies elsewhere: {report}"
        );
        Ok(())
    });
}

#[test]
fn faults_are_reported_for_what_they_are() {
    run_test("faults_are_reported_for_what_they_are", |bed| -> Outcome {
        let page_fault = "page fault (vector 14, error ";
        for (what, error, reason) in [
            ("null", "0x2)", "null pointer"),
            ("exec", "0x11)", "execution of memory that is not executable"),
            ("exec-stack", "0x11)", "execution of memory that is not executable"),
            ("exec-page", "0x11)", "execution of memory that is not executable"),
            ("read-null", "0x0)", "null pointer"),
            ("write-text", "0x3)", "write to read-only memory"),
            ("write-rodata", "0x3)", "write to read-only memory"),
            ("write-idt", "0x3)", "write to read-only memory"),
            ("write-gdt", "0x3)", "write to read-only memory"),
        ] {
            let (_probe, report) = crashed(bed, what)?;
            assert!(report.starts_with("exception ==="), "{report}");
            assert_eq!(line(&report, "reason: "), format!("{page_fault}{error} {reason}"), "{what}");
            assert!(!backtrace(&report).is_empty(), "{what}: {report}");
            if what == "null" {
                assert!(line(&report, "address: ").starts_with("0x8 rip: 0x"), "{report}");
            }
        }
        // There is no stack left for the page fault's own frame.
        let (_probe, report) = crashed(bed, "stack")?;
        let reason = line(&report, "reason: ");
        assert!(reason.starts_with("double fault (vector 8"), "{report}");
        assert!(reason.ends_with("stack overflow: the guard page below the stack was hit"), "{report}");
        assert!(backtrace(&report).len() >= 8, "the calls that used it up: {report}");
        let (_probe, report) = crashed(bed, "double")?;
        assert_eq!(line(&report, "reason: "), "double fault (vector 8, error 0x0) null pointer");
        assert!(line(&report, "address: ").starts_with("0x8 rip: 0x"), "{report}");

        // An NMI has a stack of its own too. It is no fault of the guest's, and ends it with a report all the same.
        let probe = bed.create(&config("probe", "nmi", "app.do=console")?)?;
        probe.wait_for("type a line", BOOT)?;
        let order = bed.dom0(&format!("xl trigger {} nmi", probe.domid()))?;
        assert!(order.success(), "{order:?}");
        let report = report_of(&probe, "nmi")?;
        assert!(line(&report, "reason: ").starts_with("non-maskable interrupt (vector 2"), "{report}");
        Ok(())
    });
}

#[test]
fn guest_that_has_done_its_work_powers_off() {
    run_test("guest_that_has_done_its_work_powers_off", |bed| -> Outcome {
        let probe = bed.create(&config("probe", "poweroff", "app.do=poweroff")?)?;
        verdict(&probe)?;
        assert_eq!(probe.shutdown_reason()?, Some(0));
        // The verdict is worth something only if it can be bad.
        let probe = bed.create(&config("probe", "failure", "app.do=nonsense")?)?;
        let error = verdict(&probe).unwrap_err().to_string();
        assert!(error.contains("Test result: FAILURE: app.do=nonsense is wrong"), "{error}");
        Ok(())
    });
}

#[test]
fn line_typed_on_the_console_is_read() {
    run_test("line_typed_on_the_console_is_read", |bed| -> Outcome {
        let probe = bed.create(&config("probe", "typist", "app.do=console")?)?;
        probe.wait_for("type a line", BOOT)?;
        probe.send_line("a pool of pages")?;
        probe.wait_for("typed: A POOL OF PAGES", SOON)?;
        verdict(&probe)
    });
}

#[test]
fn xl_shutdown_and_xl_reboot_are_acknowledged_and_obeyed() {
    run_test("xl_shutdown_and_xl_reboot_are_acknowledged_and_obeyed", |bed| -> Outcome {
        // Preserved, so that the guest's nodes in xenstore can be read.
        let keep = |name| -> Outcome<_> {
            let config = config("echo", name, "")?.set("on_poweroff", Value::Text("preserve".into()));
            Ok(config.set("on_reboot", Value::Text("preserve".into())))
        };
        for (command, reason) in [("shutdown", 0), ("reboot", 1)] {
            let guest = Guest::create(bed, &keep(command)?)?;
            let id = guest.domain.domid();
            let order = bed.dom0(&format!("xl {command} {id}"))?;
            assert!(order.success(), "{order:?}");
            let status = guest.domain.wait_ended(SOON)?;
            assert_eq!((status.state, status.reason), (DomainState::Shutdown, Some(reason)), "xl {command}");
            let key = format!("/local/domain/{id}/control/shutdown");
            assert_eq!(bed.xenstore_read(&key)?, "", "xl {command} is acknowledged by an empty value");
            guest.domain.wait_for("control/shutdown: ", SOON)?;
        }
        Ok(())
    });
}
