//! Sources of entropy: without an unpredictable one the guest does not start.

use bed::{Bed, Domain, DomainConfig, Value, run_test};
use domu_tests::guest::config;
use domu_tests::{BOOT, Outcome, SOON};
use std::time::Duration;

/// 128 bits, as `openssl rand -hex 16` writes them.
const SECRET: &str = "seed of thirty-two characters :-)";

/// A guest whose processor has no instruction for random numbers.
fn without_source(name: &str, cmdline: &str) -> Outcome<DomainConfig> {
    let config = config("echo", name, cmdline)?;
    Ok(config.set("cpuid", Value::Text("host,rdrand=0,rdseed=0".into())))
}

#[test]
fn without_entropy_it_refuses_and_a_seed_is_a_source() {
    run_test("without_entropy_it_refuses_and_a_seed_is_a_source", |bed| -> Outcome {
        let none = bed.create(&without_source("none", "")?)?;
        none.wait_for_next("ERROR kernel: no entropy: the processor offers neither RDRAND nor RDSEED", BOOT)?;
        none.wait_for_next("stopping: permit rdrand in the domain's cpuid=, or add seed=SECRET", SOON)?;
        none.wait_gone(SOON)?;
        assert_eq!(none.shutdown_reason()?, Some(0), "an end in order, not a crash");
        assert!(!none.console().contains("netfront"), "it went no further");

        let short = bed.create(&without_source("short", "seed=0123456789")?)?;
        let line = short.wait_for("command line: seed=", BOOT)?;
        assert!(line.contains("a secret of 32 characters or more") && !line.contains("0123456789"), "{line}");
        short.wait_gone(SOON)?;

        let secret = SECRET.replace(' ', "-");
        let given = bed.create(&without_source("given", &format!("seed={secret}"))?)?;
        given.wait_for("net: DHCP lease ", BOOT)?;
        assert!(!given.console().contains(&secret), "it is not told back");
        given.destroy()?;

        let stored = paused_with_seed(bed)?;
        stored.wait_for("net: DHCP lease ", BOOT)?;
        Ok(())
    });
}

/// Creates a paused guest, writes its seed to xenstore as a toolstack would, and lets it run.
fn paused_with_seed(bed: &Bed) -> Outcome<Domain> {
    let stored = bed.create_paused(&without_source("stored", "")?)?;
    let key = format!("/local/domain/{}/vm-data/random-seed", stored.domid());
    bed.xenstore_write(&key, SECRET)?;
    // libxl gives a guest read access to dom0's nodes below its directory only on request.
    bed.dom0(&format!("xenstore-chmod -r /local/domain/{0}/vm-data n0 r{0}", stored.domid()))?;
    bed.dom0(&format!("xl unpause {}", stored.domid()))?;
    Ok(stored)
}

/// What saving and restoring a small guest takes under emulation, at most.
const SLOWLY: Duration = Duration::from_secs(150);

/// Restores the image as a paused domain, writes a seed if there is one, and lets it run. The domain's number.
fn restore(bed: &Bed, seed: Option<&str>) -> Outcome<u32> {
    xl(bed, "restore -p /var/stored")?;
    let id = xl(bed, "domid stored")?.trim().parse()?;
    if let Some(seed) = seed {
        bed.xenstore_write(&format!("/local/domain/{id}/vm-data/random-seed"), seed)?;
        bed.dom0(&format!("xenstore-chmod -r /local/domain/{id}/vm-data n0 r{id}"))?;
    }
    xl(bed, &format!("unpause {id}"))?;
    Ok(id)
}

fn xl(bed: &Bed, command: &str) -> Outcome<String> {
    let output = bed.dom0_within(&format!("xl {command}"), SLOWLY)?;
    if output.success() { Ok(output.stdout) } else { Err(format!("xl {command}: {output:?}").into()) }
}

#[test]
fn an_image_restored_twice_needs_a_seed_for_each() {
    run_test("an_image_restored_twice_needs_a_seed_for_each", |bed| -> Outcome {
        let guest = paused_with_seed(bed)?;
        guest.wait_for("listening on ", BOOT)?;
        xl(bed, "save stored /var/stored")?;
        // None, and the one that its twin may know.
        for seed in [None, Some(SECRET)] {
            let id = restore(bed, seed)?;
            guest.wait_for_next("ERROR kernel: no entropy: ", SOON)?;
            let gone = format!("for i in $(seq 300); do xl domname {id} || exit 0; sleep 0.1; done; exit 1");
            assert!(bed.dom0_within(&gone, SLOWLY)?.success(), "{seed:?}: it goes on");
        }
        for seed in ["the first twin's seed of 32 bytes", "the other twin's seed of 32 bytes"] {
            let id = restore(bed, Some(seed))?;
            guest.wait_for_next("vif/0: connected", SOON)?;
            assert_eq!(xl(bed, "domid stored")?.trim(), id.to_string(), "it goes on");
            xl(bed, &format!("destroy {id}"))?;
        }
        Ok(())
    });
}
