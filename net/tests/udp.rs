//! UDP: every size, full buffers, and peers that are not there.

mod world;

use net::{DropReason, NetError, UdpOptions};
use world::{Dice, MS, SECOND, Wire, World, at};

#[test]
fn every_size_from_nothing_to_the_mtu_comes_back_as_it_went() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let server = b.udp_bind(7, UdpOptions::default()).unwrap();
    world.spawn(async move {
        let mut buffer = [0; 2000];
        loop {
            let (len, from) = server.recv_from(&mut buffer).await.unwrap();
            server.send_to(&buffer[..len], from).await.unwrap();
        }
    });
    let client = a.udp_bind(0, UdpOptions::default()).unwrap();
    assert!(client.port() >= 49152);
    let sizes = world.block_on(600 * SECOND, async move {
        let (mut dice, mut buffer) = (Dice(3), [0; 2000]);
        for size in 0..=1472 {
            let data = dice.bytes(size);
            client.send_to(&data, at(2, 7)).await.unwrap();
            let (len, from) = client.recv_from(&mut buffer).await.unwrap();
            assert!(
                from == at(2, 7) && buffer[..len] == data[..],
                "size {size} comes back as {len} from {from}"
            );
        }
        client.send_to(&[0; 1473], at(2, 7)).await
    });
    assert_eq!(sizes, Err(NetError::TooLong));
}

#[test]
fn a_burst_beyond_the_buffers_waits_and_arrives_in_order() {
    let (mut world, a, b) = World::pair(|_| {}, Wire { slots: 20, ..Wire::default() });
    let server = b.udp_bind(9, UdpOptions { rx_packets: 400, ..UdpOptions::default() }).unwrap();
    let client = a.udp_bind(0, UdpOptions { tx_packets: 12, tx_bytes: 60, ..UdpOptions::default() }).unwrap();
    let received = world.spawn(async move {
        let mut all = vec![];
        while all.len() < 300 {
            let mut number = [0; 4];
            server.recv_from(&mut number).await.unwrap();
            all.push(u32::from_be_bytes(number));
        }
        all
    });
    world.spawn(async move {
        for number in 0..300_u32 {
            client.send_to(&number.to_be_bytes(), at(2, 9)).await.unwrap();
        }
    });
    assert_eq!(world.wait(60 * SECOND, &received), (0..300).collect::<Vec<_>>());
}

#[test]
fn a_peer_that_is_not_there_does_not_clog_the_socket() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let server = b.udp_bind(9, UdpOptions { rx_packets: 2000, ..UdpOptions::default() }).unwrap();
    let client = a.udp_bind(5000, UdpOptions { tx_packets: 8, ..UdpOptions::default() }).unwrap();
    let received = world.spawn(async move {
        let mut count = 0;
        while count < 500 {
            server.recv_from(&mut [0; 9]).await.unwrap();
            count += 1;
        }
    });
    let sent = world.spawn(async move {
        // The living peer's address is known before anything gets stuck.
        client.send_to(b"hello", at(2, 9)).await.unwrap();
        for round in 0..500_u32 {
            let dead = u8::try_from(100 + round % 50).unwrap();
            client.send_to(b"anybody?", at(dead, 9)).await.unwrap();
            client.send_to(b"hello", at(2, 9)).await.unwrap();
        }
        client
    });
    world.run(20 * SECOND);
    assert!(sent.done(), "sending waits for nobody");
    let counters = a.status().counters;
    assert!(a.status().drops.get(DropReason::Unreachable) > 0, "{counters:?}");
    assert!(counters.socket_visits.get() < 20_000, "{counters:?}");
    assert!(world.iterations < 20_000, "{} iterations", world.iterations);
    // Some datagrams to the living peer are lost with those to the dead ones before them; the socket still works.
    let client = sent.take().unwrap();
    world.block_on(20 * SECOND, async move {
        for _ in 0..500 {
            client.send_to(b"hello", at(2, 9)).await.unwrap();
        }
    });
    world.wait(20 * SECOND, &received);
}

#[test]
fn a_dropped_socket_sends_its_queue_and_frees_its_port() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let server = b.udp_bind(9, UdpOptions::default()).unwrap();
    let client = a.udp_bind(5000, UdpOptions::default()).unwrap();
    assert_eq!(a.udp_bind(5000, UdpOptions::default()).unwrap_err(), NetError::PortInUse);
    world.block_on(SECOND, async move { client.send_to(b"last words", at(2, 9)).await.unwrap() });
    let got = world.block_on(SECOND, async move {
        let mut buffer = [0; 20];
        let (len, from) = server.recv_from(&mut buffer).await.unwrap();
        (buffer[..len].to_vec(), from)
    });
    assert_eq!(got, (b"last words".to_vec(), at(1, 5000)));
    world.run(10 * MS);
    assert_eq!(a.status().udp_sockets, 0);
    a.udp_bind(5000, UdpOptions::default()).unwrap();
}

#[test]
fn a_datagram_longer_than_the_buffer_is_lost_alone() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let server = b.udp_bind(9, UdpOptions::default()).unwrap();
    let client = a.udp_bind(0, UdpOptions::default()).unwrap();
    let got = world.block_on(SECOND, async move {
        client.send_to(b"too long", at(2, 9)).await.unwrap();
        client.send_to(b"fits", at(2, 9)).await.unwrap();
        let mut buffer = [0; 4];
        let first = server.recv_from(&mut buffer).await;
        (first, server.recv_from(&mut buffer).await.map(|(len, _)| len), buffer)
    });
    assert_eq!(got, (Err(NetError::Truncated), Ok(4), *b"fits"));
}

#[test]
fn what_has_no_way_to_go_is_said_at_once() {
    let (mut world, a, _) = World::pair(|_| {}, Wire::default());
    let client = a.udp_bind(0, UdpOptions::default()).unwrap();
    let errors = world.block_on(SECOND, async move {
        let mut errors = vec![];
        for to in [at(1, 9), at(2, 0)] {
            errors.push(client.send_to(b"x", to).await.unwrap_err());
        }
        errors
    });
    assert_eq!(errors, [NetError::Unaddressable; 2]);
}
