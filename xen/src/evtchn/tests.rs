//! Event channels after a suspend: ports from before the suspend get no events.

use super::EventChannels;
use crate::ids::EvtchnPort;
use crate::memory::shared::Shared;
use crate::tests::page;
use core::sync::atomic::Ordering::SeqCst;

/// Offsets as `xen.h` has them: in `shared_info`, and in `vcpu_info`.
const PENDING: usize = 2048;
const MASK: usize = 2048 + 512;
const SELECTOR: usize = 8;

/// Does what Xen does for an event: sets its bit and, unless it is masked, that of its word and the upcall.
fn ring(shared_info: Shared<'static>, vcpu_info: Shared<'static>, port: u32) {
    let (word, bit) = (usize::try_from(port / 64).unwrap(), 1_u64 << (port % 64));
    shared_info.fetch_or(PENDING + word * 8, bit);
    if shared_info.load::<u64>(MASK + word * 8, SeqCst) & bit == 0 {
        vcpu_info.fetch_or(SELECTOR, 1_u64 << word);
        vcpu_info.store(0, 1_u8, SeqCst);
    }
}

#[test]
fn after_a_suspend_every_port_is_masked_and_nobody_listens() {
    let (shared_info, vcpu_info) = (page(), page());
    let events = EventChannels::new(shared_info, vcpu_info);
    let (first, last) = (EvtchnPort(3), EvtchnPort(200));
    let signals = [events.listen(first), events.listen(last)];
    let stopped = EvtchnPort(70);
    drop(events.listen(stopped));
    events.stop(stopped);
    ring(shared_info, vcpu_info, 3);
    let before = events.generation();

    assert_eq!(events.resume(), [first, last], "the ports that are void now");
    assert_ne!(events.generation(), before);
    assert!(!events.has_pending(), "what was pending is forgotten");
    assert!(signals.iter().all(|signal| signal.take()), "who listened is told");
    for port in [3, 70, 200] {
        ring(shared_info, vcpu_info, port);
    }
    assert_eq!(events.dispatch(), 0, "masked");
    assert!(!signals.iter().any(|signal| signal.is_set()));
    for word in 0..64 {
        assert_eq!(shared_info.load::<u64>(MASK + word * 8, SeqCst), u64::MAX, "word {word}");
    }
    assert_eq!(events.resume(), [], "nobody listened");
}

#[test]
fn a_port_that_is_bound_again_keeps_its_pending_event() {
    let (shared_info, vcpu_info) = (page(), page());
    let events = EventChannels::new(shared_info, vcpu_info);
    let old = events.listen(EvtchnPort(3));
    drop(events.resume());
    assert!(old.take(), "told that its port is void");
    // The new domain's xenstored rings before we listen.
    ring(shared_info, vcpu_info, 3);
    let new = events.listen(EvtchnPort(3));
    assert!(new.take() && !old.is_set());
    ring(shared_info, vcpu_info, 3);
    assert_eq!(events.dispatch(), 1);
    assert!(new.take() && !old.is_set());
    assert_eq!(events.stats().stray, 0);
}
