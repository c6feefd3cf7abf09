//! Netback: the handshake, frames both ways, and everything that it does on request.

use crate::common::{Front, frame};
use xen::abi::io_netif::{NetifRsp, NetifTxRequest, NetifTxResponse};
use xen::abi::io_xenbus::XenbusState;
use xen_sim::netback::{Gso, Hotplug, Index, Notify, Order, RxSlot, Side};
use xen_sim::{GuestConfig, Packet, Sim, VifConfig};

#[test]
fn it_connects_at_state_4_and_says_so_when_the_bridge_is_ready() {
    let front = Front::connect(VifConfig::default(), 4);
    assert_eq!(front.netback.state(), XenbusState::Connected);
    assert!(front.netback.frontend_flags().sg);

    let late = Front::connect(VifConfig::default().hotplug(Hotplug::After(2_000_000_000)), 4);
    assert!(late.netback.has_rings());
    assert_eq!(late.netback.state(), XenbusState::InitWait, "held back");
    late.machine.advance(2_000_000_000);
    assert_eq!(late.netback.state(), XenbusState::Connected);
}

#[test]
fn states_go_as_linux_has_them() {
    let machine = Sim::builder().memory_pages(16).build();
    let netback = machine.add_vif(VifConfig::default().frontend_state(4));
    let store = machine.store();
    let states = [
        (5, XenbusState::Closing),
        (6, XenbusState::Closed),
        (1, XenbusState::InitWait),
        (3, XenbusState::InitWait),
    ];
    assert_eq!(netback.state(), XenbusState::Connected, "what the guest before left");
    for (frontend, backend) in states {
        store.write(&format!("{}/state", netback.frontend_path()), &frontend.to_string());
        machine.run();
        assert_eq!(netback.state(), backend, "at frontend state {frontend}");
    }
}

#[test]
fn a_frame_goes_out_and_comes_in_byte_for_byte() {
    let mut front = Front::connect(VifConfig::default(), 8);
    for (id, len) in [14, 60, 127, 128, 129, 1514].into_iter().enumerate() {
        front.send(id as u16, &frame(len));
        assert_eq!(front.netback.recv(), Some(Packet::from(frame(len))));
        assert_eq!(front.tx_responses(), [NetifTxResponse { id: id as u16, status: NetifRsp::Okay.raw() }]);
        front.netback.send(frame(len));
        front.machine.run();
        let responses = front.rx_responses();
        assert_eq!(front.bytes(&responses[0]), frame(len));
        front.post(responses[0].id);
        front.push_rx();
    }
    let stats = front.netback.stats();
    assert_eq!((stats.tx_frames, stats.rx_frames), (6, 6));
    assert_eq!(stats.grant_maps, 2, "only what is longer than 128 bytes is mapped");
    assert!(front.xen.machine.grants_in_use().len() == 2, "the rings, and no data page");
}

#[test]
fn indexes_may_begin_just_before_they_wrap() {
    let mut front = Front::connect_from(VifConfig::default(), 16, u32::MAX - 3);
    for id in 0..16 {
        front.send(id, &frame(100));
        assert_eq!(front.tx_responses().len(), 1);
        front.netback.send(frame(100));
        front.machine.run();
        assert_eq!(front.rx_responses().len(), 1);
    }
}

#[test]
fn a_packet_of_several_slots_is_put_together() {
    let mut front = Front::connect(VifConfig::default(), 4);
    let whole = frame(1400);
    front.tx_pages[0].shared().write_bytes(0, &whole[..600]);
    front.tx_pages[1].shared().write_bytes(0, &whole[600..900]);
    front.tx_pages[2].shared().write_bytes(0, &whole[900..]);
    let requests = [front.request(0, 0, 4, 1400), front.request(1, 1, 4, 300), front.request(2, 2, 0, 500)];
    front.transmit(&requests);
    assert_eq!(front.netback.recv(), Some(Packet::from(whole)));
    assert_eq!(front.tx_responses().len(), 3);
}

#[test]
fn a_gso_packet_takes_pages_and_a_slot_for_its_extra_both_ways() {
    let mut front = Front::connect(VifConfig::default(), 24);
    let gso = Some(Gso { size: 1448, kind: 1 });
    let packet = Packet { data: frame(10_000), csum_blank: true, data_validated: true, gso };
    front.netback.send(packet.clone());
    front.machine.run();
    let responses = front.rx_responses();
    assert_eq!(responses.len(), 4, "three pages and the extra");
    assert_eq!(responses[0].flags, 2 | 1 | 4 | 8);
    // The second slot is the extra: its bytes are no response.
    let data: Vec<u8> = [0, 2, 3].iter().flat_map(|slot| front.bytes(&responses[*slot])).collect();
    assert_eq!(data, packet.data);

    for (page, chunk) in packet.data.chunks(4096).enumerate() {
        front.tx_pages[page].shared().write_bytes(0, chunk);
    }
    let extra =
        NetifTxRequest { gref: u32::from_le_bytes([1, 0, 0xa8, 5]), offset: 1, ..NetifTxRequest::default() };
    let requests = [
        front.request(0, 0, 1 | 2 | 4 | 8, 10_000),
        extra,
        front.request(1, 1, 4, 4096),
        front.request(2, 2, 0, 1808),
    ];
    front.transmit(&requests);
    assert_eq!(front.netback.recv(), Some(packet));
    let statuses: Vec<i16> = front.tx_responses().iter().map(|response| response.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == NetifRsp::Null.raw()).count(), 1);
}

#[test]
fn a_frame_waits_for_requests_and_for_the_requested_event() {
    let mut front = Front::connect(VifConfig::default(), 2);
    for _ in 0..3 {
        front.netback.send(frame(100));
    }
    front.machine.run();
    let responses = front.rx_responses();
    assert_eq!((responses.len(), front.netback.backlog()), (2, 1));
    front.post(responses[0].id);
    assert!(front.rx.push_requests_and_check_notify(), "netback asked for an event");
    front.machine.run();
    assert!(front.rx_responses().is_empty(), "the event was not sent");
    xen::Hypervisor::evtchn_send(&front.xen.machine, front.rx_port).unwrap();
    front.machine.run();
    assert_eq!(front.rx_responses().len(), 1);
}

#[test]
fn notifications_follow_the_event_index() {
    let mut front = Front::connect(VifConfig::default(), 16);
    let before = front.netback.stats();
    // The frontend asked for an event with the first response only.
    for id in 0..5 {
        front.send(id, &frame(60));
    }
    assert_eq!(front.netback.stats().notifications_sent - before.notifications_sent, 1);
    assert_eq!(front.netback.stats().notifications_received - before.notifications_received, 5);
    assert_eq!(front.tx_responses().len(), 5);
    front.netback.faults(|faults| faults.notify = Notify::Always);
    front.send(5, &frame(60));
    assert_eq!(front.netback.stats().notifications_sent - before.notifications_sent, 2);
    front.netback.faults(|faults| faults.notify = Notify::Never);
    assert!(!front.tx.final_check_for_responses().unwrap() || front.tx_responses().len() == 1);
    front.send(6, &frame(60));
    assert_eq!(front.netback.stats().notifications_sent - before.notifications_sent, 2);
}

#[test]
fn answers_are_held_permuted_and_falsified_on_request() {
    let mut front = Front::connect(VifConfig::default(), 4);
    front.netback.faults(|faults| {
        faults.hold_tx = true;
        faults.order = Order::Reversed;
    });
    front.tx_pages[0].shared().write_bytes(0, &frame(64));
    for id in 0..3 {
        front.transmit(&[front.request(0, id, 0, 64)]);
    }
    assert_eq!((front.tx_responses().len(), front.netback.tx_in_flight()), (0, 3));
    front.netback.faults(|faults| faults.hold_tx = false);
    front.machine.run();
    let ids: Vec<u16> = front.tx_responses().iter().map(|response| response.id).collect();
    assert_eq!(ids, [2, 1, 0]);

    front.netback.faults(|faults| {
        faults.tx_responses = Some(Box::new(|responses| responses[0].id = 999));
        faults.rx_responses = Some(Box::new(|slots| {
            let RxSlot::Response(response) = &mut slots[0] else { return };
            response.status = -1;
            let again = slots[0];
            slots.push(again);
        }));
    });
    front.send(3, &frame(64));
    assert_eq!(front.tx_responses()[0].id, 999);
    front.netback.send(frame(64));
    front.machine.run();
    assert_eq!(front.rx_responses().iter().map(|response| response.status).collect::<Vec<_>>(), [-1, -1]);
}

#[test]
fn indexes_and_slots_can_be_written_by_hand() {
    let mut front = Front::connect(VifConfig::default(), 4);
    let ring = front.netback.ring(Side::Tx);
    assert_eq!(ring.index(Index::ReqProd), 0);
    ring.set_index(Index::RspProd, 5);
    assert!(front.tx.unconsumed_responses().is_err());
    ring.set_index(Index::RspProd, 0);
    front.netback.faults(|faults| faults.tx_rsp_prod = Some(Box::new(|index| index.wrapping_add(300))));
    front.send(0, &frame(64));
    assert!(front.tx.unconsumed_responses().is_err());
}

#[test]
fn a_page_can_be_kept_after_its_answer() {
    let mut front = Front::connect(VifConfig::default(), 4);
    front.netback.faults(|faults| faults.keep_mapped = true);
    front.send(0, &frame(1000));
    assert_eq!(front.tx_responses().len(), 1);
    let page = front.tx_pages.swap_remove(0);
    assert_eq!(front.xen.machine.grants_in_use().len(), 3);
    let kept = front.xen.grants.end(page).unwrap_err();
    front.netback.faults(|faults| faults.keep_mapped = false);
    assert!(front.xen.grants.end(kept.0).is_ok());
}

#[test]
fn it_comes_and_goes() {
    let front = Front::connect(VifConfig::default(), 4);
    front.netback.unload();
    assert_eq!(
        front.machine.store().read(&format!("{}/state", front.netback.backend_path())).as_deref(),
        Some("6")
    );
    assert!(front.xen.machine.grants_in_use().is_empty());
    front.netback.load();
    front.machine.run();
    // The frontend's state is still Connected, with its old rings: netback uses them.
    assert_eq!(front.netback.state(), XenbusState::Connected);
    front.netback.vanish();
    assert_eq!(front.machine.store().read("/local/domain/0/backend/vif/1/0"), None);
    front.netback.return_as(xen::DomId(7));
    front.machine.run();
    assert_eq!(front.netback.state(), XenbusState::InitWait);
    let backend = front.machine.store().read(&format!("{}/backend", front.netback.frontend_path()));
    assert_eq!(backend.as_deref(), Some("/local/domain/7/backend/vif/1/0"));
}

#[test]
fn a_wire_carries_frames_from_guest_to_guest() {
    let mut front = Front::connect(VifConfig::default(), 4);
    let (other, _console) = front.machine.add_guest(&GuestConfig {
        id: xen::DomId(2),
        memory_pages: 16,
        ..GuestConfig::default()
    });
    let far = front.machine.add_vif_to(other.id(), VifConfig::default());
    front.machine.connect(&front.netback, &far);
    front.send(0, &frame(200));
    assert_eq!(far.backlog(), 1, "it waits for the other guest to connect");
    assert_eq!(front.netback.recv(), None);
}

#[test]
fn a_blank_checksum_is_finished_for_a_frontend_that_wants_it() {
    let mut front = Front::connect(VifConfig::default(), 4);
    // UDP 10.0.0.1:1 → 10.0.0.2:2 with the payload "ab"; the field has the sum of the pseudo-header.
    let mut data = vec![0; 12];
    data.extend([8, 0, 0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    data.extend([0, 1, 0, 2, 0, 10, 0x14, 0x1e, b'a', b'b']);
    let blank = Packet { data: data.clone(), csum_blank: true, ..Packet::default() };
    front.netback.send(blank.clone());
    front.machine.run();
    let responses = front.rx_responses();
    assert_eq!((responses[0].flags, front.bytes(&responses[0])), (3, data.clone()), "left as it is");

    let machine = &front.machine;
    machine.store().write("/local/domain/1/device/vif/0/feature-no-csum-offload", "1");
    front.netback.unload();
    front.netback.load();
    machine.run();
    front.netback.send(blank);
    front.machine.run();
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
    };
    let page = front.xen.machine.page_bytes(front.rx_pages[1].gfn()).unwrap();
    let sum = words(&page[34..44]) + words(&page[26..34]) + 17 + 10;
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the checksum is right");
}

#[test]
fn a_wire_cuts_large_packets_for_a_guest_that_takes_none() {
    let mut front = Front::connect(VifConfig::default(), 4);
    let (other, _console) = front.machine.add_guest(&GuestConfig {
        id: xen::DomId(2),
        memory_pages: 16,
        ..GuestConfig::default()
    });
    let far = front.machine.add_vif_to(other.id(), VifConfig::default());
    front.machine.connect(&front.netback, &far);
    let mut data = vec![0; 12];
    data.extend([8, 0, 0x45, 0, 0, 0, 0, 9, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    data.extend([0, 80, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x19, 1, 0, 0, 0, 0, 0]);
    data.resize(54 + 3000, 7);
    front.tx_pages[0].shared().write_bytes(0, &data);
    let extra =
        NetifTxRequest { gref: u32::from_le_bytes([1, 0, 0xa8, 5]), offset: 1, ..NetifTxRequest::default() };
    let request = front.request(0, 0, 1 | 2 | 8, data.len() as u16);
    front.transmit(&[request, extra]);
    assert_eq!(far.backlog(), 3, "segments of 1448 bytes");
}

#[test]
#[cfg_attr(
    miri,
    ignore = "another domain's write of another size is a race in Rust's model, and no fault of the code"
)]
fn a_field_can_change_while_it_is_looked_at() {
    let front = Front::connect(VifConfig::default(), 4);
    let ring = front.netback.ring(Side::Rx);
    let flipper = front.xen.machine.flip(ring.gfn(), ring.slot_offset(0) + 6, [60, 65_535]);
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 3 {
        let slot = ring.slot(0);
        seen.insert(u16::from_le_bytes([slot[6], slot[7]]));
        std::thread::yield_now();
        if seen.contains(&60) && seen.contains(&65_535) {
            break;
        }
    }
    drop(flipper);
    let (first, second) = (ring.slot(0), ring.slot(0));
    assert_eq!(first, second, "it stops");
}
