//! Live migration to the same host, and a migration that fails.

use crate::save::Account;
use crate::tools::agent;
use crate::traffic::{Busy, SILENCE};
use crate::{SLOWLY, SMALL_MIB, xl, xl_slowly};
use bed::run_test;
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{Outcome, SOON};

#[test]
fn connections_go_on_after_a_live_migration() {
    run_test("connections_go_on_after_a_live_migration", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("web", "moved", SILENCE)?.memory_mib(SMALL_MIB))?;
        let mut busy = Busy::start(bed, &guest)?;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        let before = connection.status()?;

        // The way to the receiving end is a shell command: instead of ssh to another host, the same host at once.
        let migrate = "migrate -s '' moved 'xl migrate-receive'";
        let bytes = busy.download.bytes();
        let said = xl_slowly(bed, migrate)?;
        busy.goes_on("after the migration")?;
        assert!(busy.download.bytes() > bytes);
        let id: u32 = xl(bed, "domid moved")?.trim().parse()?;
        let status = connection.status()?;
        assert_ne!(number(&status, "/domid")?, number(&before, "/domid")?, "another domain: {said}");
        assert_eq!(number(&status, "/domid")?, u64::from(id));
        Account::of(&status)?.check(&Account::of(&before)?, "after the migration")?;
        assert!(number(&status, "/uptime_ms")? > number(&before, "/uptime_ms")?, "time never goes back");
        agent(bed, id, guest.address)?;
        busy.end()?;
        xl(bed, "destroy moved")?;
        Ok(())
    });
}

#[test]
#[ignore = "takes a minute or more: make test-life-long"]
fn connections_go_on_after_a_migration_that_fails() {
    run_test("connections_go_on_after_a_migration_that_fails", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("web", "stayed", SILENCE)?.memory_mib(SMALL_MIB))?;
        let mut busy = Busy::start(bed, &guest)?;
        let before = xl(bed, "domid stayed")?;
        // The receiving end sends its banner (54 bytes), reads everything, and never answers.
        let broken = "xl migrate-receive | dd bs=1 count=54 2>/dev/null";
        let failed = bed.dom0_within(&format!("xl migrate -s '' stayed '{broken}'"), SLOWLY)?;
        assert!(!failed.success() && failed.stderr.contains("resuming at sender"), "{failed:?}");
        guest.domain.wait_for_next("the suspend was cancelled", SOON)?;
        assert_eq!(xl(bed, "domid stayed")?, before, "the same domain");
        busy.goes_on("after the migration that failed")?;
        busy.end()
    });
}
