//! Memory of a flood comes back: the stack's own tables shrink when the connections are gone.

mod world;

use std::alloc::System;

use net::{TcpOptions, TcpStream};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use world::{SECOND, Wire, World, at};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

async fn connect(net: net::Net, count: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    while all.len() < count {
        match net.tcp_connect(at(1, 80), TcpOptions::default()).await {
            Ok(s) => all.push(s),
            Err(e) => panic!("{} {e} {:?}", all.len(), net.status()),
        }
    }
    all
}

#[test]
fn tables_shrink_when_the_connections_are_gone() {
    let (mut world, a, b) = World::pair(
        |config| {
            config.limits = net::Limits::for_memory(4 << 20);
            config.ledger = ledger::Ledger::new(4 << 20);
        },
        Wire::default(),
    );
    let listener = a.tcp_listen(80, TcpOptions { backlog: 2000, ..TcpOptions::default() }).unwrap();
    world.spawn(async move {
        loop {
            let stream = listener.ready().await;
            // One that is ready again was reset.
            if stream.is_new() {
                stream.park();
            }
        }
    });
    let first = world.block_on(SECOND, connect(b.clone(), 1));
    world.run(SECOND);
    let base = live();
    let many = world.block_on(60 * SECOND, connect(b.clone(), 400));
    eprintln!("full {}", live() - base);
    for mut stream in many {
        stream.abort();
    }
    world.run(200 * SECOND);
    eprintln!("connections {} {}", a.status().connections, b.status().connections);
    eprintln!("left {}", live() as isize - base as isize);
    drop(first);
}
