//! Event channels, the timer and blocking, as Xen has them.

use xen::abi::xen::offset::{shared_info, vcpu_info};
use xen::hypervisor::{Clock as _, Hypervisor as _, Virq};
use xen::{DomId, Errno, EvtchnPort, SystemTime, VcpuId};
use xen_sim::{Call, Guest, GuestConfig, Sim};

fn machine() -> Sim {
    Sim::builder().memory_pages(32).build()
}

#[test]
fn ports_are_given_out_from_the_lowest_and_again_after_close() {
    let machine = machine();
    let guest = machine.guest();
    // 1 and 2 are xenstore's and the console's.
    let first = guest.evtchn_alloc_unbound(DomId(0)).unwrap();
    assert_eq!(first, EvtchnPort(3));
    assert_eq!(guest.evtchn_alloc_unbound(DomId(0)), Ok(EvtchnPort(4)));
    guest.evtchn_close(first).unwrap();
    assert_eq!(guest.evtchn_alloc_unbound(DomId(0)), Ok(first));
    assert_eq!(guest.open_ports(), 4);
}

#[test]
fn what_is_not_bound_cannot_be_used() {
    let guest = machine().guest();
    assert_eq!(guest.evtchn_send(EvtchnPort(9)), Err(Errno::EINVAL));
    assert_eq!(guest.evtchn_send(EvtchnPort(0)), Err(Errno::EINVAL));
    assert_eq!(guest.evtchn_close(EvtchnPort(0)), Err(Errno::EINVAL));
    assert_eq!(guest.evtchn_close(EvtchnPort(9)), Err(Errno::EINVAL));
    assert_eq!(guest.evtchn_bind_interdomain(DomId(0), EvtchnPort(7)), Err(Errno::EINVAL));
    assert_eq!(guest.evtchn_bind_interdomain(DomId(77), EvtchnPort(7)), Err(Errno::ESRCH));
}

#[test]
fn an_unbound_port_is_for_one_domain_and_drops_events() {
    let machine = machine();
    let guest = machine.guest();
    let port = guest.evtchn_alloc_unbound(DomId(5)).unwrap();
    assert_eq!(guest.evtchn_send(port), Ok(()));
    assert_eq!(machine.peer(DomId(0)).evtchn_bind(guest.id(), port), Err(Errno::EINVAL));
    let driver_domain = machine.peer(DomId(5));
    let bound = driver_domain.evtchn_bind(guest.id(), port).unwrap();
    assert!(driver_domain.take_event(bound), "binding itself makes an event pending");
    assert_eq!(driver_domain.evtchn_bind(guest.id(), port), Err(Errno::EINVAL), "bound already");
}

#[test]
fn events_go_both_ways_and_coalesce() {
    let machine = machine();
    let (guest, dom0) = (machine.guest(), machine.peer(DomId(0)));
    let xen = machine.xen();
    let port = guest.evtchn_alloc_unbound(DomId(0)).unwrap();
    let bound = dom0.evtchn_bind(guest.id(), port).unwrap();
    assert!(dom0.take_event(bound));
    guest.evtchn_send(port).unwrap();
    guest.evtchn_send(port).unwrap();
    assert!(dom0.take_event(bound));
    assert!(!dom0.take_event(bound));

    let signal = xen.events.listen(port);
    let before = guest.counters();
    dom0.evtchn_send(bound).unwrap();
    dom0.evtchn_send(bound).unwrap();
    assert_eq!(guest.counters().since(&before).notifications_received, 1);
    assert!(xen.events.has_pending());
    assert_eq!(xen.events.dispatch(), 1);
    assert!(signal.take());
}

#[test]
fn the_far_end_of_a_closed_channel_is_unbound_again() {
    let machine = machine();
    let (guest, dom0) = (machine.guest(), machine.peer(DomId(0)));
    let port = guest.evtchn_alloc_unbound(DomId(0)).unwrap();
    let bound = dom0.evtchn_bind(guest.id(), port).unwrap();
    dom0.evtchn_close(bound).unwrap();
    assert_eq!(guest.evtchn_send(port), Ok(()), "unbound: no error");
    assert!(dom0.evtchn_bind(guest.id(), port).is_ok());
}

/// The bits that Xen writes: pending, selected, upcall.
fn pending(guest: &Guest, port: EvtchnPort) -> (bool, bool, bool) {
    let page = guest.shared_info();
    let word = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().unwrap());
    let pending = word(shared_info::EVTCHN_PENDING + port.0 as usize / 64 * 8) & 1 << (port.0 % 64) != 0;
    let selected = word(vcpu_info::EVTCHN_PENDING_SEL) & 1 << (port.0 / 64) != 0;
    (pending, selected, page[vcpu_info::EVTCHN_UPCALL_PENDING] != 0)
}

#[test]
fn a_masked_event_is_pending_and_calls_nobody() {
    let machine = machine();
    let xen = machine.xen();
    let (guest, dom0) = (machine.guest(), machine.peer(DomId(0)));
    let port = guest.evtchn_alloc_unbound(DomId(0)).unwrap();
    let bound = dom0.evtchn_bind(guest.id(), port).unwrap();
    xen.events.mask(port);
    dom0.evtchn_send(bound).unwrap();
    assert!(!xen.events.has_pending());
    let signal = xen.events.listen(port);
    assert!(signal.is_set(), "unmasking looks for what came before");
}

#[test]
fn pending_bits_stand_where_xen_writes_them() {
    let machine = machine();
    let (guest, dom0) = (machine.guest(), machine.peer(DomId(0)));
    let xen = machine.xen();
    let mut port = EvtchnPort(0);
    while port.0 < 70 {
        port = guest.evtchn_alloc_unbound(DomId(0)).unwrap();
    }
    let bound = dom0.evtchn_bind(guest.id(), port).unwrap();
    xen.events.unmask(port);
    assert_eq!(pending(&guest, port), (false, false, false));
    dom0.evtchn_send(bound).unwrap();
    assert_eq!(pending(&guest, port), (true, true, true));
}

#[test]
fn blocking_moves_virtual_time_to_the_timer() {
    let machine = machine();
    let xen = machine.xen();
    let guest = machine.guest();
    let port = guest.evtchn_bind_virq(Virq::Timer, VcpuId(0)).unwrap();
    assert_eq!(guest.evtchn_bind_virq(Virq::Timer, VcpuId(0)), Err(Errno::EEXIST));
    let signal = xen.events.listen(port);
    let deadline = guest.now().after(5_000_000_000);
    guest.set_singleshot_timer(deadline).unwrap();
    guest.sched_block();
    assert_eq!(guest.now(), deadline);
    xen.events.dispatch();
    assert!(signal.take());
}

#[test]
fn a_past_deadline_fires_at_once_and_a_new_one_replaces_it() {
    let machine = machine();
    let xen = machine.xen();
    let guest = machine.guest();
    let signal = xen.events.listen(guest.evtchn_bind_virq(Virq::Timer, VcpuId(0)).unwrap());
    guest.set_singleshot_timer(guest.now().after(1_000)).unwrap();
    guest.set_singleshot_timer(guest.now().after(9_000)).unwrap();
    machine.advance(8_000);
    assert_eq!(xen.events.dispatch(), 0);
    guest.set_singleshot_timer(SystemTime(1)).unwrap();
    assert_eq!(xen.events.dispatch(), 1);
    assert!(signal.take());
    machine.advance(8_000);
    assert_eq!(xen.events.dispatch(), 0, "one shot");
}

#[test]
fn a_pending_event_is_not_slept_over() {
    let machine = machine();
    let xen = machine.xen();
    let (guest, dom0) = (machine.guest(), machine.peer(DomId(0)));
    let port = guest.evtchn_alloc_unbound(DomId(0)).unwrap();
    let bound = dom0.evtchn_bind(guest.id(), port).unwrap();
    xen.events.unmask(port);
    dom0.evtchn_send(bound).unwrap();
    let before = guest.now();
    guest.sched_block();
    assert_eq!(guest.now(), before);
}

#[test]
#[should_panic(expected = "blocks for ever")]
fn blocking_without_anything_to_come_stops_the_test() {
    let machine = machine();
    let _xen = machine.xen();
    machine.guest().sched_block();
}

#[test]
fn two_guests_have_channels_of_their_own() {
    let machine = machine();
    let (second, _console) =
        machine.add_guest(&GuestConfig { id: DomId(2), memory_pages: 16, ..GuestConfig::default() });
    let first = machine.guest();
    let port = first.evtchn_alloc_unbound(second.id()).unwrap();
    let bound = second.evtchn_bind_interdomain(first.id(), port).unwrap();
    assert_eq!(second.evtchn_send(bound), Ok(()));
    assert_eq!(first.counters().notifications_received, 1);
    assert_eq!(first.evtchn_send(port), Ok(()));
}

#[test]
fn hypercalls_can_be_refused_and_are_counted_all_the_same() {
    let machine = machine();
    let guest = machine.guest();
    guest.refuse(|call| (call == Call::EvtchnAllocUnbound).then_some(Errno::ENOSPC));
    let before = guest.counters();
    assert_eq!(guest.evtchn_alloc_unbound(DomId(0)), Err(Errno::ENOSPC));
    assert!(guest.evtchn_bind_virq(Virq::Timer, VcpuId(0)).is_ok());
    assert_eq!(guest.counters().since(&before).evtchn_ops, 2);
    assert_eq!(guest.counters().since(&before).hypercalls(), 2);
    guest.refuse_nothing();
    assert!(guest.evtchn_alloc_unbound(DomId(0)).is_ok());
}
