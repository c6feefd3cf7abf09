//! The watchdog: it ends a guest that hangs, as `on_watchdog=` says, and no other.

use crate::SMALL_MIB;
use bed::{DomainState, Value, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::{BOOT, Outcome};
use std::thread::sleep;
use std::time::Duration;

/// `SHUTDOWN_watchdog` of `sched.h`.
const SHUTDOWN_WATCHDOG: u32 = 4;

#[test]
fn watchdog_ends_a_guest_that_hangs_and_no_other() {
    run_test("watchdog_ends_a_guest_that_hangs_and_no_other", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("echo", "guarded", "watchdog=3")?.memory_mib(SMALL_MIB))?;
        let preserve = Value::Text("preserve".to_owned());
        let config = config("probe", "hung", "app.do=hang watchdog=3")?.memory_mib(SMALL_MIB);
        let hung = bed.create(&config.set("on_watchdog", preserve))?;
        hung.wait_for("app.do=hang", BOOT)?;
        let status = hung.wait_ended(BOOT)?;
        assert_eq!((status.state, status.reason), (DomainState::Crashed, Some(SHUTDOWN_WATCHDOG)));
        // Without a watchdog it would hang for ever. A guest with a healthy loop is not affected.
        sleep(Duration::from_secs(4));
        assert_eq!(guest.domain.state()?.state, DomainState::Blocked, "it looks after itself while idle");
        Ok(())
    });
}
