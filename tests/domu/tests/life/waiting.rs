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

/// Iterations in a second of the guest's clock that are no waste: the appliance's clock, the guest agent, frames that
/// everybody gets.
const RATE: u64 = 20;

/// What the guest's loop has done.
struct Loop {
    /// Seconds of the guest's clock. The host may be slow: what takes a second in the guest is not counted by the host's.
    seconds: u64,
    iterations: u64,
    without_work: u64,
    /// The line of the shell, for the message.
    line: String,
}

/// Asks the shell: the network may be away.
fn status(domain: &Domain) -> Outcome<Loop> {
    domain.send_line("status")?;
    let up = domain.wait_for_next(", up ", SOON)?;
    let line = domain.wait_for_next("loop: iterations ", SOON)?;
    // A counter at 0 is not in the answer.
    let number = |line: &str, name: &str| {
        let digits = line.split_once(name).map_or("0", |(_, rest)| rest);
        digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse::<u64>()
    };
    let (seconds, iterations) = (number(&up, ", up ")?, number(&line, "iterations ")?);
    Ok(Loop { seconds, iterations, without_work: number(&line, "without_work ")?, line })
}

/// Compares the loop before and after something.
fn wait(domain: &Domain, what: &str, meanwhile: impl FnOnce() -> Outcome) -> Outcome {
    let before = status(domain)?;
    meanwhile()?;
    let after = status(domain)?;
    let (iterations, seconds) = (after.iterations - before.iterations, after.seconds - before.seconds);
    let said =
        format!("{what}: {iterations} iterations in {seconds} s, {:?} after {:?}", after.line, before.line);
    println!("  {said}");
    // The questions themselves take some ten seconds' worth.
    if after.without_work == 0 && iterations < RATE * (seconds + 10) { Ok(()) } else { Err(said.into()) }
}

/// Lets the guest wait.
pub(crate) fn pause(domain: &Domain, what: &str, seconds: u64) -> Outcome {
    wait(domain, what, || {
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
        wait(domain, "xenstored stands still", || {
            let still = "kill -STOP $(pidof xenstored); sleep 40; kill -CONT $(pidof xenstored)";
            assert!(bed.dom0_within(still, SLOWLY)?.success());
            Ok(())
        })?;
        Ok(())
    });
}
