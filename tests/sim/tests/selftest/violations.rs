//! Each rule for frontends, broken once.

use crate::common::{Front, frame};
use xen::abi::io_netif::{NetifRsp, NetifRxRequest, NetifTxRequest};
use xen_sim::netback::{Index, Penalty, Side, Violation as Rule};
use xen_sim::{Sim, VifConfig};

fn front() -> Front {
    let front = Front::connect(VifConfig::default().lenient(), 4);
    for page in &front.tx_pages {
        page.shared().write_bytes(0, &frame(4096));
    }
    front
}

/// Sends requests and returns the rules that they broke. A fatal violation must stop the vif, others must not.
fn broken(requests: impl FnOnce(&Front) -> Vec<NetifTxRequest>) -> Vec<Rule> {
    let mut front = front();
    let requests = requests(&front);
    front.transmit(&requests);
    let rules = front.netback.violations();
    let fatal = rules.iter().any(|rule| rule.penalty() == Penalty::Fatal);
    let dropped = rules.iter().any(|rule| rule.penalty() == Penalty::Drop);
    if dropped && !fatal {
        assert!(front.tx_responses().iter().any(|response| response.status == NetifRsp::Error.raw()));
        assert!(front.netback.recv().is_none());
    }
    front.send(200, &frame(60));
    let sent = std::iter::from_fn(|| front.netback.recv()).any(|packet| packet.data == frame(60));
    assert_eq!(sent, !fatal, "after {rules:?}");
    rules
}

fn gso_extra(size: u16, kind: u8) -> NetifTxRequest {
    NetifTxRequest { gref: u32::from(size) << 16 | 1, offset: u16::from(kind), ..NetifTxRequest::default() }
}

#[test]
fn a_polite_frontend_breaks_none() {
    assert_eq!(broken(|front| vec![front.request(0, 1, 0, 1514)]), []);
    assert_eq!(broken(|front| vec![front.request(0, 1, 4, 100), front.request(1, 2, 0, 50)]), []);
}

#[test]
fn slots_that_are_promised_must_come() {
    assert_eq!(broken(|front| vec![front.request(0, 1, 4, 1000)]), [Rule::MoreDataWithoutSlot]);
    assert_eq!(broken(|front| vec![front.request(0, 1, 8, 1000)]), [Rule::MissingExtra]);
}

#[test]
fn extras_must_make_sense() {
    assert_eq!(broken(|f| vec![f.request(0, 1, 11, 1000), gso_extra(0, 1)]), [Rule::GsoSizeZero]);
    assert_eq!(broken(|f| vec![f.request(0, 1, 11, 1000), gso_extra(1448, 3)]), [Rule::GsoType]);
    let none = NetifTxRequest::default();
    assert_eq!(broken(|f| vec![f.request(0, 1, 11, 1000), none]), [Rule::ExtraType]);
    let unknown = NetifTxRequest { gref: 6, ..none };
    assert_eq!(broken(|f| vec![f.request(0, 1, 11, 1000), unknown]), [Rule::ExtraType]);
    assert_eq!(
        broken(|f| vec![f.request(0, 1, 8, 1000), gso_extra(1448, 1)]),
        [Rule::GsoWithoutBlankChecksum]
    );
}

#[test]
fn slots_lie_in_their_pages_and_are_as_long_as_they_say() {
    let crossing = |front: &Front| NetifTxRequest { offset: 4000, ..front.request(0, 1, 0, 97) };
    assert_eq!(broken(|front| vec![crossing(front)]), [Rule::SlotCrossesPage]);
    assert_eq!(broken(|front| vec![front.request(0, 1, 0, 13)]), [Rule::FirstSlotShort]);
    assert_eq!(broken(|f| vec![f.request(0, 1, 4, 100), f.request(1, 2, 0, 90)]), [Rule::FirstSlotShort]);
    assert_eq!(broken(|f| vec![f.request(0, 1, 4, 100), f.request(1, 2, 0, 101)]), [Rule::FragmentTooLarge]);
    assert_eq!(broken(|f| vec![f.request(0, 1, 4, 100), f.request(1, 2, 0, 0)]), [Rule::EmptySlot]);
}

#[test]
fn a_packet_has_at_most_18_slots() {
    let chain = |front: &Front, slots: u16| -> Vec<NetifTxRequest> {
        let more = |index: u16| if index + 1 < slots { 4 } else { 0 };
        let size = |index: u16| if index == 0 { 60 + 10 * (slots - 1) } else { 10 };
        (0..slots).map(|index| front.request(usize::from(index), index, more(index), size(index))).collect()
    };
    assert_eq!(broken(|front| chain(front, 18)), []);
    assert_eq!(broken(|front| chain(front, 19)), [Rule::TooManySlots]);
    assert_eq!(broken(|front| chain(front, 22)), [Rule::FatalSlots]);
}

#[test]
fn ids_flags_and_grants_are_as_they_should_be() {
    assert_eq!(broken(|f| vec![f.request(0, 1, 0, 64), f.request(1, 1, 0, 64)]), [Rule::TxIdInFlight]);
    assert_eq!(broken(|f| vec![f.request(0, 1, 16, 64)]), [Rule::UnknownFlags]);
    assert_eq!(broken(|f| vec![f.request(0, 1, 4, 100), f.request(1, 2, 1, 50)]), [Rule::UnknownFlags]);
    assert_eq!(broken(|f| vec![NetifTxRequest { gref: 1000, ..f.request(0, 1, 0, 64) }]), [Rule::TxGrant]);
    assert_eq!(broken(|f| vec![f.request(0, 1, 0, 1519)]), [Rule::LongerThanMtu]);
}

#[test]
fn headers_stay_together() {
    let mut front = front();
    let mut packet = frame(100);
    packet[12..15].copy_from_slice(&[8, 0, 0x45]);
    packet[20..24].copy_from_slice(&[0, 0, 64, 6]);
    packet[46] = 0x50;
    front.tx_pages[0].shared().write_bytes(0, &packet[..40]);
    front.tx_pages[1].shared().write_bytes(0, &packet[40..]);
    let requests = [front.request(0, 1, 4, 100), front.request(1, 2, 0, 60)];
    front.transmit(&requests);
    assert_eq!(front.netback.violations(), [Rule::HeadersSplit]);
}

#[test]
fn a_ring_is_not_overrun() {
    let mut front = front();
    front.netback.ring(Side::Tx).set_index(Index::ReqProd, 257);
    xen::Hypervisor::evtchn_send(&front.xen.machine, front.tx_port).unwrap();
    front.machine.run();
    assert_eq!(front.netback.violations(), [Rule::TxRingOverrun]);
    front.send(1, &frame(64));
    assert_eq!(front.netback.recv(), None, "disabled");
}

#[test]
fn receive_requests_are_unique_clean_and_granted() {
    let mut front = front();
    let gref = |front: &Front, page: usize| front.rx_pages[page].gref().0;
    front.rx.write_request(&NetifRxRequest { id: 3, pad: 0, gref: gref(&front, 0) }).unwrap();
    front.rx.write_request(&NetifRxRequest { id: 9, pad: 1, gref: 1000 }).unwrap();
    front.push_rx();
    front.machine.run();
    let mut rules = front.netback.violations();
    rules.retain(|rule| *rule != Rule::RxGrant);
    assert_eq!(rules, [Rule::RxIdInFlight, Rule::RxPageTwice, Rule::RxPad]);
    for _ in 0..6 {
        front.netback.send(frame(64));
    }
    front.machine.run();
    assert!(front.netback.violations().contains(&Rule::RxGrant), "the copy fails at the latest");
}

#[test]
#[cfg_attr(miri, ignore = "pages are not poisoned there")]
fn a_posted_page_is_the_backends() {
    let front = front();
    front.rx_pages[0].shared().write_bytes(2000, b"late");
    front.netback.send(frame(64));
    front.machine.run();
    assert_eq!(front.netback.violations(), [Rule::WroteToPostedPage]);
}

#[test]
fn a_page_is_posted_without_the_bytes_of_others() {
    let mut front = Front::connect(VifConfig { check_cleared: true, ..VifConfig::default().lenient() }, 4);
    front.netback.send(frame(64));
    front.machine.run();
    let response = front.rx_responses()[0];
    front.rx_pages[usize::from(response.id)].shared().write_bytes(100, b"another flow's");
    front.post(response.id);
    front.push_rx();
    front.machine.run();
    assert_eq!(front.netback.violations(), [Rule::NotCleared]);
}

#[test]
fn bytes_stay_until_the_answer() {
    let mut front = Front::connect(VifConfig::default(), 4);
    front.netback.faults(|faults| faults.hold_tx = true);
    front.send(1, &frame(64));
    front.tx_pages[0].shared().write_bytes(60, b"late");
    front.netback.faults(|faults| faults.hold_tx = false);
    let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| front.machine.run()));
    let message = *run.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("Violation::ChangedInFlight"), "{message}");
}

#[test]
#[should_panic(expected = "Violation::SlotCrossesPage (Fatal in Linux)")]
fn a_strict_vif_stops_the_test_with_the_name_of_the_rule() {
    let mut front = Front::connect(VifConfig::default(), 4);
    let request = NetifTxRequest { offset: 4090, ..front.request(0, 1, 0, 64) };
    front.transmit(&[request]);
}

/// Connects with these nodes and returns the rules that they broke.
fn nodes(nodes: &[(&str, &str)]) -> Vec<Rule> {
    let machine = Sim::builder().memory_pages(16).build();
    let netback = machine.add_vif(VifConfig::default().lenient());
    for (key, value) in nodes {
        machine.store().write(&format!("{}/{key}", netback.frontend_path()), value);
    }
    machine.store().write(&format!("{}/state", netback.frontend_path()), "4");
    machine.run();
    assert!(!netback.has_rings());
    netback.violations()
}

#[test]
fn nodes_are_complete_and_numbers() {
    let copy = ("request-rx-copy", "1");
    assert_eq!(nodes(&[]), [Rule::RxCopyNotRequested, Rule::MissingKey]);
    assert_eq!(nodes(&[copy, ("tx-ring-ref", "8"), ("rx-ring-ref", "9")]), [Rule::MissingKey]);
    assert_eq!(nodes(&[copy, ("multi-queue-num-queues", "0")]), [Rule::QueueCount]);
    assert_eq!(nodes(&[copy, ("multi-queue-num-queues", "3")]), [Rule::QueueCount]);
    let all = [copy, ("tx-ring-ref", "8"), ("rx-ring-ref", "9"), ("event-channel", "5")];
    assert_eq!(nodes(&all), [Rule::RingUnusable], "no such grants");
}
