//! Tests on the test bed: when they run, and what is collected when they fail.

use crate::bed::Bed;
use crate::error::Result;
use crate::lane::Lane;
use crate::options::Options;
use crate::paths::bed_dir;
use crate::progress::Progress;
use std::any::Any;
use std::fmt::Display;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

/// Runs a test on a machine of its own with default options. See [`run_test_with`].
///
/// ```no_run
/// #[test]
/// fn dom0_has_a_name() {
///     bed::run_test("dom0_has_a_name", |bed| {
///         assert_eq!(bed.dom0("hostname")?.stdout, "dom0\n");
///         Ok::<_, bed::Error>(())
///     });
/// }
/// ```
pub fn run_test<E: Display>(name: &str, body: impl FnOnce(&Bed) -> std::result::Result<(), E>) {
    run_test_with(name, Options::default(), body);
}

/// Runs a test on a machine of its own: restores the snapshot, runs the body, ends the machine.
///
/// At most [`lanes`](crate::lanes) of them run at a time, over all processes: each emulation needs a processor.
/// When the body panics or returns an error, all logs are collected into `build/bed/logs/NAME/` and the test fails.
/// How long it took is printed either way.
pub fn run_test_with<E: Display>(
    name: &str,
    options: Options,
    body: impl FnOnce(&Bed) -> std::result::Result<(), E>,
) {
    if let Err(payload) = attempt(name, &options, body) {
        resume_unwind(payload);
    }
}

/// A machine that several tests of a program share, if its start would take longer than the tests. It has a lane
/// while it exists.
#[derive(Debug)]
pub struct SharedBed {
    bed: Bed,
    _lane: Lane,
}

impl SharedBed {
    /// Waits for a lane, and restores the snapshot.
    ///
    /// # Errors
    /// As [`Bed::start`].
    pub fn start(options: &Options) -> Result<Self> {
        let lane = Lane::wait()?;
        Ok(Self { bed: start(options)?, _lane: lane })
    }

    /// Collects all logs into `build/bed/logs/NAME/`, and says so.
    pub fn collect(&self, name: &str) {
        collect(&self.bed, name);
    }
}

impl Deref for SharedBed {
    type Target = Bed;

    fn deref(&self) -> &Bed {
        &self.bed
    }
}

type Payload = Box<dyn Any + Send>;

fn attempt<E: Display>(
    name: &str,
    options: &Options,
    body: impl FnOnce(&Bed) -> std::result::Result<(), E>,
) -> std::result::Result<(), Payload> {
    let _lane = Lane::wait().map_err(|error| failed(name, &error))?;
    let begun = Instant::now();
    let bed = start(options).map_err(|error| failed(name, &error))?;
    let started = begun.elapsed().as_secs_f64();
    let outcome = catch_unwind(AssertUnwindSafe(|| body(&bed)));
    let took = begun.elapsed().as_secs_f64();
    eprintln!("[bed] {name}: {took:.1} s, {started:.1} of them until dom0 was ready");
    let outcome = match outcome {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => failed(name, &error),
        Err(payload) => payload,
    };
    collect(&bed, name);
    Err(outcome)
}

fn collect(bed: &Bed, name: &str) {
    let folder = bed_dir().join("logs").join(name);
    match bed.collect_logs(&folder) {
        Ok(()) => eprintln!("[bed] logs of {name} are in {}", folder.display()),
        Err(error) => eprintln!("[bed] logs of {name} could not be collected: {error}"),
    }
}

fn start(options: &Options) -> Result<Bed> {
    Bed::start_with(options, &mut Progress::new(5))
}

/// Says why, as the panic hook would, and makes the payload that fails the test.
fn failed(name: &str, error: &impl Display) -> Payload {
    eprintln!("test {name} failed: {error}");
    Box::new(format!("test {name} failed: {error}"))
}
