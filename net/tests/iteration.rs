//! One iteration: received frames, the tasks' work, sent frames.

mod world;

use embedded_io_async::{Read, Write};
use net::TcpOptions;
use smoltcp::wire::{ArpOperation, TcpControl};
use world::frames::{Tcp, arp, parse_tcp, syn};
use world::{MS, SECOND, World, at, ip};

#[test]
fn a_reply_leaves_in_the_turn_that_brought_the_request() {
    let (mut world, net, raw) = World::single(|_| {});
    raw.send(arp(ArpOperation::Request, ip(9), ip(1)));
    let listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    world.spawn(async move {
        let mut stream = listener.accept().await;
        let mut request = [0; 16];
        while let Ok(1..) = stream.read(&mut request).await {
            stream.write_all(b"pong").await.unwrap();
        }
    });
    let (from, to) = (at(9, 4000), at(1, 80));
    raw.send(syn(from, to, 99));
    world.run(MS);
    let (_, seq, _, _) = raw.take().iter().find_map(|frame| parse_tcp(frame)).unwrap();
    let ours = seq.wrapping_add(1);
    let segment = |data| Tcp { from, to, control: TcpControl::Psh, seq: 100, ack: Some(ours), data }.frame();
    raw.send(segment(b""));
    world.run(SECOND);
    raw.take();
    let iterations = net.status().counters.iterations.get();

    raw.send(segment(b"ping"));
    let now = world.time();
    assert!(!world.stacks[0].receive(now), "nothing more to take");
    assert!(world.poll_tasks(), "the request has woken the task");
    assert!(!world.stacks[0].send().more, "nothing is left for another turn");
    let sent: Vec<_> = raw.take().iter().filter_map(|frame| parse_tcp(frame)).collect();
    assert_eq!(sent.len(), 1, "one segment for data and acknowledgement: {sent:?}");
    assert_eq!((sent[0].2, sent[0].3.as_slice()), (Some(104), b"pong".as_slice()));
    assert_eq!(net.status().counters.iterations.get(), iterations.wrapping_add(1));
}
