//! Makes every large allocation of a workload fail, one after the other, each in a process of its own.
//!
//! ```text
//!   count the allocations of at least `least` bytes: N
//!   for n in 0..N: run the test again in a child, where the n-th of them gives null
//!        ├─ fallible code (try_reserve) handles it: the child ends in order
//!        └─ any other allocation aborts the child: a finding, with its size and place
//! ```
//!
//! In the guest such an allocation would be a crash. Sizes that the code fixes are small, and have a reserve of the heap
//! to themselves (`kernel::heap_reserve`); larger ones have a size that a peer or dom0 decides.
//!
//! Every program that links this crate has its allocator. Each thread counts for itself, so tests run beside each other.

use kernel::heap_reserve::SMALL_BYTES;
use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::process::Command;

/// The least size that is searched for, in bytes: smaller allocations have the reserve of the heap.
pub const LEAST: usize = SMALL_BYTES + 1;

/// The result of [`fatal`] that every workload should have.
pub const NOTHING: [&str; 0] = [];

/// The variable that tells a child which allocation fails.
const FAILS: &str = "ALLOCATION_FAILS";

/// What this thread counts.
#[derive(Clone, Copy)]
struct Plan {
    /// The least size that counts; 0: nothing counts.
    least: usize,
    counted: Counted,
    /// The number of the allocation that fails.
    fail_at: Option<usize>,
    /// Whether its place is printed.
    is_printed: bool,
}

impl Plan {
    const IDLE: Self =
        Self { least: 0, counted: Counted { count: 0, bytes: 0 }, fail_at: None, is_printed: false };
}

thread_local! {
    static PLAN: Cell<Plan> = const { Cell::new(Plan::IDLE) };
}

/// The system's allocator, of which one allocation fails.
struct Failing;

#[global_allocator]
static ALLOCATOR: Failing = Failing;

impl Failing {
    /// Counts an allocation. Returns whether it fails.
    fn fails(size: usize) -> bool {
        let mut plan = PLAN.get();
        if plan.least == 0 || size < plan.least {
            return false;
        }
        let fails = plan.fail_at == Some(plan.counted.count);
        plan.counted = Counted { count: plan.counted.count + 1, bytes: plan.counted.bytes + size };
        if fails && plan.is_printed {
            // The backtrace allocates.
            PLAN.set(Plan::IDLE);
            eprintln!("refused {size} bytes to {}", place(&Backtrace::force_capture().to_string()));
        }
        PLAN.set(plan);
        fails
    }
}

// SAFETY: every call goes to the system's allocator unchanged, or gives null.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::fails(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; the block came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Self::fails(size) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise; the block came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The innermost place in a backtrace that is in this repository and not in this file: `file:line`.
fn place(backtrace: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let root = std::fs::canonicalize(root).unwrap_or_default().display().to_string();
    let mut function = "";
    for line in backtrace.lines().map(str::trim) {
        let Some(path) = line.strip_prefix("at ") else {
            function = line;
            continue;
        };
        // The program runs in the folder of its crate.
        let own = path.strip_prefix("./").map(|path| format!("tests/allocations/{path}"));
        let ours =
            own.or_else(|| path.strip_prefix(&root).map(|path| path.trim_start_matches('/').to_owned()));
        if let Some(path) =
            ours.filter(|_| !function.contains("allocation_tests") && !function.contains("__rust"))
        {
            return path.rsplit_once(':').map_or(path.clone(), |(place, _column)| place.to_owned());
        }
    }
    "an unknown place".to_owned()
}

/// Allocations of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: usize,
    /// The sum of their sizes; a block that grows counts again.
    pub bytes: usize,
}

fn run<T>(plan: Plan, workload: impl FnOnce() -> T) -> (T, Counted) {
    PLAN.set(plan);
    let result = workload();
    (result, PLAN.replace(Plan::IDLE).counted)
}

/// Counts the allocations of at least `least` bytes.
pub fn count(least: usize, workload: impl FnOnce()) -> Counted {
    run(Plan { least: least.max(1), ..Plan::IDLE }, workload).1
}

/// Runs a workload in which, of the allocations of at least `least` bytes, the one with the number `fail_at` fails.
/// Returns its result, and whether there was one.
pub fn fail<T>(least: usize, fail_at: usize, workload: impl FnOnce() -> T) -> (T, bool) {
    let plan = Plan { least: least.max(1), fail_at: Some(fail_at), ..Plan::IDLE };
    let (result, counted) = run(plan, workload);
    (result, counted.count > fail_at)
}

/// Runs a part of a workload that is not the guest's, for instance its client: its allocations do not count.
pub fn aside<T>(part: impl FnOnce() -> T) -> T {
    let plan = PLAN.replace(Plan::IDLE);
    let result = part();
    PLAN.set(plan);
    result
}

/// Makes each allocation of at least [`LEAST`] bytes fail in turn, and returns those that ended the process: sizes and
/// places. `test` is the full name of the test that calls this. `workload` makes the same allocations each time; those of
/// `setup` do not fail.
///
/// # Panics
/// A child cannot be started.
pub fn fatal<S>(test: &str, setup: impl Fn() -> S, workload: impl Fn(&mut S)) -> Vec<String> {
    let mut state = setup();
    let plan = Plan { least: LEAST, ..Plan::IDLE };
    if let Some(number) = std::env::var_os(FAILS) {
        let number = number.to_str().and_then(|number| number.parse().ok()).expect("a number");
        run(Plan { fail_at: Some(number), is_printed: true, ..plan }, || workload(&mut state));
        // The parent looks at this process's end only.
        std::process::exit(0);
    }
    let total = run(plan, || workload(&mut state)).1.count;
    let program = std::env::current_exe().expect("the test program");
    let mut found = Vec::new();
    for number in 0..total {
        let child = Command::new(&program)
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(FAILS, number.to_string())
            .output()
            .expect("a child");
        let text = String::from_utf8_lossy(&child.stderr);
        let refused = text.lines().find_map(|line| line.strip_prefix("refused "));
        let refused = refused.unwrap_or_else(|| panic!("nothing was refused: {text}"));
        if !child.status.success() {
            found.push(refused.to_owned());
        }
    }
    found
}
