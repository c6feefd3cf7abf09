//! Linux guests beside ours; Linux is started again if it dies while it boots.
//!
//! On a processor that is emulated it does not always (docs/xen-map.md). What ends later is a test's matter.

use crate::Outcome;
use bed::{Bed, Domain, DomainConfig, Kind, Value};
use std::time::Duration;

/// Starts of it, at most.
const TRIES: usize = 5;

/// Creates the guest, does to it what comes `before` it runs, and waits for a line of its script. How long that takes goes
/// by the host.
///
/// # Errors
/// It does not come as far, five times, or something else is in the way.
pub fn start(
    bed: &Bed,
    config: &DomainConfig,
    before: impl Fn(&Domain) -> Outcome,
    (ready, limit): (&str, Duration),
) -> Outcome<Domain> {
    let config = config.clone().set("on_reboot", Value::Text("destroy".to_owned())).on_crash("destroy");
    let mut tries = 1..TRIES;
    loop {
        let domain = bed.create_paused(&config)?;
        before(&domain)?;
        let unpaused = bed.dom0(&format!("xl unpause {}", domain.domid()))?;
        if !unpaused.success() {
            return Err(format!("{unpaused:?}").into());
        }
        match domain.wait_for(ready, limit) {
            Ok(_) => return Ok(domain),
            Err(error) if error.kind() == Kind::GuestEnded && tries.next().is_some() => {
                eprintln!("  {} ended while it started, once more: {error}", domain.name());
            }
            Err(error) => return Err(error.into()),
        }
    }
}
