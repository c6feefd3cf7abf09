//! Suspend and resume in the same domain: cancelled, and resumed.
//!
//! In the second case the guest cannot see at first that the domain is the old one: event channels, grants and watches
//! still exist, and a backend works on rings that the guest does not know any more.

use crate::save::Account;
use crate::traffic::{Busy, SILENCE};
use crate::{SLOWLY, SMALL_MIB};
use bed::{Bed, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{Outcome, SOON};

/// Times that the guest is resumed each way.
const ROUNDS: u32 = 2;

/// Ports that the domain has bound, as Xen lists them.
fn ports(bed: &Bed, domid: u32) -> Outcome<usize> {
    let output = bed.dom0("xl debug-keys e; sleep 1")?;
    assert!(output.success(), "{output:?}");
    let log = bed.hypervisor_log()?;
    let heading = format!("Event channel information for domain {domid}:");
    let list = log.rsplit(&heading).next().ok_or("no list")?;
    let is_port = |line: &&str| line.contains("]: s=") || line.contains(": s=");
    let lines = list.lines().skip(1).take_while(|line| !line.contains("Event channel information"));
    Ok(lines.filter(is_port).count())
}

#[test]
fn connections_go_on_after_a_resume_in_the_same_domain() {
    run_test("connections_go_on_after_a_resume_in_the_same_domain", |bed| -> Outcome {
        bed.put_file(domu_tests::dom0::RESUME, "/var/resume")?;
        let guest = Guest::create(bed, &config("web", "stayed", SILENCE)?.memory_mib(SMALL_MIB))?;
        let id = guest.domain.domid();
        let mut busy = Busy::start(bed, &guest)?;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        let before = connection.status()?;
        let mut bound = 0;
        for round in 1..=ROUNDS {
            for (way, said) in
                [("resume", "resumed in the same domain"), ("cancel", "the suspend was cancelled")]
            {
                let output = bed.dom0_within(&format!("/var/resume {id} {way}"), SLOWLY)?;
                assert!(output.success(), "{way}, round {round}: {output:?}");
                guest.domain.wait_for_next(said, SOON)?;
                busy.goes_on(&format!("{way}, round {round}"))?;
                let status = connection.status()?;
                assert_eq!(number(&status, "/domid")?, u64::from(id));
                Account::of(&status)?.check(&Account::of(&before)?, &format!("{way}, round {round}"))?;
            }
            if round == 1 {
                bound = ports(bed, id)?;
                assert!(bound >= 5, "store, console, timer, and two of the vif: {bound}");
            }
        }
        assert_eq!(ports(bed, id)?, bound, "no port is left over from the lives before");
        busy.end()?;
        Ok(())
    });
}
