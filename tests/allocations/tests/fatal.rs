//! No large allocation of these workloads ends the process; and the search itself finds what it looks for.

#[allow(unused_qualifications, reason = "shared with the tests of web, where other names are in scope")]
#[path = "../../../appliances/web/tests/support/mod.rs"]
mod support;

use allocation_tests::{NOTHING, count, fatal};
use datafront::block::{Outbox, WhenFull};
use kernel::heap_reserve::{CRASH_BYTES, SMALL_BYTES};
use ledger::{Buffer, Consumer, Ledger};
use std::rc::Rc;
use support::Does;
use web::access_log::AccessLog;
use web::http::RequestLog;
use xen::abi::grant_table::GrantStatus;
use xen::console::Console;
use xen::hypervisor::{GrantTableSize, HvmParam, MapSpace, ShutdownReason, Virq};
use xen::memory::foreign::{Foreign, MapError};
use xen::{DomId, Errno, EvtchnPort, Gfn, Gref, Hypervisor, SystemTime, VcpuId};

#[test]
fn an_infallible_allocation_is_found_and_a_fallible_one_is_not() {
    let found = fatal(
        "an_infallible_allocation_is_found_and_a_fallible_one_is_not",
        || (),
        |()| {
            let mut fallible: Vec<u8> = Vec::new();
            let _ = fallible.try_reserve_exact(20_000);
            let infallible = std::hint::black_box(vec![1_u8; 30_000]);
            let small = std::hint::black_box(vec![1_u8; SMALL_BYTES]);
            assert_eq!((infallible.len(), small.len()), (30_000, SMALL_BYTES));
        },
    );
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("30000 bytes to tests/allocations/tests/fatal.rs:"), "{found:?}");
}

#[test]
fn a_buffer_of_the_ledger_never_ends_the_process() {
    let found = fatal(
        "a_buffer_of_the_ledger_never_ends_the_process",
        || Ledger::new(1 << 20),
        |ledger| {
            let mut buffer = Buffer::new(&ledger.open(Consumer::Replies));
            let mut refused = 0;
            for _ in 0..200 {
                refused += usize::from(buffer.try_extend(&[7; 1000]).is_err());
            }
            assert_eq!(buffer.len() + refused * 1000, 200_000);
            assert!(buffer.iter().all(|byte| *byte == 7));
        },
    );
    assert_eq!(found, NOTHING);
}

/// Calls of Xen that do nothing, and allocate nothing.
struct Silent;

impl Hypervisor for Silent {
    fn evtchn_send(&self, _: EvtchnPort) -> Result<(), Errno> {
        Ok(())
    }
    fn evtchn_alloc_unbound(&self, _: DomId) -> Result<EvtchnPort, Errno> {
        Err(Errno::ENOSYS)
    }
    fn evtchn_bind_interdomain(&self, _: DomId, _: EvtchnPort) -> Result<EvtchnPort, Errno> {
        Err(Errno::ENOSYS)
    }
    fn evtchn_bind_virq(&self, _: Virq, _: VcpuId) -> Result<EvtchnPort, Errno> {
        Err(Errno::ENOSYS)
    }
    fn evtchn_close(&self, _: EvtchnPort) -> Result<(), Errno> {
        Ok(())
    }
    fn sched_block(&self) {}
    fn sched_yield(&self) {}
    fn sched_shutdown(&self, _: ShutdownReason) -> Result<bool, Errno> {
        Err(Errno::ENOSYS)
    }
    fn set_singleshot_timer(&self, _: SystemTime) -> Result<(), Errno> {
        Ok(())
    }
    fn hvm_get_param(&self, _: HvmParam) -> Result<u64, Errno> {
        Err(Errno::ENOSYS)
    }
    fn hvm_set_param(&self, _: HvmParam, _: u64) -> Result<(), Errno> {
        Ok(())
    }
    fn grant_table_size(&self) -> Result<GrantTableSize, Errno> {
        Err(Errno::ENOSYS)
    }
    fn map_foreign(&self, _: DomId, _: Gref) -> Result<Foreign, MapError> {
        Err(MapError::NoRoom)
    }
    fn unmap_foreign(&self, _: Foreign) -> Result<(), GrantStatus> {
        Err(GrantStatus::GeneralError)
    }
    unsafe fn add_to_physmap(&self, _: MapSpace, _: u32, _: Gfn) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
}

/// A console that nobody reads, with `lines` lines in it.
fn console(lines: usize) -> (xen_sim::Sim, Console) {
    let sim = xen_sim::Sim::builder().build();
    let xen = sim.xen();
    let console = Console::new(xen.machine.console_ring(), EvtchnPort(2));
    for number in 0..lines {
        console.write(format!("[    0.{number:06}] INFO  kernel: a line of usual length\n").as_bytes());
    }
    console.pump(&Silent);
    (sim, console)
}

#[test]
fn console_output_that_nobody_reads_never_ends_the_process() {
    let test = "console_output_that_nobody_reads_never_ends_the_process";
    let found = fatal(
        test,
        || console(0),
        |(_sim, console)| {
            for number in 0..2000 {
                console.write(b"[    0.000000] INFO  kernel: a line of usual length\n");
                if number % 100 == 0 {
                    console.pump(&Silent);
                }
            }
            console.write(&[b'x'; 100_000]);
            console.pump(&Silent);
        },
    );
    assert_eq!(found, NOTHING);
}

#[test]
fn serving_pages_never_ends_the_process() {
    let get = |path: &str| Does::Sends(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes());
    let found = fatal(
        "serving_pages_never_ends_the_process",
        || (),
        |()| {
            // The client's own buffers are no concern of the guest: it takes nothing.
            let server = support::server();
            for path in ["/", "/status.json", "/metrics"] {
                support::run_taking(&server, [get(path)].into(), 0);
            }
        },
    );
    assert_eq!(found, NOTHING);
}

#[test]
fn an_access_log_never_ends_the_process() {
    // Each of these bytes is escaped to four.
    let text = [0xff; 1024];
    let request = [
        format!("GET /{} HTTP/1.1\r\nHost: a\r\nReferer: ", "x".repeat(1000)).as_bytes(),
        &text,
        b"\r\nUser-Agent: ",
        &text,
        b"\r\n\r\n",
    ]
    .concat();
    let found = fatal(
        "an_access_log_never_ends_the_process",
        || {
            let account = Ledger::new(16 << 20).open(Consumer::Outgoing);
            let outbox = Rc::new(Outbox::new(1, 1 << 20, WhenFull::DropOldest, &account));
            Rc::new(AccessLog::new(outbox, &account))
        },
        |log| {
            let requests: Rc<dyn RequestLog> = Rc::<AccessLog>::clone(log);
            let server = support::server().with_log(Some(requests));
            for _ in 0..4 {
                support::run_taking(&server, [Does::Sends(request.clone())].into(), 0);
            }
            log.flush();
            assert_eq!(log.lines().0, 4);
        },
    );
    assert_eq!(found, NOTHING);
}

#[test]
fn a_crash_report_fits_into_its_memory() {
    for lines in [0, 20, 2000] {
        let (sim, console) = console(lines);
        let report = vec![b'x'; 3584];
        let store = &sim.xen().store;
        let used = count(0, || {
            console.write_sync_best_effort(&Silent, &report, 100);
            store.write_sync_best_effort(&Silent, "data/crash", &report, 100);
        });
        assert!(used.count > 0 && used.bytes <= CRASH_BYTES, "{lines} lines: {used:?}");
    }
}
