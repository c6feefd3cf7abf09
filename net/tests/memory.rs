//! Memory: what peers send and make the stack keep is reserved in the ledger, is refused beyond it, and comes back.

mod world;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use embedded_io_async::{Read, Write};
use ledger::{Ledger, Usage};
use net::{Bytes, DropReason, Net, NetError, TcpOptions, TcpStream, UdpOptions};
use world::{SECOND, Wire, World, at};

fn usage(ledger: &Ledger, name: &str) -> Usage {
    ledger.usage().into_iter().find(|usage| usage.name == name).unwrap()
}

/// Two stacks, the first with a ledger of its own.
fn pair(bytes: usize) -> (World, Net, Net, Ledger) {
    let ledger = Ledger::new(bytes);
    let shared = Cell::new(Some(ledger.clone()));
    let (world, a, b) = World::pair(
        |config| {
            config.limits = net::Limits::for_memory(64 << 20);
            if let Some(own) = shared.take() {
                config.limits = net::Limits::for_memory(bytes);
                config.ledger = own;
            }
        },
        Wire::default(),
    );
    (world, a, b, ledger)
}

async fn connect(net: Net, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(net.tcp_connect(at(1, 80), TcpOptions::default()).await.unwrap());
    }
    all
}

async fn accept(net: Net, count: usize) -> Vec<TcpStream> {
    let listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let mut all = Vec::new();
    while all.len() < count {
        all.push(listener.accept().await);
    }
    all
}

#[test]
fn unread_bytes_are_reserved_and_come_back() {
    let (mut world, a, b, ledger) = pair(16 << 20);
    world.run(SECOND);
    let base = usage(&ledger, "tcp").used;
    let servers = world.spawn(accept(a.clone(), 4));
    let clients = world.block_on(SECOND, connect(b, 4));
    let servers = world.wait(SECOND, &servers);
    let idle = usage(&ledger, "tcp").used;
    assert!(idle > base && idle < base + 16_384, "{base} {idle}");
    for mut client in clients {
        world.spawn(async move { client.write_all(&[7; 50_000]).await.unwrap() });
    }
    world.run(20 * SECOND);
    let full = usage(&ledger, "tcp").used;
    let unread: usize = a.tcp_connections(9).iter().map(|connection| connection.unread).sum();
    assert!(unread >= 200_000 && full >= idle + unread, "{unread} {full}");
    for mut server in servers {
        world.block_on(10 * SECOND, async move {
            server.read_exact(&mut [0; 50_000]).await.unwrap();
            server.abort();
        });
    }
    world.run(100 * SECOND);
    assert_eq!(a.status().connections, 0);
    assert_eq!(usage(&ledger, "tcp").used, base, "all of it came back");
}

#[test]
fn peers_that_send_without_end_stay_within_the_ledger() {
    let (mut world, a, b, ledger) = pair(1 << 20);
    let servers = world.spawn(accept(a.clone(), 60));
    let clients = world.block_on(60 * SECOND, connect(b, 60));
    let servers = world.wait(SECOND, &servers);
    for mut client in clients {
        world.spawn(async move { while client.write_all(&[7; 4000]).await.is_ok() {} });
    }
    for _ in 0..60 {
        world.run(SECOND);
        let tcp = usage(&ledger, "tcp");
        assert!(tcp.used <= tcp.limit, "{tcp:?}");
    }
    let unread: usize = a.tcp_connections(99).iter().map(|connection| connection.unread).sum();
    assert!(unread <= usage(&ledger, "tcp").limit, "{unread}");
    assert!(unread > usage(&ledger, "tcp").limit / 4, "the memory is used: {unread}");
    drop(servers);
}

#[test]
fn without_memory_the_longest_idle_connection_gives_way() {
    let (mut world, a, b, ledger) = pair(256 << 10);
    let listener = a.tcp_listen(80, TcpOptions { backlog: 2000, ..TcpOptions::default() }).unwrap();
    let served = world.spawn(async move {
        for _ in 0..900 {
            listener.accept().await.park();
        }
        listener
    });
    let first = world.block_on(SECOND, connect(b.clone(), 1)).pop().unwrap();
    world.spawn(connect(b.clone(), 899));
    let _listener = world.wait(600 * SECOND, &served);
    let (status, tcp) = (a.status(), usage(&ledger, "tcp"));
    assert!(status.counters.evicted.get() > 100, "{:?}", status.counters.evicted);
    assert!(tcp.used <= tcp.limit && status.connections > 200, "{tcp:?} {}", status.connections);
    let mut first = first;
    let read = world.block_on(SECOND, async move { first.read(&mut [0; 9]).await });
    assert!(read.is_err(), "the first one was reset");
}

#[test]
fn clients_that_read_nothing_give_way_to_new_ones() {
    static PAGE: [u8; 200_000] = [7; 200_000];
    let (mut world, a, b, ledger) = pair(256 << 10);
    let listener = a.tcp_listen(80, TcpOptions { backlog: 2000, ..TcpOptions::default() }).unwrap();
    world.spawn(async move {
        let mut streams = Vec::new();
        loop {
            let mut stream = listener.accept().await;
            // What does not fit at once waits for a client that takes nothing.
            let mut sending = Box::pin(async move {
                let _ = stream.send(PAGE.as_slice()).await;
                let _ = stream.send(b"end".as_slice()).await;
                stream
            });
            poll_fn(|cx| {
                let _ = sending.as_mut().poll(cx);
                Poll::Ready(())
            })
            .await;
            streams.push(sending);
        }
    });
    let readers = world.spawn(connect(b.clone(), 300));
    world.run(20 * SECOND);
    let tcp = usage(&ledger, "tcp");
    assert!(tcp.used <= tcp.limit, "{tcp:?}");
    assert!(a.status().counters.evicted.get() > 0, "{:?}", a.status());
    for _ in 0..20 {
        let net = b.clone();
        let read = world.block_on(2 * SECOND, async move {
            let mut honest = net.tcp_connect(at(1, 80), TcpOptions::default()).await.unwrap();
            honest.read(&mut [0; 1000]).await
        });
        assert!(read.is_ok_and(|len| len > 0), "{read:?}");
    }
    drop(readers);
}

/// What a server makes for one client is its connection's: it is reserved until the client has it. Clients that do not take
/// it give way.
#[test]
fn replies_for_clients_that_read_nothing_are_reserved() {
    let (mut world, a, b, ledger) = pair(256 << 10);
    let listener = a.tcp_listen(80, TcpOptions { backlog: 2000, ..TcpOptions::default() }).unwrap();
    world.spawn(async move {
        let mut streams = Vec::new();
        loop {
            let mut stream = listener.accept().await;
            while matches!(stream.try_send(&mut vec![7; 20_000].into()), Poll::Ready(Ok(()))) {}
            streams.push(stream);
        }
    });
    let net = b.clone();
    let readers = world.spawn(async move {
        let mut all = Vec::new();
        for _ in 0..300 {
            all.push(
                net.tcp_connect(at(1, 80), TcpOptions { rx_buffer: 1000, ..TcpOptions::default() }).await,
            );
        }
        all
    });
    world.run(20 * SECOND);
    for round in 0..40 {
        let net = b.clone();
        let read = world.block_on(2 * SECOND, async move {
            let mut honest = net.tcp_connect(at(1, 80), TcpOptions::default()).await.unwrap();
            honest.read(&mut [0; 1000]).await
        });
        assert!(read.is_ok_and(|len| len > 0), "round {round}: {read:?}");
        let tcp = usage(&ledger, "tcp");
        let queued: usize = a.tcp_connections(999).iter().map(|connection| connection.unacknowledged).sum();
        assert!(queued <= tcp.limit + (8 << 10) && tcp.used <= tcp.limit, "{queued} {tcp:?}");
    }
    assert!(a.status().counters.evicted.get() > 0, "{:?}", a.status());
    drop(readers);
}

/// More than there is memory for is not queued: it waits for what the peer will acknowledge, or fails if that is nothing.
#[test]
fn bytes_without_memory_are_not_queued() {
    let (mut world, a, b, ledger) = pair(256 << 10);
    let clients = world.spawn(connect(b, 1));
    let mut server = world.block_on(SECOND, accept(a, 1)).pop().unwrap();
    let limit = usage(&ledger, "tcp").limit;
    let (own, others) = (|| Bytes::from(vec![7; limit]), Bytes::from(vec![7; limit]));
    assert_eq!(server.try_send(&mut own()), Poll::Ready(Err(NetError::NoMemory)));
    assert_eq!(server.try_send(&mut own().slice(..1000)), Poll::Ready(Ok(())));
    let mut bytes = own();
    assert_eq!((server.try_send(&mut bytes), bytes.len()), (Poll::Pending, limit));
    assert_eq!(server.try_send(&mut others.clone()), Poll::Ready(Ok(())));
    drop(clients);
}

/// Answers each `k` with a `k`, and anything else with more than fits.
async fn serve(mut stream: TcpStream) {
    static PAGE: [u8; 200_000] = [7; 200_000];
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte).await {
        let answer = if byte == *b"k" { b"k".as_slice() } else { PAGE.as_slice() };
        if stream.send(answer).await.is_err() {
            return;
        }
    }
}

/// Serves every connection.
async fn serve_all(net: Net) {
    let listener = net.tcp_listen(80, TcpOptions { backlog: 2000, ..TcpOptions::default() }).unwrap();
    let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    loop {
        let mut accept = Box::pin(listener.accept());
        let stream = poll_fn(|cx| {
            tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
            accept.as_mut().poll(cx)
        })
        .await;
        drop(accept);
        tasks.push(Box::pin(serve(stream)));
    }
}

#[test]
fn a_kept_connection_outlives_clients_that_read_nothing() {
    let (mut world, a, b, _ledger) = pair(256 << 10);
    world.spawn(serve_all(a.clone()));
    world.run(SECOND);
    let mut kept = world.block_on(SECOND, connect(b.clone(), 1)).pop().unwrap();
    let mut readers = Vec::new();
    for round in 0..60 {
        let net = b.clone();
        readers.push(world.spawn(async move {
            let mut all = connect(net, 8).await;
            for reader in &mut all {
                let _ = reader.write_all(b"r").await;
            }
            all
        }));
        world.run(SECOND / 2);
        let (stream, answer) = world.block_on(5 * SECOND, async move {
            let mut byte = [0];
            let sent = kept.write_all(b"k").await;
            let read = kept.read(&mut byte).await;
            (kept, sent.and(read).map(|_| byte))
        });
        assert_eq!(answer, Ok(*b"k"), "round {round}, {:?} evicted", a.status().counters.evicted);
        kept = stream;
    }
    assert!(a.status().counters.evicted.get() > 100, "{:?}", a.status().counters.evicted);
}

/// Sends a `k` and returns the answer.
async fn ask(mut stream: TcpStream) -> (TcpStream, Result<[u8; 1], NetError>) {
    let mut byte = [0];
    let sent = stream.write_all(b"k").await;
    let read = stream.read(&mut byte).await;
    (stream, sent.and(read).map(|_| byte))
}

#[test]
fn a_connection_that_has_asked_outlives_those_that_have_not() {
    let (mut world, a, b, _ledger) = pair(256 << 10);
    world.spawn(serve_all(a.clone()));
    world.run(SECOND);
    let mut kept = world.block_on(SECOND, connect(b.clone(), 1)).pop().unwrap();
    let idle = world.spawn(connect(b, 900));
    for round in 0..20 {
        let (stream, answer) = world.block_on(SECOND, ask(kept));
        assert_eq!(answer, Ok(*b"k"), "round {round}, {:?} evicted", a.status().counters.evicted);
        kept = stream;
        // It is the least recently used connection then.
        world.run(2 * SECOND);
    }
    assert!(a.status().counters.evicted.get() > 100, "{:?}", a.status().counters.evicted);
    drop(idle);
}

#[test]
fn unread_datagrams_are_reserved_until_they_are_dropped() {
    let (mut world, a, b, ledger) = pair(256 << 10);
    let options = UdpOptions { rx_packets: 1000, rx_bytes: 1 << 20, ..UdpOptions::default() };
    let socket = a.udp_bind(7, options).unwrap();
    world.block_on(60 * SECOND, async move {
        let sender = b.udp_bind(9, UdpOptions::default()).unwrap();
        for _ in 0..100 {
            sender.send_to(&[1; 1000], at(1, 7)).await.unwrap();
        }
    });
    world.run(SECOND);
    let udp = usage(&ledger, "udp");
    let refused = a.status().drops.get(DropReason::Memory);
    assert!(udp.used <= udp.limit && udp.used > udp.limit - 1200, "{udp:?}");
    assert!(refused > 20 && udp.refused == refused, "{refused} {udp:?}");
    let kept = world.block_on(SECOND, async move {
        let kept = socket.recv_owned().await.unwrap();
        drop(socket);
        kept
    });
    world.run(SECOND);
    let one = usage(&ledger, "udp").used;
    assert!((1000..1300).contains(&one), "a datagram that the application has counts: {one}");
    drop(kept);
    assert_eq!(usage(&ledger, "udp").used, 0);
}
