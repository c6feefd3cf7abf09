//! Memory: a `maxmem` above `memory`, and `xl mem-set`.

use crate::{SMALL_MIB, xl, xl_slowly};
use bed::{Bed, DomainConfig, Value, run_test};
use domu_tests::guest::{Guest, config, verdict};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome, SOON};

/// What `maxmem=` promises.
const PROMISED_MIB: u32 = 64;

fn promised(image: &str, name: &str, cmdline: &str) -> Outcome<DomainConfig> {
    let config = config(image, name, cmdline)?.memory_mib(SMALL_MIB);
    Ok(config.set("maxmem", Value::Number(PROMISED_MIB.to_string())))
}

/// Xen populates such a guest on demand, and ends it if it touches more than its reservation.
fn uses_all_that_it_has(bed: &Bed) -> Outcome {
    let probe = bed.create(&promised("probe", "filled", "app.do=fill")?)?;
    let line = probe.wait_for(" KiB to Xen (maxmem= beyond memory=)", BOOT)?;
    let kib = line.split("memory: returned ").nth(1).and_then(|rest| rest.split(' ').next());
    let kib: u32 = kib.ok_or("no number")?.parse()?;
    let promised = (PROMISED_MIB - SMALL_MIB) << 10;
    assert!((promised..promised + 1024).contains(&kib), "{line}");
    let filled = probe.wait_for("filled ", BOOT)?;
    verdict(&probe)?;
    let kib = filled.split("filled ").nth(1).and_then(|rest| rest.split(' ').next());
    let kib: u32 = kib.ok_or("no number")?.parse()?;
    assert!(kib > (SMALL_MIB << 10) * 3 / 4, "most of it: {filled}");
    Ok(())
}

/// `xl mem-set` changes nothing: the guest keeps its memory, and a line on the console says so.
fn keeps_what_it_has(bed: &Bed, guest: &Guest<'_>, connection: &mut Connection) -> Outcome {
    let name = guest.domain.name();
    // Some pages of the last MiB may be missing, so that xl shows one less.
    let shown = guest.domain.state()?.memory_mib;
    assert!((SMALL_MIB - 1..=SMALL_MIB).contains(&u32::try_from(shown)?), "{shown} MiB");
    for mib in [12, 40, SMALL_MIB] {
        xl(bed, &format!("mem-set {name} {mib}"))?;
        guest.domain.wait_for_next(" KiB; this guest cannot balloon and keeps its ", SOON)?;
        assert_eq!(connection.get("/healthz")?.status, 200, "mem-set {mib}");
        assert_eq!(guest.domain.state()?.memory_mib, shown, "as it was");
    }
    Ok(())
}

#[test]
fn unused_maxmem_is_returned_and_mem_set_changes_nothing() {
    run_test("unused_maxmem_is_returned_and_mem_set_changes_nothing", |bed| -> Outcome {
        uses_all_that_it_has(bed)?;
        let guest = Guest::create(bed, &promised("web", "full", "")?)?;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        let memory = number(&connection.status()?, "/memory_bytes")?;
        assert!((15 << 20..=16 << 20).contains(&memory), "{memory} bytes are its own");
        keeps_what_it_has(bed, &guest, &mut connection)?;
        // Memory that was never populated is in no save file, and the guest does not need it afterwards.
        xl_slowly(bed, "save full /var/full")?;
        xl_slowly(bed, "restore /var/full")?;
        assert_eq!(connection.get("/healthz")?.status, 200);
        assert_eq!(number(&connection.status()?, "/memory_bytes")?, memory);
        xl(bed, "shutdown -w full")?;
        Ok(())
    });
}
