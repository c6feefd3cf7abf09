//! Memory: what peers send and make the stack keep is reserved in the ledger, is refused beyond it, and comes back.

mod world;

use std::cell::Cell;
use std::future::Future;

use embedded_io_async::{Read, Write};
use ledger::{Ledger, Usage};
use net::{DropReason, Net, TcpOptions, TcpStream, UdpOptions};
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
            // The futures are polled once: whoever takes the whole page at once is an honest client of this test.
            let mut sending = Box::pin(async move {
                let _ = stream.send(PAGE.as_slice()).await;
                let _ = stream.send(b"end".as_slice()).await;
                stream
            });
            std::future::poll_fn(|cx| {
                let _ = sending.as_mut().poll(cx);
                std::task::Poll::Ready(())
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
