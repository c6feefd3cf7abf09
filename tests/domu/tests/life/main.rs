//! Lifecycle: the commands of the toolstack and what a crash leaves.
//!
//! A separate program from `xen`: these are the tests of the toolstack's side.

mod clock;
mod commands;
mod crash;
mod driver;
mod memory;
mod migrate;
mod restart;
mod resume;
mod save;
mod second;
mod shell;
mod tls;
mod tools;
mod traffic;
mod waiting;
mod watchdog;
mod xenstored;

use bed::{Bed, Domain};
use domu_tests::Outcome;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A small guest: less to save, less to restore.
const SMALL_MIB: u32 = 16;

/// What `xl save` or `xl migrate` of a small guest takes under emulation, at most.
const SLOWLY: Duration = Duration::from_secs(150);

/// Waits until a node below the domain's directory has a value that fits.
fn node(bed: &Bed, domid: u32, path: &str, fits: impl Fn(&str) -> bool, limit: Duration) -> Outcome<String> {
    let key = format!("/local/domain/{domid}/{path}");
    let began = Instant::now();
    let mut last = None;
    while began.elapsed() < limit {
        last = bed.xenstore_read(&key).ok();
        if let Some(value) = last.take_if(|value| fits(value)) {
            return Ok(value);
        }
        sleep(Duration::from_millis(200));
    }
    Err(format!("{key} is {last:?} after {limit:?}").into())
}

/// Runs an `xl` command that must succeed, and returns its output.
fn xl(bed: &Bed, command: &str) -> Outcome<String> {
    let output = bed.dom0(&format!("xl {command}"))?;
    if output.success() { Ok(output.stdout) } else { Err(format!("xl {command}: {output:?}").into()) }
}

/// As [`xl`], with the timeout that saving and migrating take.
fn xl_slowly(bed: &Bed, command: &str) -> Outcome<String> {
    let output = bed.dom0_within(&format!("xl {command}"), SLOWLY)?;
    if output.success() { Ok(output.stdout) } else { Err(format!("xl {command}: {output:?}").into()) }
}

/// Types a line on a guest's console and waits for something in the answer.
fn ask(domain: &Domain, line: &str, answer: &str) -> Outcome<String> {
    domain.send_line(line)?;
    Ok(domain.wait_for_next(answer, domu_tests::SOON)?)
}
