//! TCP between two stacks: opening, echo over a bad link, every way to end.

mod world;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use embedded_io_async::{Read, Write};
use net::{DropReason, Net, NetError, TcpListener, TcpOptions, TcpStream};
use world::{Dice, MS, SECOND, Wire, World, at, both};

async fn echo(mut stream: TcpStream) -> Result<(), NetError> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.close().await,
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

/// Sends all of `data` and reads until the end, at the same time.
async fn exchange(stream: &mut TcpStream, data: &[u8]) -> Result<Vec<u8>, NetError> {
    let (mut reader, mut writer) = stream.split();
    let send = async {
        writer.write_all(data).await?;
        writer.close().await
    };
    let receive = async {
        let (mut all, mut buffer) = (vec![], [0; 3000]);
        loop {
            match reader.read(&mut buffer).await? {
                0 => return Ok(all),
                n => all.extend_from_slice(&buffer[..n]),
            }
        }
    };
    let (sent, received) = both(send, receive).await;
    sent?;
    received
}

/// Echoes `kilobytes` over each of some connections at the same time.
fn echo_of(connections: usize, kilobytes: usize, wire: Wire) {
    let (mut world, a, b) = World::pair(|_| {}, wire);
    let listener = Rc::new(b.tcp_listen(7, TcpOptions::default()).unwrap());
    for _ in 0..connections {
        let listener = Rc::clone(&listener);
        world.spawn(async move { echo(listener.accept().await).await });
    }
    let exchanges: Vec<_> = (0..connections)
        .map(|number| {
            let (net, data) = (a.clone(), Dice(99 + number as u64).bytes(kilobytes << 10));
            world.spawn(async move {
                let mut stream = net.tcp_connect(at(2, 7), TcpOptions::default()).await.unwrap();
                let got = exchange(&mut stream, &data).await.unwrap();
                assert_eq!(got.len(), data.len());
                assert!(got == data, "bytes differ");
            })
        })
        .collect();
    for exchange in exchanges {
        world.wait(4000 * SECOND, &exchange);
    }
}

#[test]
fn echo_over_a_good_wire() {
    echo_of(1, 4096, Wire::default());
}

#[test]
fn echo_with_five_percent_loss_is_equal_byte_for_byte() {
    echo_of(1, 1024, Wire { loss: 50, ..Wire::default() });
}

#[test]
fn echo_over_three_connections_with_one_slot_to_send() {
    echo_of(3, 100, Wire { slots: 1, ..Wire::default() });
}

#[test]
fn two_hundred_connections_at_once_are_all_accepted() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let listener = b.tcp_listen(80, TcpOptions::default()).unwrap();
    let server = world.spawn(async move {
        let mut held = vec![];
        while held.len() < 200 {
            held.push(listener.accept().await);
        }
        (listener, held)
    });
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let net = a.clone();
            world.spawn(async move { net.tcp_connect(at(2, 80), TcpOptions::default()).await })
        })
        .collect();
    let (_listener, held) = world.wait(10 * SECOND, &server);
    let streams: Vec<_> = clients.iter().map(|client| world.wait(SECOND, client).unwrap()).collect();
    assert_eq!((held.len(), streams.len()), (200, 200));
    let status = b.status();
    assert_eq!((status.connections, status.half_open, status.counters.accepted.get()), (200, 0, 200));
    assert_eq!(status.counters.refused.get(), 0, "nobody is refused for want of a listening socket");
    assert!(world.now.get() < 2 * SECOND, "no SYN was sent twice");
}

#[test]
fn a_port_without_listener_refuses() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let result = world.block_on(SECOND, async move { a.tcp_connect(at(2, 80), TcpOptions::default()).await });
    assert_eq!(result.unwrap_err(), NetError::Refused);
    world.run(SECOND);
    assert_eq!((b.status().counters.refused.get(), b.status().connections), (1, 0));
}

#[test]
fn an_absent_peer_times_out() {
    let (mut world, a, _) = World::pair(|_| {}, Wire::default());
    let net = a.clone();
    let options = TcpOptions { connect_timeout: Duration::from_secs(5), ..TcpOptions::default() };
    let start = world.now.get();
    let result = world.block_on(60 * SECOND, async move { net.tcp_connect(at(77, 80), options).await });
    assert_eq!(result.unwrap_err(), NetError::TimedOut);
    assert_eq!((world.now.get() - start) / SECOND, 5);
    world.run(10 * SECOND);
    assert_eq!(a.status().connections, 0, "nothing of it is left");
}

#[test]
fn what_cannot_be_reached_is_said_at_once() {
    let (mut world, a, _) = World::pair(|_| {}, Wire::default());
    let errors = world.block_on(SECOND, async move {
        let mut errors = vec![];
        for to in [at(1, 80), at(255, 80), at(2, 0)] {
            errors.push(a.tcp_connect(to, TcpOptions::default()).await.unwrap_err());
        }
        errors
    });
    assert_eq!(errors, [NetError::Unaddressable; 3]);
}

/// A connection and its other end.
fn connect(world: &mut World, a: &Net, b: &Net) -> (TcpListener, TcpStream, TcpStream) {
    let listener = b.tcp_listen(80, TcpOptions::default()).unwrap();
    let server = world.spawn(async move {
        let stream = listener.accept().await;
        (listener, stream)
    });
    let net = a.clone();
    let client = world.block_on(5 * SECOND, async move {
        net.tcp_connect(at(2, 80), TcpOptions::default()).await.unwrap()
    });
    let (listener, stream) = world.wait(5 * SECOND, &server);
    (listener, client, stream)
}

#[test]
fn a_dropped_listener_resets_what_was_not_accepted() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let listener = b.tcp_listen(80, TcpOptions::default()).unwrap();
    assert_eq!(b.tcp_listen(80, TcpOptions::default()).unwrap_err(), NetError::PortInUse);
    let net = a.clone();
    let mut waiting = world
        .block_on(SECOND, async move { net.tcp_connect(at(2, 80), TcpOptions::default()).await.unwrap() });
    world.run(MS);
    drop(listener);
    let (read, again) = world.block_on(SECOND, async move {
        (waiting.read(&mut [0; 9]).await, a.tcp_connect(at(2, 80), TcpOptions::default()).await)
    });
    assert_eq!((read.unwrap_err(), again.unwrap_err()), (NetError::Reset, NetError::Refused));
    world.run(SECOND);
    assert_eq!((b.status().connections, b.status().listeners), (0, 0));
    b.tcp_listen(80, TcpOptions::default()).unwrap();
}

#[test]
fn an_abort_resets_the_peer_after_earlier_data() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let (_listener, mut client, mut server) = connect(&mut world, &a, &b);
    let sent = world.block_on(SECOND, async move {
        client.write_all(b"before").await.unwrap();
        client
    });
    world.run(100 * MS);
    let mut client = sent;
    client.abort();
    world.run(100 * MS);
    let (first, then, write, own) = world.block_on(SECOND, async move {
        let mut buffer = [0; 9];
        let first = server.read(&mut buffer).await;
        (first, server.read(&mut buffer).await, server.write(b"x").await, client.read(&mut buffer).await)
    });
    assert_eq!((first, then), (Ok(6), Err(NetError::Reset)));
    assert_eq!((write, own), (Err(NetError::Reset), Err(NetError::Closed)));
    assert_eq!((a.status().connections, b.status().connections), (0, 0));
}

#[test]
fn a_dropped_stream_delivers_what_was_written() {
    let (mut world, a, b) = World::pair(|_| {}, Wire { loss: 100, ..Wire::default() });
    let (_listener, mut client, mut server) = connect(&mut world, &a, &b);
    let data = Dice(5).bytes(16 * 1024);
    let copy = data.clone();
    world.block_on(100 * SECOND, async move { client.write_all(&copy).await.unwrap() });
    let got = world.block_on(100 * SECOND, async move {
        let (mut all, mut buffer) = (vec![], [0; 500]);
        while let n @ 1.. = server.read(&mut buffer).await.unwrap() {
            all.extend_from_slice(&buffer[..n]);
        }
        all
    });
    assert!(got == data);
    world.run(100 * SECOND);
    assert_eq!((a.status().connections, b.status().connections), (0, 0));
}

#[test]
fn one_direction_may_end_while_the_other_goes_on() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let (_listener, mut client, mut server) = connect(&mut world, &a, &b);
    let mut client = world.block_on(SECOND, async move {
        client.write_all(b"question").await.unwrap();
        client.close().await.unwrap();
        client
    });
    world.spawn(async move {
        while server.read(&mut [0; 3]).await.unwrap() > 0 {}
        server.write_all(b"answer").await.unwrap();
        server.close().await.unwrap();
    });
    let closed = world.spawn(async move {
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
        (answer, client.read(&mut [0; 1]).await, client.write(b"more").await)
    });
    assert_eq!(world.wait(SECOND, &closed), (*b"answer", Ok(0), Err(NetError::Closed)));
}

#[test]
fn a_zero_copy_write_is_read_in_parts() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let (_listener, mut client, mut server) = connect(&mut world, &a, &b);
    world.spawn(async move {
        client
            .write_with(|space| {
                space[..5].copy_from_slice(b"space");
                (5, ())
            })
            .await
            .unwrap();
        client.close().await.unwrap();
    });
    let got = world.block_on(SECOND, async move {
        let two = server.read_with(|bytes| (2, bytes.to_vec())).await.unwrap();
        let rest = server.read_with(|bytes| (usize::MAX, bytes.to_vec())).await.unwrap();
        let end = server.read_with(|bytes| (9, bytes.to_vec())).await.unwrap();
        (two, rest, end)
    });
    assert_eq!(got, (b"space".to_vec(), b"ace".to_vec(), vec![]));
}

#[test]
fn a_connection_may_be_idle_for_hours_and_then_close_in_order() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let (_listener, mut client, mut server) = connect(&mut world, &a, &b);
    let iterations = world.iterations;
    world.run(5 * 3600 * SECOND);
    assert!(
        world.iterations - iterations < 50,
        "idle connections cost {} iterations",
        world.iterations - iterations
    );
    let end = world.spawn(async move { server.read(&mut [0; 1]).await });
    let closed = world.block_on(SECOND, async move { client.close().await });
    assert_eq!((closed, world.wait(SECOND, &end)), (Ok(()), Ok(0)));
    assert_eq!((a.status().counters.timed_out.get(), b.status().counters.reset.get()), (0, 0));
}

#[test]
fn a_peer_that_falls_silent_is_given_up_after_the_timeout() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let (_listener, mut client, _server) = connect(&mut world, &a, &b);
    client.set_timeout(Some(Duration::from_secs(20)));
    world.run(500 * SECOND);
    world.stacks[0].nic().change_wire(|wire| wire.loss = 1000);
    let start = world.now.get();
    let result = world.block_on(100 * SECOND, async move {
        client.write_all(b"anybody?").await.unwrap();
        client.read(&mut [0; 1]).await
    });
    assert_eq!(result, Err(NetError::TimedOut));
    // The engine looks when a retransmission is due.
    assert!((20..=26).contains(&((world.now.get() - start) / SECOND)));
}

#[test]
fn a_pause_of_an_hour_ends_no_connection() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let (_listener, mut client, mut server) = connect(&mut world, &a, &b);
    client.set_timeout(Some(Duration::from_secs(20)));
    // A segment is lost, and then nothing runs: a pause, or a clock that jumped.
    world.stacks[0].nic().change_wire(|wire| wire.loss = 1000);
    let _client = world.block_on(SECOND, async move {
        client.write_all(b"anybody?").await.unwrap();
        client
    });
    world.run(5 * SECOND);
    world.now.set(world.now.get() + 3600 * SECOND);
    world.stacks[0].nic().change_wire(|wire| wire.loss = 0);
    let got = world
        .block_on(10 * SECOND, async move { server.read_with(|bytes| (bytes.len(), bytes.to_vec())).await });
    assert_eq!(got, Ok(b"anybody?".to_vec()));
    let counters = a.status().counters;
    assert_eq!((counters.timed_out.get(), counters.standstills.get(), a.status().connections), (0, 1, 1));
}

#[test]
fn timeouts_go_on_after_a_pause_where_they_were() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let (_listener, mut client, _server) = connect(&mut world, &a, &b);
    client.set_timeout(Some(Duration::from_secs(20)));
    world.stacks[0].nic().change_wire(|wire| wire.loss = 1000);
    let lost = world.spawn(async move {
        client.write_all(b"anybody?").await.unwrap();
        client.read(&mut [0; 1]).await
    });
    world.run(5 * SECOND);
    world.now.set(world.now.get() + 3600 * SECOND);
    let start = world.now.get();
    assert_eq!(world.wait(60 * SECOND, &lost), Err(NetError::TimedOut));
    let left = (world.now.get() - start) / SECOND;
    assert!((13..=21).contains(&left), "{left} s");
}

#[test]
fn connections_are_listed_with_ends_state_and_queues() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let (_listener, mut client, server) = connect(&mut world, &a, &b);
    let remote = server.peer();
    world.block_on(SECOND, async move {
        client.write_all(b"seven b").await.unwrap();
        client.close().await.unwrap();
    });
    world.run(3 * SECOND);
    let listed = b.tcp_connections(10);
    let [one] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((one.local, one.remote), (at(2, 80), remote));
    assert_eq!((one.state, one.unread, one.unacknowledged), ("close-wait", 7, 0));
    assert!((1..=3).contains(&one.silent_for.as_secs()), "{:?}", one.silent_for);
    assert_eq!(b.tcp_listeners(), [80]);
    assert!(b.tcp_connections(0).is_empty());
}

#[test]
fn keep_alive_finds_a_dead_peer_and_spares_a_living_one() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let (_listener, mut client, _server) = connect(&mut world, &a, &b);
    client.set_keep_alive(Some(Duration::from_secs(10)));
    client.set_timeout(Some(Duration::from_secs(40)));
    world.run(300 * SECOND);
    assert_eq!(a.status().counters.timed_out.get(), 0);
    let lost = world.spawn(async move { client.read(&mut [0; 1]).await });
    world.stacks[0].nic().change_wire(|wire| wire.loss = 1000);
    assert_eq!(world.wait(60 * SECOND, &lost), Err(NetError::TimedOut));
}

#[test]
fn a_syn_beyond_the_backlog_is_dropped_and_gets_in_later() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let listener = b.tcp_listen(80, TcpOptions { backlog: 4, ..TcpOptions::default() }).unwrap();
    let mut clients = vec![];
    // Whether they are half-open or wait to be accepted.
    for number in 0..4 {
        let net = a.clone();
        let client = world.spawn(async move { net.tcp_connect(at(2, 80), TcpOptions::default()).await });
        world.run(if number < 2 { 100 * MS } else { 0 });
        clients.push(client);
    }
    let net = a.clone();
    clients.push(world.spawn(async move { net.tcp_connect(at(2, 80), TcpOptions::default()).await }));
    world.run(500 * MS);
    assert_eq!(clients.iter().filter(|client| client.done()).count(), 5);
    let counters = b.status().counters;
    assert_eq!((b.status().drops.get(DropReason::Backlog), counters.refused.get()), (1, 0));
    let server = world.spawn(async move {
        let mut held = vec![];
        while held.len() < 5 {
            held.push(listener.accept().await);
        }
        held.len()
    });
    assert_eq!(world.wait(5 * SECOND, &server), 5);
}

#[test]
fn accepting_tasks_share_connections() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let listener = Rc::new(b.tcp_listen(80, TcpOptions::default()).unwrap());
    // The first waiter is woken by the connection, and is dropped instead of taking it.
    let first = Rc::clone(&listener);
    let cancelled = world.spawn(async move {
        let mut accept = Box::pin(first.accept());
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            assert!(accept.as_mut().poll(cx).is_pending());
            Poll::Pending
        })
        .await;
    });
    world.run(MS);
    let second = Rc::clone(&listener);
    let served = world.spawn(async move { second.accept().await.peer() });
    world.run(MS);
    assert!(!cancelled.done());
    let client =
        world.block_on(SECOND, async move { a.tcp_connect(at(2, 80), TcpOptions::default()).await.unwrap() });
    assert_eq!(world.wait(SECOND, &served), client.local());
    assert!(cancelled.done());
}

#[test]
fn time_wait_takes_no_room_of_connections() {
    let (mut world, a, b) = World::pair(|config| config.limits.connections = 8, Wire::default());
    world.spawn(async move {
        let listener = b.tcp_listen(80, TcpOptions::default()).unwrap();
        loop {
            let mut stream = listener.accept().await;
            while stream.read(&mut [0; 9]).await.unwrap() > 0 {}
        }
    });
    // The client closes first, so that TIME-WAIT is on its side.
    let net = a.clone();
    world.block_on(60 * SECOND, async move {
        for _ in 0..40 {
            let mut stream = net.tcp_connect(at(2, 80), TcpOptions::default()).await.unwrap();
            stream.close().await.unwrap();
        }
    });
    let status = a.status();
    assert_eq!((status.connections, status.time_wait), (0, 40));
    world.run(61 * SECOND);
    assert_eq!((a.status().connections, a.status().time_wait), (0, 0));
}

#[test]
fn a_stalled_backend_is_waited_for_without_spinning() {
    let (mut world, a, b) = World::pair(|_| {}, Wire { slots: 4, ..Wire::default() });
    let (_listener, mut client, mut server) = connect(&mut world, &a, &b);
    let stalled = world.stacks[0].nic().switches.stalled.clone();
    stalled.set(true);
    let writer = world.spawn(async move {
        client.write_all(&[7; 12_000]).await.unwrap();
        client
    });
    let iterations = world.iterations;
    world.run(20 * SECOND);
    assert!(
        world.iterations - iterations < 200,
        "{} iterations while nothing can be sent",
        world.iterations - iterations
    );
    stalled.set(false);
    let read = world.block_on(30 * SECOND, async move { server.read_exact(&mut [0; 12_000]).await });
    assert_eq!((read, writer.done()), (Ok(()), true));
}

#[test]
fn connections_outlive_a_link_that_comes_back() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let (_listener, mut client, mut server) = connect(&mut world, &a, &b);
    let switches = world.stacks[0].nic().switches.clone();
    switches.up.set(false);
    let announced = a.status().counters.announced.get();
    let writer = world.spawn(async move { client.write_all(b"still here").await.map(|()| client) });
    world.run(10 * SECOND);
    switches.generation.set(2);
    switches.up.set(true);
    let read = world.block_on(10 * SECOND, async move { server.read_exact(&mut [0; 10]).await });
    assert_eq!((read, writer.done(), a.status().counters.announced.get()), (Ok(()), true, announced + 1));
}
