//! Linux guests, which are started again if they crash while they boot.
//!
//! That happens on an emulated processor (docs/xen-map.md). A guest that ends later is the test's concern.

use crate::Outcome;
use bed::{Bed, Domain, DomainConfig, Kind, Value};
use std::time::Duration;

/// Starts of it, at most.
const TRIES: usize = 5;

/// Creates the guest, calls `before`, lets it run, and waits for a line of its script. The time that this takes
/// depends on the host.
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
