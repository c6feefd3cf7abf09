//! Sizes of memory: the least that is possible, and more than 4 GiB.

use bed::{Bed, DomainState, Options, run_test_with};
use domu_tests::guest::{Guest, config, verdict};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome};

#[test]
fn guests_of_every_size_serve_or_say_why_not() {
    // One machine for all, with room for two guests of more than 4 GiB at once, because Xen would otherwise clear the
    // memory of the ended one first. QEMU allocates memory that is touched: memory that no guest writes to costs the
    // host nothing.
    let options = Options::default().memory_mib(10240).without_snapshot();
    run_test_with("guests_of_every_size_serve_or_say_why_not", options, |bed| -> Outcome {
        too_small(bed)?;
        small(bed)?;
        more_than_four_gibibytes(bed)
    });
}

fn too_small(bed: &Bed) -> Outcome {
    let guest = bed.create(&config("echo", "too-small", "")?.memory_mib(2))?;
    let status = guest.wait_ended(BOOT)?;
    assert_eq!((status.state, status.reason), (DomainState::Crashed, Some(3)));
    // There is no memory for a console of its own: Xen's has the line.
    let said = guest.early_output()?;
    assert!(said.contains("too little memory: 2048 KiB, at least 3072 KiB are needed"), "{said}");
    assert!(said.contains("raise memory= in the domain's configuration"), "{said}");
    Ok(())
}

/// With 3 MiB the guest serves one client; with 4 MiB, the least that xl accepts without a warning, sixteen at once.
fn small(bed: &Bed) -> Outcome {
    for (mib, connections) in [(3, 1), (4, 16)] {
        let web = Guest::create(bed, &config("web", "small", "")?.memory_mib(mib))?;
        web.wait_for_ipv6()?;
        let ping = bed.dom0(&format!("ping -c 5 -i 0.1 -W 5 -s 1400 {}", web.address))?;
        // The bridge may lose the first one while it learns where the address has moved to.
        let enough =
            ["4 packets received", "5 packets received"].iter().any(|text| ping.stdout.contains(text));
        assert!(enough, "{ping:?}");
        let port = web.tcp(80)?;
        let mut all = Vec::new();
        for _ in 0..connections {
            let mut connection = Connection::open(port)?;
            assert_eq!(connection.get("/1k")?.body.len(), 1024, "{mib} MiB");
            all.push(connection);
        }
        for connection in &mut all {
            let page = connection.get("/")?;
            assert_eq!(page.status, 200, "{mib} MiB: {page:?}");
        }
        let status = all[0].status()?;
        assert_eq!(number(&status, "/memory_bytes")?, u64::from(mib) << 20);
        // The tests of the pages count on it, whatever an image's size.
        assert!(number(&status, "/ledger_limit/replies")? >= 72 << 10, "{mib} MiB: {status}");
        eprintln!("  memory={mib}: heap {}, pages {}", status["heap"], status["pages"]);
    }
    Ok(())
}

fn more_than_four_gibibytes(bed: &Bed) -> Outcome {
    let guest = Guest::create(bed, &config("web", "web", "")?.memory_mib(4400))?;
    let mut kept = Connection::open(guest.tcp(80)?)?;
    assert_eq!(kept.get("/1k")?.body.len(), 1024);
    let status = kept.status()?;
    assert_eq!(number(&status, "/memory_bytes")? >> 20, 4400, "{status}");
    let rights = guest.domain.wait_for("KiB writable", BOOT)?;
    eprintln!("  {rights}");
    // Above 4 GiB, where neither the boot code's tables nor 32-bit numbers reach.
    let cmdline = "app.do=touch app.at=100100000,101000ff8";
    let high = bed.create(&config("probe", "high", cmdline)?.memory_mib(4400))?;
    verdict(&high)?;
    drop(high);
    Ok(())
}
