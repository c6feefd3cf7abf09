//! Health: whether the guest can be reached, and whether it can take more work.

use crate::http::{Code, Moment, Reply};
use crate::site::status::{InterfaceStatus, Status};

/// The part of the heap that must be free for more work, as a divisor: a sixteenth.
const FREE_PART: u64 = 16;

/// Whether the guest can be reached: an interface has a link and an address.
///
/// # Errors
/// The cause, if it cannot.
pub fn alive(status: &Status) -> Result<(), &'static str> {
    let up = || status.interfaces.iter().filter(|interface| interface.link_up);
    if status.interfaces.is_empty() {
        Err("no network interface")
    } else if up().count() == 0 {
        Err("no link")
    } else if up().all(|interface| !reachable(interface)) {
        Err("no address")
    } else {
        Ok(())
    }
}

/// A link-local address does not count: load balancers cannot use it.
fn reachable(interface: &InterfaceStatus) -> bool {
    interface.addresses().any(|address| !address.starts_with("fe80:"))
}

/// Whether the guest can take more work.
///
/// # Errors
/// The cause, if it cannot.
pub fn ready(status: &Status) -> Result<(), &'static str> {
    alive(status)?;
    let (used, free) = (status.groups.value("heap.used_bytes"), status.groups.value("heap.free_bytes"));
    let whole = used.saturating_add(free);
    if free < whole / FREE_PART { Err("memory is short") } else { Ok(()) }
}

/// The reply: `ok`, or 503 and the reason.
#[must_use]
pub fn reply(health: Result<(), &'static str>, now: &Moment) -> Reply {
    match health {
        Ok(()) => Reply::text(Code::Ok, "ok\n", now),
        Err(why) => {
            let body = alloc::format!("{why}\n");
            Reply::text(Code::ServiceUnavailable, &body, now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::status::{Group, Groups, InterfaceStatus};
    use alloc::vec;

    #[test]
    fn health_needs_a_link_and_an_address_on_one_interface() {
        let mut status = Status::default();
        assert_eq!(alive(&status), Err("no network interface"));
        let address = Some("192.0.2.1/24".into());
        status.interfaces = vec![InterfaceStatus { address, ..InterfaceStatus::default() }];
        assert_eq!(alive(&status), Err("no link"));
        status.interfaces.push(InterfaceStatus { link_up: true, ..InterfaceStatus::default() });
        assert_eq!(alive(&status), Err("no address"));
        status.interfaces[0].link_up = true;
        assert_eq!(alive(&status), Ok(()));
    }

    #[test]
    fn readiness_needs_memory_too() {
        let interface = InterfaceStatus {
            link_up: true,
            address: Some("192.0.2.1/24".into()),
            ..InterfaceStatus::default()
        };
        let mut status = Status { interfaces: vec![interface], ..Status::default() };
        let heap = |used, free| {
            Groups(vec![
                Group::new("heap", "Heap").gauges([("used_bytes", "", used), ("free_bytes", "", free)]),
            ])
        };
        status.groups = heap(1500, 100);
        assert_eq!(ready(&status), Ok(()));
        status.groups = heap(1501, 99);
        assert_eq!(ready(&status), Err("memory is short"));
        assert_eq!(alive(&status), Ok(()));
        status.interfaces.clear();
        assert_eq!(ready(&status), Err("no network interface"));
    }
}
