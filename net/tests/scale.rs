//! Ten thousand connections: a request must not pay for those that are idle.

mod world;

use embedded_io_async::{Read, Write};
use net::{Net, TcpOptions, TcpStream};
use world::{SECOND, Wire, World, at};

fn options() -> TcpOptions {
    TcpOptions { rx_buffer: 512, tx_buffer: 512, backlog: 512, ..TcpOptions::default() }
}

async fn serve(net: Net, count: usize) -> Vec<TcpStream> {
    let listener = net.tcp_listen(80, options()).unwrap();
    let mut held = Vec::new();
    while held.len() < count {
        held.push(listener.accept().await);
    }
    held
}

async fn connect(net: Net, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    while held.len() < count {
        held.push(net.tcp_connect(at(2, 80), options()).await.unwrap());
    }
    held
}

/// Socket visits and iterations for each of 200 transactions beside `idle` connections.
fn cost(idle: usize) -> (u64, u64) {
    let many = |config: &mut net::Config| {
        config.limits.connections = 20_000;
        config.limits.connections_per_source = 20_000;
    };
    let (mut world, a, b) = World::pair(many, Wire::default());
    let servers = world.spawn(serve(b.clone(), idle + 1));
    let clients = world.block_on(3600 * SECOND, connect(a.clone(), idle + 1));
    let mut servers = world.wait(SECOND, &servers);
    world.run(10 * SECOND);
    let before = world.iterations;
    world.run(100 * SECOND);
    assert!(
        world.iterations - before < 20,
        "idle connections have no timers: {} iterations",
        world.iterations - before
    );
    let mut clients = clients;
    let (mut client, mut server) = (clients.pop().unwrap(), servers.pop().unwrap());
    assert_eq!(client.local(), server.peer());
    let visits =
        |a: &Net, b: &Net| a.status().counters.socket_visits.get() + b.status().counters.socket_visits.get();
    let (before, iterations) = (visits(&a, &b), world.iterations);
    world.spawn(async move {
        let mut request = [0; 100];
        while server.read_exact(&mut request).await.is_ok() {
            server.write_all(&[7; 200]).await.unwrap();
        }
    });
    world.block_on(600 * SECOND, async move {
        for _ in 0..200 {
            client.write_all(&[1; 100]).await.unwrap();
            client.read_exact(&mut [0; 200]).await.unwrap();
        }
    });
    let cost = ((visits(&a, &b) - before) / 200, (world.iterations - iterations) / 200);
    drop((clients, servers));
    cost
}

#[test]
fn a_transaction_costs_the_same_beside_10_000_idle_ones() {
    let (few, many) = (cost(10), cost(10_000));
    assert_eq!(few, many, "sockets looked at and iterations, for each transaction");
    assert!(few.0 < 20, "{few:?}");
}
