//! The counting machine of the benchmarks that are programs of their own: its time is its number of instructions.

use bed::linux_domu::Linux;
use bed::{Bed, Domain, DomainConfig, Value};
use std::time::Duration;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// 2 ns each, and no waiting while nothing runs.
pub(crate) const ICOUNT: &str = "shift=1,sleep=off";
/// Instructions of the whole machine in a second of its time.
pub(crate) const PER_SECOND: f64 = 500e6;
/// From `xl create` to the last line of a start; Linux takes billions of instructions.
const BOOT: Duration = Duration::from_secs(1200);
/// The limit of a command in dom0.
const LONG: Duration = Duration::from_secs(900);

/// Runs a script in dom0, which must succeed, and returns its output.
pub(crate) fn dom0(bed: &Bed, script: &str) -> Outcome<String> {
    let output = bed.dom0_within(script, LONG)?;
    if output.success() {
        return Ok(output.stdout);
    }
    Err(format!("`{script}` in dom0: {}{}", output.stdout, output.stderr).into())
}

/// Puts a program into dom0.
pub(crate) fn put(bed: &Bed, path: &str, program: &[u8]) -> Outcome {
    let output = bed.dom0_with_input(&format!("cat > {path} && chmod 755 {path}"), program, LONG)?;
    if output.success() { Ok(()) } else { Err(format!("{path} in dom0: {}", output.stderr).into()) }
}

/// Our image, with that command line.
pub(crate) fn ours(image: &str, name: &str, cmdline: &str) -> Outcome<DomainConfig> {
    let root = bed::repository();
    let config = DomainConfig::from_file(root.join("xen.cfg"))?;
    Ok(config.kernel(root.join(format!("build/{image}.elf"))).name(name).cmdline(cmdline))
}

#[allow(dead_code, reason = "used by one of the programs that count")]
/// A Linux guest that loads these modules of dom0's, whose kernel is the same, as `/root/NAME.ko`.
pub(crate) fn with_modules(bed: &Bed, mut guest: Linux, modules: &[&str]) -> Outcome<Linux> {
    for module in modules {
        let path = format!("/usr/lib/modules/{module}.ko");
        guest = guest.file(&format!("root/{module}.ko"), 0o644, bed.get_file(&path)?);
    }
    Ok(guest)
}

/// Starts a guest, and pauses it when it is ready.
pub(crate) fn start(bed: &Bed, config: &DomainConfig, ready: &str) -> Outcome<Domain> {
    // As in the other benchmark: no exit for each look at the clock, on either side.
    let domain = bed.create(&config.clone().set("tsc_mode", Value::Text("native".into())))?;
    domain.wait_for(ready, BOOT)?;
    dom0(bed, &format!("sleep 1; xl pause {}", domain.name()))?;
    Ok(domain)
}

/// What a measured program has said last: units and seconds.
pub(crate) fn units_and_seconds(said: &str) -> Option<(f64, f64)> {
    let words: Vec<&str> = said.lines().last()?.split_whitespace().collect();
    let [units, seconds] = words.as_slice() else { return None };
    Some((units.parse().ok()?, seconds.parse().ok()?))
}
