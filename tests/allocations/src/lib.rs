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

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The variable that tells a child which allocation fails.
const FAILS: &str = "ALLOCATION_FAILS";

static COUNTING: AtomicBool = AtomicBool::new(false);
static LEAST: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static FAIL_AT: AtomicUsize = AtomicUsize::new(usize::MAX);
static TOTAL_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, of which one allocation fails. A test program makes it its global allocator.
#[derive(Debug)]
pub struct Failing;

impl Failing {
    /// Counts an allocation. Returns whether it fails.
    fn fails(size: usize) -> bool {
        if !COUNTING.load(Relaxed) || size < LEAST.load(Relaxed) {
            return false;
        }
        TOTAL_BYTES.fetch_add(size, Relaxed);
        let fails = COUNT.fetch_add(1, Relaxed) == FAIL_AT.load(Relaxed);
        if fails {
            // The backtrace allocates.
            COUNTING.store(false, Relaxed);
            eprintln!("refused {size} bytes to {}", place(&Backtrace::force_capture().to_string()));
            COUNTING.store(true, Relaxed);
        }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: usize,
    /// The sum of their sizes; a block that grows counts again.
    pub bytes: usize,
}

/// Counts the allocations of at least `least` bytes.
pub fn count(least: usize, workload: impl FnOnce()) -> Counted {
    LEAST.store(least, Relaxed);
    COUNT.store(0, Relaxed);
    TOTAL_BYTES.store(0, Relaxed);
    COUNTING.store(true, Relaxed);
    workload();
    COUNTING.store(false, Relaxed);
    Counted { count: COUNT.load(Relaxed), bytes: TOTAL_BYTES.load(Relaxed) }
}

/// Makes each allocation of at least `least` bytes fail in turn, and returns those that ended the process: sizes and
/// places. `test` is the full name of the test that calls this. `workload` makes the same allocations each time; those of
/// `setup` do not fail.
///
/// # Panics
/// A child cannot be started.
pub fn fatal<S>(test: &str, least: usize, setup: impl Fn() -> S, workload: impl Fn(&mut S)) -> Vec<String> {
    let mut state = setup();
    if let Some(number) = std::env::var_os(FAILS) {
        let number = number.to_str().and_then(|number| number.parse().ok()).expect("a number");
        FAIL_AT.store(number, Relaxed);
        count(least, || workload(&mut state));
        // The parent looks at this process's end only.
        std::process::exit(0);
    }
    let total = count(least, || workload(&mut state)).count;
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
