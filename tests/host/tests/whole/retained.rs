//! Packets that an application keeps: in place, counted, returned, and never at the ring's expense.

use crate::guest::Os;
use crate::peers::{Pair, at};
use crate::upper::{Network, frame};
use net::{Datagram, DropReason, EthernetAddress, Packet, UdpOptions};
use netfront::{Config, Nic as _};
use std::cell::RefCell;
use std::rc::Rc;
use xen::DomId;
use xen_sim::VifConfig;

const IN_PLACE: UdpOptions =
    UdpOptions { rx_packets: 64, rx_bytes: 1 << 16, tx_packets: 64, tx_bytes: 1 << 15, in_place: true };

/// The payload of a datagram: not contained in the streams of these tests.
fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * at / 7 + at * 3) as u8).collect()
}

/// The first guest keeps every datagram to port 9 in this list.
fn keep(pair: &mut Pair) -> Rc<RefCell<Vec<Datagram>>> {
    let kept = Rc::new(RefCell::new(vec![]));
    let socket = pair.net(0).udp_bind(9, IN_PLACE).unwrap();
    let list = Rc::clone(&kept);
    pair.guests[0].spawn(async move {
        loop {
            let datagram = socket.recv_owned().await.unwrap();
            list.borrow_mut().push(datagram);
        }
    });
    kept
}

/// The second guest sends datagrams of these lengths to port 9 of the first, one after the other.
fn send(pair: &mut Pair, lens: impl IntoIterator<Item = usize> + 'static) {
    let socket = pair.net(1).udp_bind(0, UdpOptions::default()).unwrap();
    let join = pair.guests[1].spawn(async move {
        for len in lens {
            socket.send_to(&payload(len), at(1, 9)).await.unwrap();
        }
    });
    pair.until("all are sent", |guests| join.is_done() && guests[1].device().stats().tx_pool.in_ring == 0);
}

fn retained(os: &Os<Network>) -> usize {
    os.device().stats().rx_pool.in_use
}

#[test]
fn a_datagram_is_retained_in_its_page_and_the_page_returns() {
    for trusted in ["1", "0"] {
        let mut pair = Pair::with(VifConfig::default().trusted(Some(trusted)));
        let kept = keep(&mut pair);
        let lens = [0, 1, 21, 22, 64, 600, 1472];
        send(&mut pair, lens);
        pair.until("they are kept", |_| kept.borrow().len() == lens.len());
        // 42 bytes of headers, and the threshold is 64 bytes of a frame.
        let in_place = lens.iter().filter(|len| trusted == "1" && **len + 42 >= 64).count();
        assert_eq!(retained(&pair.guests[0]), in_place);
        for (datagram, len) in kept.borrow().iter().zip(lens) {
            assert_eq!(datagram.payload(), payload(len), "{len}");
            assert_eq!(datagram.is_in_place(), trusted == "1" && len + 42 >= 64, "{len}");
            assert_eq!(datagram.from().addr, at(2, 0).addr);
        }
        let stats = pair.guests[0].device().stats();
        assert_eq!(stats.rx.retained_packets, lens.len() as u64);
        kept.borrow_mut().clear();
        // Other traffic causes iterations; nothing else is needed.
        let join = pair.start_echo(10_000);
        pair.finish_echo(&join, 10_000);
        assert_eq!(retained(&pair.guests[0]), 0);
        assert_eq!(pair.guests[0].device().stats().rx_pool.total, 512);
    }
}

#[test]
fn retaining_packets_starves_the_application_not_the_ring() {
    let config = Config { pool_rx: 64, pool_rx_max: 300, retained_max: 8192, ..Config::default() };
    let mut pair = Pair::with_config(VifConfig::default(), config);
    let kept = keep(&mut pair);
    send(&mut pair, std::iter::repeat_n(1000, 1000));
    pair.until("some are refused", |guests| guests[0].device().stats().rx.retained_refused > 100);
    let stats = pair.guests[0].device().stats();
    assert!(stats.rx.retained_refused > 0 && stats.rx_pool.in_use > 100, "{stats:?}");
    assert!(stats.rx_pool.in_ring >= 19, "{:?}", stats.rx_pool);
    let held = kept.borrow().len();
    assert_eq!(stats.rx_pool.in_use, held);
    let join = pair.start_echo(200_000);
    pair.finish_echo(&join, 200_000);
    assert_eq!(kept.borrow().len(), held, "nothing was taken from him");
    assert!(kept.borrow().iter().all(|datagram| datagram.payload() == payload(1000)));
    kept.borrow_mut().clear();
    send(&mut pair, [1000]);
    pair.until("he gets more", |_| kept.borrow().len() == 1);
    assert_eq!(retained(&pair.guests[0]), 1);
}

#[test]
fn retained_copies_have_a_limit_too() {
    let config = Config { retained_max: 10, ..Config::default() };
    let mut pair = Pair::with_config(VifConfig::default().trusted(Some("0")), config);
    let kept = keep(&mut pair);
    send(&mut pair, std::iter::repeat_n(700, 50));
    pair.until("all were seen", |guests| {
        let stats = guests[0].device().stats().rx;
        stats.retained_packets.get() + stats.retained_refused.get() == 50
    });
    assert_eq!((kept.borrow().len(), retained(&pair.guests[0])), (10, 0));
}

#[test]
fn retained_pages_outlive_the_backend_and_return_cleared() {
    for clear in [false, true] {
        let mut pair = Pair::with(VifConfig { backend: DomId(3), ..VifConfig::default() });
        let kept = keep(&mut pair);
        send(&mut pair, [1400, 1400]);
        pair.until("they are kept", |_| kept.borrow().len() == 2);
        let secret = payload(1400);
        pair.sim.canary(&secret[700..764]);
        let netback = pair.netbacks[0].clone();
        netback.vanish();
        pair.until("the link is down", |guests| !guests[0].device().link_up());
        assert_eq!(kept.borrow()[0].payload(), secret);
        if clear {
            kept.borrow_mut().pop();
        }
        netback.return_as(DomId(7));
        pair.until("the link is up", |guests| guests[0].device().link_up());
        assert_eq!(retained(&pair.guests[0]), if clear { 1 } else { 2 });
        assert_eq!(kept.borrow()[0].payload(), secret);
        kept.borrow_mut().clear();
        let join = pair.start_echo(10_000);
        pair.finish_echo(&join, 10_000);
        assert_eq!(retained(&pair.guests[0]), 0);
        assert_eq!(pair.sim.leaks_to(DomId(7)), [], "a byte that this backend never had");
        assert!(pair.guests[0].xen.machine.granted().iter().all(|entry| entry.to == DomId(7)));
    }
}

#[test]
fn frames_of_an_unknown_protocol_have_a_tap() {
    let mut pair = Pair::new();
    let net = pair.net(0);
    assert!(net.tap(0x0800, 4).is_err() && net.tap(0x0806, 4).is_err() && net.tap(100, 4).is_err());
    let tap = net.tap(0x88b5, 4).unwrap();
    assert!(net.tap(0x88b5, 4).is_err(), "one for each protocol");
    let join = pair.guests[0].spawn(async move {
        let kept: Packet = tap.recv().await.unwrap();
        tap.send(EthernetAddress([2, 0, 0, 0, 0, 9]), &kept[14..]).await.unwrap();
        (kept, tap)
    });
    let mut sent = frame(800, 5);
    sent[..6].copy_from_slice(&[0, 0x16, 0x3e, 0, 0, 1]);
    sent[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    let mac = pair.guests[0].device().mac();
    sent[..6].copy_from_slice(mac.as_bytes());
    pair.netbacks[0].send(sent.clone());
    pair.sim.run();
    pair.until("it came", |_| join.is_done());
    let (kept, tap) = join.take();
    assert_eq!((&kept[..], kept.is_in_place(), retained(&pair.guests[0])), (&sent[..], true, 1));
    let net = pair.net(1);
    // The other guest is on the same link, with another address.
    pair.until("it went back", |_| net.status().drops.get(DropReason::NotForUs) > 0);
    drop((kept, tap));
    assert!(pair.net(0).tap(0x88b5, 4).is_ok(), "the tap is free again");
}
