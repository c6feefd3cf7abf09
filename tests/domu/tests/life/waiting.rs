//! A guest that waits sleeps: over an idle minute, two suspends, and a xenstored that stands still, no iteration of the loop is
//! without work. `commands` has a vif that is detached.
//!
//! The kinds of absence that a toolstack does not make at will are tried in virtual time, by `whole::waiting`.

use crate::{SLOWLY, SMALL_MIB};
use bed::{Domain, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::{Outcome, SOON};
use std::thread::sleep;
use std::time::Duration;

/// Iterations a second that are no waste: the appliance's clock, the guest agent, and frames that everybody gets.
const RATE: u64 = 20;

/// Iterations of the loop, by the shell: the network may be away.
fn iterations(domain: &Domain) -> Outcome<(u64, u64)> {
    domain.send_line("status")?;
    let line = domain.wait_for_next("loop: iterations ", SOON)?;
    let number = |name: &str| {
        let (_, rest) = line.split_once(name)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let all = number("iterations ").ok_or_else(|| format!("no number in {line:?}"))?;
    // A counter at 0 is not in the answer.
    Ok((all, number("without_work ").unwrap_or(0)))
}

/// Compares the iterations before and after something that takes this many seconds.
fn wait(domain: &Domain, what: &str, seconds: u64, meanwhile: impl FnOnce() -> Outcome) -> Outcome {
    let (before, _) = iterations(domain)?;
    meanwhile()?;
    let (after, without_work) = iterations(domain)?;
    println!("  {what}: {} iterations in {seconds} s, {without_work} without work", after - before);
    if without_work == 0 && after - before < RATE * (seconds + 10) {
        return Ok(());
    }
    Err(format!("{what}: {} iterations, {without_work} without work", after - before).into())
}

/// Lets the guest wait.
pub(crate) fn pause(domain: &Domain, what: &str, seconds: u64) -> Outcome {
    wait(domain, what, seconds, || {
        sleep(Duration::from_secs(seconds));
        Ok(())
    })
}

#[test]
fn a_guest_that_waits_has_no_iteration_without_work() {
    run_test("a_guest_that_waits_has_no_iteration_without_work", |bed| -> Outcome {
        bed.put_file(domu_tests::dom0::RESUME, "/var/resume")?;
        let guest = Guest::create(bed, &config("web", "idle", "")?.memory_mib(SMALL_MIB))?;
        let (domain, id) = (&guest.domain, guest.domain.domid());
        pause(domain, "idle", 60)?;
        for (way, said) in [("resume", "resumed in the same domain"), ("cancel", "the suspend was cancelled")]
        {
            let output = bed.dom0_within(&format!("/var/resume {id} {way}"), SLOWLY)?;
            assert!(output.success(), "{way}: {output:?}");
            domain.wait_for_next(said, SOON)?;
            pause(domain, way, 5)?;
        }
        wait(domain, "xenstored stands still", 40, || {
            let still = "kill -STOP $(pidof xenstored); sleep 40; kill -CONT $(pidof xenstored)";
            assert!(bed.dom0_within(still, SLOWLY)?.success());
            Ok(())
        })?;
        Ok(())
    });
}
