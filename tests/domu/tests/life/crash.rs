//! What a crash leaves: reason, backtrace, build and the last words of the log, on the console and in xenstore.

use crate::SMALL_MIB;
use bed::{DomainState, run_test};
use domu_tests::guest::config;
use domu_tests::{BOOT, Outcome};
use std::process::Command;

/// The hexadecimal build id as `readelf` finds it in the image that was started.
fn build_id(image: &str) -> Outcome<String> {
    let file = bed::repository().join("build").join(format!("{image}.elf"));
    let output = Command::new("readelf").arg("-n").arg(&file).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let id = text.lines().find_map(|line| line.trim().strip_prefix("Build ID: ").map(str::to_owned));
    Ok(id.ok_or_else(|| format!("no build id in {}:\n{text}", file.display()))?)
}

#[test]
fn report_has_the_build_and_the_log_and_is_in_xenstore_too() {
    run_test("report_has_the_build_and_the_log_and_is_in_xenstore_too", |bed| -> Outcome {
        for what in ["panic", "null", "heap"] {
            let config = config("probe", what, &format!("app.do={what}"))?.memory_mib(SMALL_MIB);
            let probe = bed.create(&config)?;
            let status = probe.wait_ended(BOOT)?;
            assert_eq!((status.state, status.reason), (DomainState::Crashed, Some(3)), "{what}");
            let console = probe.console();
            assert!(console.contains(&format!("build: {}", build_id("probe")?)), "{console}");
            let log = console.split("\nlog:").nth(1).ok_or("no log in the report")?;
            assert!(log.contains(&format!("app.do={what}")), "the last line before: {console}");
            // With the heap used up nothing can be queued any more; the console has it all the same.
            if what != "heap" {
                let node = format!("/local/domain/{}/data/crash", probe.domid());
                let kept = bed.xenstore_read(&node)?;
                assert!(kept.contains("=== millpond ") && kept.contains("=== end of report ==="), "{kept}");
            }
        }
        Ok(())
    });
}
