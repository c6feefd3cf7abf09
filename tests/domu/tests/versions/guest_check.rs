//! The checks of a guest in each variant: an address, the page, requests on one connection, pings, and a clean
//! shutdown.

use crate::table::Verdict;
use bed::{Bed, DomainConfig, Error, Kind};
use domu_tests::dom0;
use domu_tests::guest::Guest;
use domu_tests::http::{Connection, request};
use domu_tests::{BOOT, Outcome, SOON};

/// Requests on one connection, and pings.
const REQUESTS: usize = 50;
const PINGS: u32 = 20;

/// Starts the guest, uses it, and shuts it down.
pub(crate) fn verdict(bed: &Bed, config: &DomainConfig) -> Verdict {
    match bed.create(config) {
        Ok(domain) => match Guest::of(bed, domain).and_then(|guest| use_it(bed, &guest)) {
            Ok(()) => Verdict::Works,
            Err(error) => Verdict::Fault(one_line(&error.to_string())),
        },
        Err(error) if error.kind() == Kind::Command => refusal(&error),
        Err(error) => Verdict::Fault(one_line(&error.to_string())),
    }
}

fn use_it(bed: &Bed, guest: &Guest<'_>) -> Outcome {
    let mut connection = Connection::open(guest.tcp(80)?)?;
    let page = connection.get("/")?;
    if page.status != 200 {
        return Err(format!("/ is {}", page.status).into());
    }
    connection.pipeline(&request("/1k", 0).repeat(REQUESTS), REQUESTS, 1024)?;
    // A new IPv6 address empties the guest's table of neighbours, which costs a ping.
    guest.wait_for_ipv6()?;
    // The guest before had this address: the bridge may lose pings until it has learnt the new port.
    bed.dom0(&format!("ping -q -c 3 -i 0.2 -W 5 {}", guest.address))?;
    dom0::ping(bed, PINGS, &format!("-i 0.1 {}", guest.address))?;
    let name = guest.domain.name();
    let shutdown = bed.dom0_within(&format!("xl shutdown -w {}", guest.domain.domid()), BOOT)?;
    if !shutdown.success() {
        return Err(format!("xl shutdown {name}: {shutdown:?}").into());
    }
    guest.domain.wait_gone(SOON)?;
    Ok(())
}

/// The error of xl: its first line with an error, without time and source location.
fn refusal(error: &Error) -> Verdict {
    let text = error.to_string();
    let line = text
        .lines()
        .find(|line| line.contains("error:") || line.contains("ERROR") || line.contains("failed"));
    let line = line.unwrap_or(&text);
    let said = line.rsplit_once("error: ").map_or(line, |(_, said)| said);
    let said =
        said.rsplit_once(".c:").and_then(|(_, rest)| rest.split_once(':')).map_or(said, |(_, rest)| rest);
    Verdict::Refused(one_line(said.trim()))
}

fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(160).collect()
}
