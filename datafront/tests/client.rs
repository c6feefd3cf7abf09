//! The client role against a server of its own making, in another domain of the simulated machine, correct or malicious.

#![allow(
    clippy::cognitive_complexity,
    clippy::too_many_lines,
    reason = "a test follows one story from its beginning to its end"
)]

mod support;

use datafront::vchan::{ChannelError, Client, ClientError, Connection, Misbehaviour, Path, Settings, Sizes};
use embedded_io_async::{Read, Write};
use pool::SharedPagePool;
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use support::client::{CLI_NOTIFY, LEFT_CONS, LEFT_PROD, RIGHT_PROD, SRV_LIVE};
use support::server::{Host, PATH, SERVER, Server};
use support::{Bench, Dice, pattern};
use xen::{GrantedPages, Hypervisor};
use xen_sim::Guest;

fn client(bench: &Bench) -> Client<Guest> {
    Client::new(&bench.xen, Path::new(PATH).unwrap(), SERVER)
}

/// Echoes until the server leaves.
async fn echo(mut connection: Connection<Guest>) -> (Vec<u8>, Result<(), ChannelError>) {
    let (mut all, mut buffer) = (Vec::new(), [0; 1500]);
    loop {
        match connection.read(&mut buffer).await {
            Ok(0) => return (all, Ok(())),
            Ok(len) => {
                all.extend(&buffer[..len]);
                if let Err(error) = connection.write_all(&buffer[..len]).await {
                    return (all, Err(error));
                }
            }
            Err(error) => return (all, Err(error)),
        }
    }
}

/// A whole life of one channel: the server sends `bytes` in pieces, reads the echo and leaves.
fn round(bench: &Bench, host: &Host, orders: [u16; 2], first: u32, bytes: &[u8]) {
    let client = client(bench);
    let server = host.server(orders, first);
    host.show(bench, &server);
    let mut server = Some(server);
    let (mut sent, mut back, mut dice) = (0, Vec::<u8>::new(), Dice(u64::from(first) | 1));
    let (read, end) = bench.run(async { echo(client.connect().await.unwrap()).await }, || {
        let Some(open) = &server else { return false };
        let mut progress = open.rung();
        if open.client_live() != 1 {
            return progress;
        }
        let most = 1 + dice.below(3000);
        let len = open.write(&bytes[sent..bytes.len().min(sent + most)]);
        sent += len;
        let got = open.read(1 + dice.below(3000));
        back.extend(&got);
        progress |= len > 0 || !got.is_empty();
        if back.len() == bytes.len() {
            server.take().unwrap().leave();
            return true;
        }
        progress
    });
    assert_eq!(end, Ok(()));
    assert!(read == bytes && back == bytes, "orders {orders:?}");
    assert_eq!(bench.sim.guest().foreign_pages(), 0, "everything is unmapped");
}

#[test]
fn every_size_carries_every_byte_across_the_wrap() {
    for orders in [[10, 11], [11, 10], [10, 12], [12, 11], [14, 13], [16, 12], [20, 20]] {
        for first in [0, u32::MAX - 3] {
            let bench = Bench::new();
            let host = Host::new(&bench);
            let ports = bench.sim.guest().open_ports();
            round(&bench, &host, orders, first, &pattern(u64::from(orders[0]), 40_000));
            assert_eq!(bench.sim.guest().open_ports(), ports);
            assert_eq!(host.xen.machine.grants_in_use(), []);
        }
    }
}

#[test]
fn a_hundred_servers_come_and_go() {
    let bench = Bench::new();
    let host = Host::new(&bench);
    for n in 0..100 {
        round(&bench, &host, [12, 11], n, &pattern(u64::from(n), 3000));
    }
    assert_eq!(host.xen.machine.grants_in_use(), []);
}

#[test]
fn our_client_and_our_server_understand_each_other() {
    let bench = Bench::new();
    let host = Host::new(&bench);
    let settings = Settings { sizes: Sizes::PUSH, ..Settings::new(Path::new(PATH).unwrap(), SERVER) };
    let pages: Rc<dyn GrantedPages> = Rc::new(SharedPagePool::new(&host.xen, bench.sim.guest().id()));
    let mut server = datafront::vchan::Server::open(&host.xen, &pages, settings).unwrap();
    let bytes = pattern(3, 300_000);
    let both = async {
        let serve = async {
            let mut channel = server.accept().await.unwrap();
            let mut back = Vec::new();
            for piece in bytes.chunks(20_000) {
                channel.write_all(piece).await.unwrap();
                let mut echo = vec![0; piece.len()];
                let mut filled = 0;
                while filled < echo.len() {
                    filled += channel.read(&mut echo[filled..]).await.unwrap();
                }
                back.extend(echo);
            }
            back
        };
        let client = client(&bench);
        let connect = async { echo(client.connect().await.unwrap()).await };
        support::join(serve, connect).await
    };
    let (back, (read, end)) = bench.run(both, || xen_sim::iterate(&host.xen));
    assert!(back == bytes && read == bytes);
    assert_eq!(end, Ok(()));
}

#[test]
fn d28_a_server_that_is_not_there_yet_is_waited_for() {
    let bench = Bench::new();
    let host = Host::new(&bench);
    let client = client(&bench);
    let server = host.server([12, 12], 0);
    let (gref, port) = (server.shared().load::<u32>(24, SeqCst), server.port.0);
    let mut step = 0;
    let mut connection = bench.run(async { client.connect().await.unwrap() }, || {
        step += 1;
        // Nothing, half of it, nonsense, a channel that is over, a port without its page, and at last the real one.
        match step {
            1 => bench.sim.store().write(&format!("{PATH}/ring-ref"), "8"),
            3 => host.show_as(&bench, "no number", "-1"),
            5 => host.show_as(&bench, "0", "0"),
            7 => host.show_as(&bench, "99", "999"),
            9 => {
                let own = bench.sim.guest().id();
                let other = host.xen.machine.evtchn_alloc_unbound(own).unwrap();
                host.show_as(&bench, &(gref + 5000).to_string(), &other.0.to_string());
            }
            11 => host.show(&bench, &server),
            _ => {}
        }
        step < 14
    });
    assert_eq!((port, server.client_live()), (server.port.0, 1));
    assert_eq!(bench.sim.guest().foreign_pages(), 3);
    assert_eq!(server.write(b"at last"), 7);
    let mut buffer = [0; 16];
    assert_eq!(bench.alone(connection.read(&mut buffer)), Ok(7));
    drop(connection);
    assert_eq!((server.client_live(), bench.sim.guest().foreign_pages()), (0, 0));
}

/// Connects to a server that has been tampered with before.
fn offered(orders: [u16; 2], tamper: impl FnOnce(&Server)) -> (Bench, Result<(), ClientError>) {
    let bench = Bench::new();
    let host = Host::new(&bench);
    let server = host.server([12, 12], 0);
    server.shared().store::<u16>(16, orders[0], SeqCst);
    server.shared().store::<u16>(18, orders[1], SeqCst);
    tamper(&server);
    host.show(&bench, &server);
    let client = client(&bench);
    let result = bench.alone(async { client.connect().await.map(drop) });
    assert_eq!(bench.sim.guest().foreign_pages(), 0, "nothing stays mapped");
    (bench, result)
}

#[test]
fn d29_orders_that_cannot_be_are_refused_with_a_name() {
    for [left, right] in [[9, 12], [12, 21], [0, 0], [10, 10], [11, 11], [65_535, 12], [10, 20]] {
        let (_, result) = offered([left, right], |_| {});
        assert_eq!(result, Err(ClientError::Misbehaved(Misbehaviour::Orders { left, right })));
    }
}

/// Connects, lets the server do something bad while the client sleeps, and tells how the channel ended.
fn hostile(bad: impl Fn(&Server)) -> Result<(), ChannelError> {
    let bench = Bench::new();
    let host = Host::new(&bench);
    let server = host.server([12, 12], 0);
    host.show(&bench, &server);
    let client = client(&bench);
    let mut step = 0;
    let (_, end) = bench.run(async { echo(client.connect().await.unwrap()).await }, || {
        server.rung();
        if server.client_live() != 1 {
            return step == 0;
        }
        step += 1;
        match step {
            1 => assert_eq!(server.write(b"hello"), 5),
            4 => {
                bad(&server);
                server.notify();
            }
            9 => {
                server.shared().store::<u8>(SRV_LIVE, 0, SeqCst);
                server.notify();
            }
            _ => {}
        }
        step < 12
    });
    assert_eq!(bench.sim.guest().foreign_pages(), 0);
    // The next one is served.
    server.leave();
    round(&bench, &host, [12, 12], 0, b"the next one");
    end
}

#[test]
fn d30_a_server_s_corrupt_indexes_close_the_channel_with_a_name() {
    for excess in [4097_u32, 1 << 31, u32::MAX] {
        let end =
            hostile(|server| server.shared().store::<u32>(RIGHT_PROD, 5_u32.wrapping_add(excess), SeqCst));
        let prod = 5_u32.wrapping_add(excess);
        assert_eq!(end, Err(ChannelError::Misbehaved(Misbehaviour::ReadIndex { prod, cons: 5 })));
    }
    let end = hostile(|server| {
        server.shared().store::<u32>(LEFT_CONS, 6, SeqCst);
        server.write(b"x");
    });
    assert_eq!(end, Err(ChannelError::Misbehaved(Misbehaviour::WriteIndex { prod: 5, cons: 6 })));
}

#[test]
fn d31_a_servers_bad_liveness_closes_the_channel() {
    for value in [2_u8, 3, 255] {
        let end = hostile(|server| server.shared().store::<u8>(SRV_LIVE, value, SeqCst));
        assert_eq!(end, Err(ChannelError::Misbehaved(Misbehaviour::Live(value))));
    }
    assert_eq!(hostile(|server| server.shared().store::<u8>(SRV_LIVE, 0, SeqCst)), Ok(()));
}

#[test]
fn d32_what_a_server_overwrites_is_not_read_back() {
    let end = hostile(|server| {
        server.shared().store::<u16>(16, 20, SeqCst);
        server.shared().store::<u16>(18, 65_535, SeqCst);
        server.shared().write_bytes(24, &[0xff; 64]);
        server.shared().store::<u8>(CLI_NOTIFY, 0xff, SeqCst);
        server.shared().store::<u32>(LEFT_PROD, 0, SeqCst);
        (0..100).for_each(|_| server.notify());
    });
    assert_eq!(end, Ok(()));
}

#[test]
fn d33_grants_that_end_half_way_leave_nothing_mapped() {
    let bench = Bench::new();
    let host = Host::new(&bench);
    let server = host.server([13, 12], 0);
    // The last page of the rings is not granted any more.
    server.shared().store::<u32>(24 + 4 * 2, 4000, SeqCst);
    host.show(&bench, &server);
    let client = client(&bench);
    let mut step = 0;
    let mut good = None;
    bench.run(async { drop(client.connect().await.unwrap()) }, || {
        step += 1;
        if step == 4 {
            assert_eq!(bench.sim.guest().foreign_pages(), 0);
            let next = host.server([12, 12], 0);
            host.show(&bench, &next);
            good = Some(next);
        }
        step < 8
    });
    assert_eq!(bench.sim.guest().foreign_pages(), 0);
}

#[test]
fn d34_a_suspend_ends_both_roles_with_a_name() {
    let bench = Bench::new();
    let host = Host::new(&bench);
    let server = host.server([12, 12], 0);
    host.show(&bench, &server);
    let client = client(&bench);
    let mut step = 0;
    let (_, end) = bench.run(async { echo(client.connect().await.unwrap()).await }, || {
        step += 1;
        if step == 8 {
            bench.xen.events.resume();
        }
        step < 12
    });
    assert_eq!(end, Err(ChannelError::Suspended));
    assert_eq!(bench.sim.guest().foreign_pages(), 0);

    let bench = Bench::new();
    let mut server = bench.server(Sizes::PUSH, 0);
    let mut step = 0;
    let end = bench.run(async { server.accept().await.map(drop) }, || {
        step += 1;
        if step == 12 {
            bench.xen.events.resume();
        }
        step < 16
    });
    assert_eq!(end, Err(datafront::vchan::ServerError::Moved));
    drop(server);
    let pages = bench.pool.account().unwrap();
    assert_eq!((pages.free, pages.in_use, pages.quarantined), (pages.total, 0, 0));
    // And the next one, at its new path, takes the same.
    let issued = bench.xen.grants.stats().issued;
    let _next = bench.server(Sizes::PUSH, 0);
    assert_eq!((bench.pool.account().unwrap().total, bench.xen.grants.stats().issued), (pages.total, issued));
}
