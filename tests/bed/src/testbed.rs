//! How a test uses the bed: one at a time, and with everything collected when it fails.

use crate::bed::Bed;
use crate::error::Result;
use crate::options::Options;
use crate::paths::{Lock, bed_dir};
use crate::progress::Progress;
use std::any::Any;
use std::fmt::Display;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs a test on a bed of its own with default options. See [`run_test_with`].
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

/// Runs a test on a bed of its own: restores the snapshot, runs the body, ends the machine.
///
/// Tests wait for each other, also those of other processes: emulation wants the whole host. When the body panics or
/// returns an error, all logs are collected into `build/bed/logs/NAME/` and the test fails.
pub fn run_test_with<E: Display>(
    name: &str,
    options: Options,
    body: impl FnOnce(&Bed) -> std::result::Result<(), E>,
) {
    if let Err(payload) = attempt(name, &options, body) {
        resume_unwind(payload);
    }
}

/// A bed that several tests of a program share, for those to whom a start of their own would cost more than they take
/// themselves. While it is there, tests of other programs wait.
#[derive(Debug)]
pub struct SharedBed {
    bed: Bed,
    _turn: Lock,
}

impl SharedBed {
    /// Waits for its turn, and restores the snapshot.
    ///
    /// # Errors
    /// As [`Bed::start`].
    pub fn start(options: &Options) -> Result<Self> {
        let turn = Lock::wait("tests", || {})?;
        Ok(Self { bed: start(options)?, _turn: turn })
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
    let _turn = Lock::wait("tests", || {}).map_err(|error| failed(name, &error))?;
    let bed = start(options).map_err(|error| failed(name, &error))?;
    let outcome = match catch_unwind(AssertUnwindSafe(|| body(&bed))) {
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
