//! The channel against a client of the tests, a small libxenvchan that keeps the rules or breaks them.

#![allow(
    clippy::cognitive_complexity,
    clippy::too_many_lines,
    reason = "a test follows one story from its beginning to its end"
)]

mod support;

use datafront::vchan::{
    ChannelError, MAX_PATH_BYTES, Misbehaviour, Order, Path, PathError, Server, ServerError, Sizes,
};
use embedded_io_async::{Read, Write};
use pool::shared_pages::SPARE;
use support::client::{CLI_LIVE, CLI_NOTIFY, Client, LEFT_CONS, LEFT_PROD, RIGHT_CONS, SRV_NOTIFY};
use support::{Bench, Dice, pattern};
use xen::DomId;

fn sizes(left: u16, right: u16) -> Sizes {
    Sizes::new(Order::new(left).unwrap(), Order::new(right).unwrap()).unwrap()
}

/// Serves one client: echoes until it leaves; what was read, and how it ended.
async fn echo(server: &mut Server<xen_sim::Guest>) -> (Vec<u8>, Result<(), ChannelError>) {
    let mut channel = server.accept().await.unwrap();
    let mut all = Vec::new();
    let mut buffer = [0; 1500];
    loop {
        match channel.read(&mut buffer).await {
            Ok(0) => return (all, Ok(())),
            Ok(len) => {
                all.extend(&buffer[..len]);
                if let Err(error) = channel.write_all(&buffer[..len]).await {
                    return (all, Err(error));
                }
            }
            Err(error) => return (all, Err(error)),
        }
    }
}

/// A whole life: a client that sends `bytes` in pieces, reads the echo and leaves.
fn round(bench: &Bench, server: &mut Server<xen_sim::Guest>, bytes: &[u8], seed: u64) -> u64 {
    let (mut client, mut sent, mut back, mut events) = (None, 0, Vec::new(), 0);
    let mut dice = Dice(seed | 1);
    let (read, end) = bench.run(echo(server), || {
        if back.len() > bytes.len() {
            return false;
        }
        let Some(mut peer) = client.take().or_else(|| Client::connect(bench)) else { return true };
        if back.len() == bytes.len() {
            events = peer.events;
            peer.leave();
            // Once only: the node still names the old channel.
            back.push(0);
            return true;
        }
        let most = 1 + dice.below(3000);
        let len = peer.write(&bytes[sent..bytes.len().min(sent + most)]);
        sent += len;
        let got = peer.read(1 + dice.below(3000));
        back.extend(&got);
        client = Some(peer);
        len > 0 || !got.is_empty()
    });
    assert_eq!(end, Ok(()));
    assert_eq!(read, bytes);
    back.pop();
    assert_eq!(back, bytes);
    events
}

#[test]
fn every_size_carries_every_byte_across_the_wrap() {
    for (left, right) in [(10, 11), (11, 10), (10, 12), (12, 11), (12, 12), (14, 13), (16, 12)] {
        for first in [0, u32::MAX - 3] {
            let bench = Bench::new();
            let mut server = bench.server(sizes(left, right), first);
            let bytes = pattern(u64::from(left), 40_000);
            round(&bench, &mut server, &bytes, u64::from(right));
            let pages = bench.pool.account().unwrap();
            bench.alone(server.close()).unwrap();
            let after = bench.pool.account().unwrap();
            assert_eq!(
                (after.in_use, after.free, after.quarantined),
                (0, pages.total, 0),
                "orders {left} {right}"
            );
            let granted = bench.sim.guest().granted();
            assert_eq!(granted.len(), after.total, "orders {left} {right}");
            let is_clear = |gfn| bench.sim.guest().page_bytes(gfn).unwrap().iter().all(|byte| *byte == 0);
            assert!(granted.iter().all(|entry| is_clear(entry.gfn)), "orders {left} {right}");
            assert_eq!(bench.node("ring-ref"), None);
        }
    }
}

#[test]
fn a_ring_of_one_mebibyte_each_way_fits() {
    let bench = Bench::new();
    let mut server = bench.server(sizes(20, 20), u32::MAX - 70_000);
    round(&bench, &mut server, &pattern(5, 200_000), 5);
}

#[test]
fn a_hundred_clients_leave_nothing_behind() {
    let bench = Bench::new();
    let mut server = bench.server(sizes(12, 10), 0);
    round(&bench, &mut server, b"first", 1);
    let before = (bench.sim.guest().granted().len(), bench.sim.guest().open_ports());
    for seed in 0..100 {
        round(&bench, &mut server, &pattern(seed, 500), seed);
        assert_eq!((bench.sim.guest().granted().len(), bench.sim.guest().open_ports()), before);
    }
    let stats = server.stats();
    assert_eq!(
        (stats.clients.get(), stats.broken.get(), bench.pool.account().unwrap().quarantined),
        (101, 0, 0),
        "every control page has come back"
    );
    assert_eq!(bench.xen.grants.stats().issued, 2, "granted once, for all of them");
}

#[test]
fn several_channels_do_not_hear_each_other() {
    let bench = Bench::new();
    let mut one = bench.server(sizes(12, 12), 0);
    let mut two = Server::open(&bench.xen, &bench.pages(), bench.settings("other")).unwrap();
    let mut clients = (None, None);
    let mut step = 0;
    let both = async {
        let (first, second) = (echo(&mut one), echo(&mut two));
        let (mut first, mut second) = (std::pin::pin!(first), std::pin::pin!(second));
        let (mut a, mut b) = (None, None);
        std::future::poll_fn(move |cx| {
            use std::task::Poll;
            if a.is_none()
                && let Poll::Ready(done) = first.as_mut().poll(cx)
            {
                a = Some(done);
            }
            if b.is_none()
                && let Poll::Ready(done) = second.as_mut().poll(cx)
            {
                b = Some(done);
            }
            match (a.take(), b.take()) {
                (Some(x), Some(y)) => Poll::Ready((x, y)),
                (x, y) => {
                    (a, b) = (x, y);
                    Poll::Pending
                }
            }
        })
        .await
    };
    let (first, second) = bench.run(both, || {
        if clients.0.is_none() && step == 0 {
            clients.0 = Client::connect(&bench);
            clients.1 = Client::connect_at(&bench, "other");
            return true;
        }
        step += 1;
        match step {
            1 => clients.0.as_mut().map_or(0, |client| client.write(b"to one")) > 0,
            2 => clients.1.as_mut().map_or(0, |client| client.write(b"to the other")) > 0,
            5 => clients.0.take().map(Client::leave).is_some(),
            6 => clients.1.take().map(Client::leave).is_some(),
            _ => step < 10,
        }
    });
    assert_eq!((first.0.as_slice(), second.0.as_slice()), (b"to one".as_slice(), b"to the other".as_slice()));
}

/// Connects a client, lets it say "hello", does something bad once the guest sleeps, and tells how the channel ended.
fn hostile(
    first: u32,
    bad: impl Fn(&mut Client),
) -> (Bench, Result<(), ChannelError>, Vec<u8>, Server<xen_sim::Guest>) {
    let bench = Bench::new();
    let mut server = bench.server(sizes(12, 12), first);
    let (mut client, mut step) = (None, 0);
    let (read, end) = bench.run(echo(&mut server), || {
        if client.is_none() {
            client = Client::connect(&bench);
            return true;
        }
        let Some(peer) = client.as_mut() else { return true };
        step += 1;
        match step {
            1 => assert_eq!(peer.write(b"hello"), 5),
            3 => {
                bad(peer);
                peer.notify();
            }
            8 => {
                peer.control.store::<u8>(CLI_LIVE, 0);
                peer.notify();
            }
            _ => {}
        }
        step < 12
    });
    drop(client);
    (bench, end, read, server)
}

/// After whatever happened, the next client is served.
fn heals(bench: &Bench, server: &mut Server<xen_sim::Guest>) {
    round(bench, server, b"the next one", 3);
}

fn misbehaved(end: Result<(), ChannelError>) -> Misbehaviour {
    match end {
        Err(ChannelError::Misbehaved(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

#[test]
fn h64_orders_that_change_after_the_connection_change_nothing() {
    let (bench, end, read, mut server) = hostile(0, |client| {
        client.control.store::<u16>(16, 20);
        client.control.store::<u16>(18, 65_535);
        assert_eq!(client.write(b" again"), 6);
    });
    assert_eq!((end, read.as_slice()), (Ok(()), b"hello again".as_slice()));
    heals(&bench, &mut server);
}

#[test]
fn h65_more_bytes_than_the_ring_has_close_the_channel() {
    for first in [0_u32, u32::MAX - 2] {
        for excess in [4097_u32, 5000, 1 << 31, u32::MAX] {
            let (bench, end, read, mut server) = hostile(first, |client| {
                let cons = client.control.load::<u32>(LEFT_CONS);
                client.control.store(LEFT_PROD, cons.wrapping_add(excess));
            });
            let cons = first.wrapping_add(5);
            assert_eq!(misbehaved(end), Misbehaviour::ReadIndex { prod: cons.wrapping_add(excess), cons });
            assert_eq!(read, b"hello");
            heals(&bench, &mut server);
            assert_eq!(server.stats().broken, 1);
        }
    }
}

#[test]
fn d01_a_cons_beyond_prod_closes_the_channel_with_a_name() {
    let (bench, end, _, mut server) = hostile(7, |client| {
        client.control.store::<u32>(RIGHT_CONS, 13);
        client.write(b"x");
    });
    assert_eq!(misbehaved(end), Misbehaviour::WriteIndex { prod: 12, cons: 13 });
    heals(&bench, &mut server);
}

#[test]
fn h68_a_client_that_left_does_not_come_back() {
    let (bench, end, read, mut server) = hostile(0, |client| client.control.store::<u8>(CLI_LIVE, 0));
    assert_eq!((end, read.as_slice()), (Ok(()), b"hello".as_slice()));
    heals(&bench, &mut server);
}

#[test]
fn h68_liveness_that_is_none_closes_the_channel_with_a_name() {
    for value in [2_u8, 3, 255] {
        let (bench, end, _, mut server) = hostile(0, |client| client.control.store::<u8>(CLI_LIVE, value));
        assert_eq!(misbehaved(end), Misbehaviour::Live(value));
        heals(&bench, &mut server);
    }
}

#[test]
fn d02_wishes_that_are_none_are_ignored() {
    let (bench, end, read, mut server) = hostile(0, |client| {
        client.control.store::<u8>(SRV_NOTIFY, 0xfc);
        client.control.store::<u8>(CLI_NOTIFY, 0xff);
    });
    assert_eq!((end, read.as_slice()), (Ok(()), b"hello".as_slice()));
    heals(&bench, &mut server);
}

#[test]
fn d03_our_own_index_is_not_read_back() {
    let (bench, end, read, mut server) = hostile(0, |client| {
        client.control.store::<u32>(LEFT_CONS, 0);
        client.control.store::<u32>(LEFT_PROD, 5);
    });
    assert_eq!((end, read.as_slice()), (Ok(()), b"hello".as_slice()), "nothing is delivered twice");
    heals(&bench, &mut server);
}

#[test]
fn d04_events_without_work_change_nothing() {
    let (bench, end, read, mut server) = hostile(0, |client| (0..1000).for_each(|_| client.notify()));
    assert_eq!((end, read.as_slice()), (Ok(()), b"hello".as_slice()));
    heals(&bench, &mut server);
}

#[test]
fn d05_the_list_of_grants_is_not_read_back() {
    let (bench, end, read, mut server) = hostile(0, |client| {
        client.control.write(24, &[0xff; 64]);
        assert_eq!(client.write(b"!"), 1);
    });
    assert_eq!((end, read.as_slice()), (Ok(()), b"hello!".as_slice()));
    heals(&bench, &mut server);
}

#[test]
fn d06_pages_kept_mapped_stop_the_server_until_unmapped() {
    let bench = Bench::new();
    let mut server = bench.server(sizes(12, 12), 0);
    let (mut held, mut looks) = (Vec::new(), 0);
    let refused = loop {
        let mut client = None;
        let ended = bench.run(
            async {
                match server.accept().await {
                    Ok(mut channel) => {
                        assert_eq!(channel.read(&mut [0; 8]).await, Ok(0));
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            },
            || {
                // The nodes name the former channel until the server has shown the next.
                let named = bench.node("ring-ref");
                looks += 1;
                assert!(looks < 1000, "a page that somebody has mapped is shown again");
                let former = held.iter().any(|held: &Client| Some(held.control.gref().0) == named);
                let fresh = client.is_none();
                if fresh
                    && !former
                    && let Some(peer) = Client::connect(&bench)
                {
                    peer.control.store::<u8>(CLI_LIVE, 0);
                    peer.notify();
                    client = Some(peer);
                }
                fresh
            },
        );
        held.extend(client);
        if let Err(error) = ended {
            break error;
        }
        assert!(held.len() < 20);
    };
    // As many as there ever were at once, two rings' pages and the control page, and eight.
    assert_eq!(refused, ServerError::StillMapped(3 + SPARE));
    let pages = bench.pool.account().unwrap();
    assert_eq!((pages.in_use, pages.quarantined, pages.total), (2, 3 + SPARE, 5 + SPARE));
    held.clear();
    heals(&bench, &mut server);
    let pages = bench.pool.account().unwrap();
    assert_eq!(
        (pages.in_use, pages.free, pages.quarantined),
        (2, 1, 0),
        "and no more are kept than are needed"
    );
}

#[test]
fn d07_what_a_client_wrote_before_it_left_is_read() {
    let bench = Bench::new();
    let mut server = bench.server(sizes(12, 12), 0);
    let mut done = false;
    let read: Vec<u8> = bench.run(
        async {
            let mut channel = server.accept().await.unwrap();
            let (mut buffer, mut all) = ([0; 3], Vec::new());
            loop {
                match channel.read(&mut buffer).await.unwrap() {
                    0 => return all,
                    len => all.extend(&buffer[..len]),
                }
            }
        },
        || {
            if !done && let Some(mut client) = Client::connect(&bench) {
                client.write(b"hit and run");
                client.leave();
                done = true;
            }
            !done
        },
    );
    assert_eq!(read, b"hit and run");
}

#[test]
fn d08_conflicts_and_refusals_of_xenstore() {
    let bench = Bench::new();
    let mut server = bench.server(sizes(12, 12), 0);
    bench.sim.store().fail_commits(5);
    round(&bench, &mut server, b"in spite of conflicts", 1);
    bench.sim.store().refuse(|_, operation, _| (operation == "XS_WRITE").then_some("EACCES"));
    let error = bench.alone(async { server.accept().await.map(|_| ()) }).unwrap_err();
    assert!(matches!(error, ServerError::Store(_)), "{error}");
    bench.sim.store().refuse_nothing();
    heals(&bench, &mut server);
}

#[test]
fn d09_too_little_memory_is_said_and_everything_given_back() {
    let bench = Bench::with_memory(40);
    let free = xen::Memory::free_pages(&bench.sim.guest());
    let mut settings = bench.settings("push");
    settings.sizes = sizes(20, 20);
    let refused = Server::open(&bench.xen, &bench.pages(), settings);
    assert_eq!(refused.err(), Some(ServerError::OutOfPages));
    let pages = bench.pool.account().unwrap();
    assert_eq!((pages.in_use, pages.quarantined), (0, 0));
    assert_eq!(xen::Memory::free_pages(&bench.sim.guest()) + pages.total, free);
    assert_eq!(bench.sim.guest().granted().len(), pages.free);
}

#[test]
fn d10_an_accept_that_is_given_up_can_be_tried_again() {
    let bench = Bench::new();
    let mut server = bench.server(sizes(12, 12), 0);
    for steps in 0..12 {
        let accept = server.accept();
        let mut accept = std::pin::pin!(accept);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..steps {
            assert!(accept.as_mut().poll(&mut cx).is_pending());
            xen_sim::iterate(&bench.xen);
            bench.sim.run();
        }
    }
    heals(&bench, &mut server);
}

#[test]
fn d11_nothing_but_the_channel_can_be_read_by_the_client() {
    let bench = Bench::new();
    bench.sim.canary(b"a secret of the guest");
    let mut page = xen::Memory::alloc_page(&bench.sim.guest()).unwrap();
    page.bytes_mut()[..21].copy_from_slice(b"a secret of the guest");
    xen::Memory::free_page(&bench.sim.guest(), page);
    let mut server = bench.server(sizes(14, 14), 0);
    heals(&bench, &mut server);
    assert_eq!(bench.sim.leaks_to(support::DOM0), []);
}

#[test]
fn d12_paths_that_libxenvchan_would_cut_are_refused() {
    let longest = format!("/{}", "x".repeat(MAX_PATH_BYTES - 1));
    assert!(Path::new(&longest).is_ok());
    assert_eq!(Path::new(&format!("{longest}y")), Err(PathError::TooLong(50)));
    for bad in ["", "push", "/a/", "/a b", "/\u{e9}", "/a\0b"] {
        assert_eq!(Path::new(bad), Err(PathError::Malformed), "{bad:?}");
    }
    assert!(Path::usual(DomId(32_751), DomId(32_751), "12345678").is_ok());
}

#[test]
fn d13_sizes_that_do_not_fit_into_a_control_page_are_refused() {
    let fits = |left, right| Some(Sizes::new(Order::new(left)?, Order::new(right)?).is_some());
    assert_eq!(
        (fits(10, 10), fits(11, 11), fits(10, 11), fits(20, 20)),
        (Some(false), Some(false), Some(true), Some(true))
    );
    assert_eq!(
        (fits(10, 20), fits(11, 20), fits(10, 19)),
        (Some(false), Some(true), Some(true)),
        "1 MiB beside 1 KiB"
    );
    assert_eq!((fits(9, 12), fits(12, 21), fits(65_535, 12)), (None, None, None));
}

#[test]
fn a_bulk_transfer_needs_few_events() {
    let bench = Bench::new();
    let mut server = bench.server(sizes(16, 16), 0);
    round(&bench, &mut server, &pattern(1, 100_000), 9);
    let stats = server.stats();
    assert_eq!((stats.read_bytes.get(), stats.written_bytes.get()), (100_000, 100_000));
    assert!(stats.events < 150, "{} events for 67 pieces and their echo", stats.events);
}
