//! Reports about other TCP implementations.

#[path = "../../../net/tests/world/mod.rs"]
#[allow(unused_imports, reason = "each program uses a part")]
mod world;

use embedded_io_async::{Read, Write};
use net::{IpEndpoint, Net, TcpListener, TcpOptions, TcpStream};
use smoltcp::wire::{IpProtocol, TcpControl, TcpPacket};
use world::frames::{Tcp, parse_ipv4, parse_tcp, syn};
use world::{MS, Raw, SECOND, Wire, World, at, both, replies, target};

const PEER: u16 = 4000;

/// A connection that the test plays the peer of.
struct Peer {
    world: World,
    net: Net,
    raw: Raw,
    from: IpEndpoint,
    to: IpEndpoint,
    /// Our next sequence number, and the peer's.
    ours: i32,
    theirs: i32,
}

impl Peer {
    fn connected(options: TcpOptions) -> (Self, TcpListener, TcpStream) {
        let (mut world, net, raw) = target(|_| {});
        let listener = net.tcp_listen(80, options).unwrap();
        let (from, to) = (at(9, PEER), at(1, 80));
        let answer = replies(&mut world, &raw, syn(from, to, 1000));
        let (control, seq, ..) = parse_tcp(&answer[0]).unwrap();
        assert_eq!(control, TcpControl::Syn);
        let mut peer = Self { world, net, raw, from, to, ours: seq.wrapping_add(1), theirs: 1001 };
        peer.send(TcpControl::None, b"", 60_000);
        let (listener, stream) = peer.world.block_on(SECOND, async move {
            let stream = listener.accept().await;
            (listener, stream)
        });
        peer.raw.take();
        (peer, listener, stream)
    }

    /// Sends a segment with this window; its octets are new.
    fn send(&mut self, control: TcpControl, data: &[u8], window: u16) {
        self.send_at(self.theirs, control, data, window);
        let fin = i32::from(control == TcpControl::Fin);
        self.theirs = self.theirs.wrapping_add(data.len() as i32 + fin);
    }

    /// Sends a segment at any sequence number.
    fn send_at(&mut self, seq: i32, control: TcpControl, data: &[u8], window: u16) {
        let (from, to, ack) = (self.from, self.to, Some(self.ours));
        let mut frame = Tcp { from, to, control, seq, ack, data }.frame();
        let mut packet = TcpPacket::new_unchecked(&mut frame[34..]);
        packet.set_window_len(window);
        packet.fill_checksum(&from.addr, &to.addr);
        self.raw.send(frame);
        self.world.run(MS);
    }

    /// Segments that were sent since the last call: control, sequence number, acknowledgement, data, window.
    fn sent(&self) -> Vec<(TcpControl, i32, Option<i32>, Vec<u8>, u16)> {
        let frames = self.raw.take();
        let segments = frames.iter().filter_map(|frame| {
            let (control, seq, ack, data) = parse_tcp(frame)?;
            let packet = parse_ipv4(frame, IpProtocol::Tcp)?;
            Some((control, seq, ack, data, TcpPacket::new_checked(packet.payload()).ok()?.window_len()))
        });
        segments.collect()
    }

    fn write(&mut self, mut stream: TcpStream, bytes: Vec<u8>) -> TcpStream {
        self.world.block_on(SECOND, async move {
            stream.write_all(&bytes).await.unwrap();
            stream
        })
    }
}

/// Field: smoltcp-rs/smoltcp#199: the window was closed, and the application reads → the new window is told at once
#[test]
fn reading_tells_the_peer_of_an_opened_window() {
    let (mut peer, _listener, mut stream) = Peer::connected(TcpOptions { rx_buffer: 4096, ..TcpOptions::default() });
    let mut window = usize::MAX;
    let mut total = 0;
    for _ in 0..1000 {
        peer.send(TcpControl::Psh, &[7; 1400], 60_000);
        total += 1400;
        peer.world.run(500 * MS);
        if let Some(last) = peer.sent().last() {
            window = usize::from(last.4);
        }
        if window < 1400 {
            break;
        }
    }
    assert!(window < 1400, "{window} after {total} octets");
    let read = peer.world.block_on(SECOND, async move {
        let mut buffer = vec![0; total];
        stream.read_exact(&mut buffer).await.unwrap();
        (stream, buffer)
    });
    assert!(read.1.iter().all(|byte| *byte == 7));
    peer.world.run(10 * MS);
    let told = peer.sent();
    assert!(told.last().is_some_and(|update| update.4 >= 2800), "{told:?}");
}

/// Field: smoltcp-rs/smoltcp#62: acknowledgements of older data keep coming while a segment is lost → its timer is not restarted
#[test]
fn repeated_acks_do_not_put_off_a_retransmission() {
    let (mut peer, _listener, stream) = Peer::connected(TcpOptions::default());
    let ours = peer.ours;
    let _stream = peer.write(stream, vec![5; 200]);
    peer.world.run(MS);
    assert_eq!(peer.sent().len(), 1);
    // The same acknowledgement again and again, with another window each time: no duplicates that count.
    for round in 0..20 {
        peer.send(TcpControl::None, b"", 50_000 + round);
        peer.world.run(100 * MS);
    }
    let again = peer.sent().iter().filter(|segment| segment.1 == ours && segment.3.len() == 200).count();
    assert!(again >= 1, "nothing was sent again within two seconds");
}

/// Field: smoltcp-rs/smoltcp#518: a segment of a forgotten connection has a small window → no other connection takes it over
#[test]
fn a_stray_segment_changes_no_window_of_another_connection() {
    let (mut peer, _listener, stream) = Peer::connected(TcpOptions::default());
    let ours = peer.ours;
    let (from, to) = (at(9, PEER + 1), peer.to);
    let mut stray =
        Tcp { from, to, control: TcpControl::Fin, seq: 77, ack: Some(99), data: b"" }.frame();
    let mut packet = TcpPacket::new_unchecked(&mut stray[34..]);
    packet.set_window_len(63);
    packet.fill_checksum(&from.addr, &to.addr);
    let answer = replies(&mut peer.world, &peer.raw, stray);
    assert_eq!(parse_tcp(&answer[0]).unwrap().0, TcpControl::Rst);
    let _stream = peer.write(stream, vec![1; 1000]);
    peer.world.run(MS);
    let sent = peer.sent();
    assert_eq!(sent.iter().map(|segment| (segment.1, segment.3.len())).collect::<Vec<_>>(), [(ours, 1000)]);
}

/// Field: espressif/esp-idf#2425: both ends have written more than fits, and nobody reads → no acknowledgement answers another
#[test]
fn two_full_ends_do_not_storm_each_other() {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let options = TcpOptions { rx_buffer: 8192, tx_buffer: 8192, ..TcpOptions::default() };
    let listener = a.tcp_listen(80, options.clone()).unwrap();
    let client = b.clone();
    let (one, other) = world.block_on(SECOND, async move {
        let (opened, accepted) = both(client.tcp_connect(at(1, 80), options), listener.accept()).await;
        (opened.unwrap(), accepted)
    });
    for mut stream in [one, other] {
        world.spawn(async move {
            let _ = stream.write_all(&[3; 100_000]).await;
        });
    }
    world.run(5 * SECOND);
    let segments = || a.status().counters.rx_tcp.get() + b.status().counters.rx_tcp.get();
    let before = segments();
    world.run(60 * SECOND);
    let more = segments() - before;
    assert!(more < 100, "{more} segments in a minute");
    assert_eq!((a.status().connections, b.status().connections), (1, 1));
}

/// Field: zephyrproject-rtos/zephyr#7876, zephyrproject-rtos/zephyr#47966, tass-belgium/picotcp#126: the peer's window is closed → probes carry the next octet, and what waits goes out when it opens
#[test]
fn a_closed_window_is_probed_with_the_next_octet() {
    let (mut peer, _listener, stream) = Peer::connected(TcpOptions::default());
    let ours = peer.ours;
    peer.send(TcpControl::None, b"", 0);
    let _stream = peer.write(stream, vec![9; 100]);
    peer.world.run(20 * SECOND);
    let probes = peer.sent();
    assert!((2..10).contains(&probes.len()), "{} probes", probes.len());
    assert!(probes.iter().all(|probe| (probe.1, &probe.3[..]) == (ours, &[9][..])), "{probes:?}");
    // The update that opens it acknowledges nothing.
    peer.send(TcpControl::None, b"", 60_000);
    peer.world.run(SECOND);
    let sent: Vec<u8> = peer.sent().into_iter().flat_map(|segment| segment.3).collect();
    assert!(sent.len() >= 99, "{} octets within a second", sent.len());
}

/// Field: zephyrproject-rtos/zephyr#46407: our last acknowledgement was lost, and the peer repeats its FIN → it is acknowledged again
#[test]
fn a_repeated_fin_in_time_wait_is_acknowledged() {
    let (mut peer, _listener, stream) = Peer::connected(TcpOptions::default());
    drop(stream);
    peer.world.run(MS);
    peer.ours = peer.ours.wrapping_add(1);
    peer.send(TcpControl::Fin, b"", 60_000);
    peer.world.run(100 * MS);
    assert_eq!(peer.net.status().time_wait, 1);
    peer.sent();
    for _ in 0..3 {
        peer.send_at(peer.theirs.wrapping_sub(1), TcpControl::Fin, b"", 60_000);
        peer.world.run(SECOND);
        let sent = peer.sent();
        assert_eq!(sent.first().map(|segment| (segment.0, segment.2)), Some((TcpControl::None, Some(peer.theirs))));
    }
}

/// Field: zephyrproject-rtos/zephyr#44507, zephyrproject-rtos/zephyr#46350, ausimian/tricep#27: our FIN is lost → it is sent again, and the connection ends in order
#[test]
fn a_lost_fin_is_sent_again() {
    let (mut peer, _listener, stream) = Peer::connected(TcpOptions::default());
    let ours = peer.ours;
    drop(stream);
    peer.world.run(10 * SECOND);
    let fins = peer.sent();
    assert!(fins.len() >= 3, "{} FINs in ten seconds", fins.len());
    assert!(fins.iter().all(|fin| (fin.0, fin.1) == (TcpControl::Fin, ours)), "{fins:?}");
    peer.ours = ours.wrapping_add(1);
    peer.send(TcpControl::Fin, b"", 60_000);
    peer.world.run(100 * MS);
    assert_eq!((peer.net.status().connections, peer.net.status().time_wait), (0, 1));
}

/// Field: zephyrproject-rtos/zephyr#57509, zephyrproject-rtos/zephyr#61181: data is repeated after our FIN → it is read and acknowledged once, and our FIN is not repeated for it
#[test]
fn data_repeated_after_our_fin_counts_once() {
    let (mut peer, _listener, mut stream) = Peer::connected(TcpOptions::default());
    let closing = peer.world.spawn(async move {
        stream.close().await.unwrap();
        stream
    });
    peer.world.run(MS);
    peer.ours = peer.ours.wrapping_add(1);
    peer.send(TcpControl::None, b"", 60_000);
    let mut stream = peer.world.wait(SECOND, &closing);
    peer.sent();
    let first = peer.theirs;
    peer.send(TcpControl::Psh, &[4; 100], 60_000);
    for _ in 0..5 {
        peer.send_at(first, TcpControl::Psh, &[4; 100], 60_000);
        peer.world.run(300 * MS);
    }
    let sent = peer.sent();
    assert!(sent.iter().all(|segment| segment.0 != TcpControl::Fin && segment.2 == Some(first.wrapping_add(100))));
    peer.send(TcpControl::Fin, b"", 60_000);
    let got = peer.world.block_on(SECOND, async move {
        let (mut all, mut buffer) = (0, [0; 300]);
        while let Ok(len @ 1..) = stream.read(&mut buffer).await {
            all += len;
        }
        all
    });
    peer.world.run(100 * MS);
    assert_eq!((got, peer.net.status().connections), (100, 0));
}

/// Field: shadow/shadow#3573: both ends close at once → both FINs are acknowledged, and nothing is sent any more
#[test]
fn both_ends_may_close_at_once() {
    let (mut world, a, b) = World::pair(|_| {}, Wire { delay: 10 * MS, ..Wire::default() });
    let listener = a.tcp_listen(80, TcpOptions::default()).unwrap();
    let client = b.clone();
    let (one, other) = world.block_on(SECOND, async move {
        let connect = client.tcp_connect(at(1, 80), TcpOptions::default());
        let (opened, accepted) = both(connect, listener.accept()).await;
        (opened.unwrap(), accepted)
    });
    drop((one, other));
    world.run(5 * SECOND);
    let segments = || a.status().counters.rx_tcp.get() + b.status().counters.rx_tcp.get();
    let before = segments();
    world.run(300 * SECOND);
    assert_eq!(segments(), before);
    assert_eq!((a.status().connections, b.status().connections), (0, 0));
    assert_eq!((a.status().time_wait, b.status().time_wait), (0, 0));
}

/// Field: cloudius-systems/osv#889, mirage/mirage-tcpip#406: RST at the expected sequence number, and at once a SYN from the same port → it is admitted
#[test]
fn a_port_is_admitted_right_after_its_reset() {
    let (mut world, net, raw) = target(|_| {});
    let _listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let (from, to) = (at(9, PEER), at(1, 80));
    let mut seq = 1000;
    for round in 0..16 {
        raw.take();
        let answer = replies(&mut world, &raw, syn(from, to, seq));
        let (control, theirs, ack, _) = parse_tcp(&answer[0]).unwrap();
        assert_eq!((control, ack), (TcpControl::Syn, Some(seq.wrapping_add(1))), "round {round}");
        let ack = Some(theirs.wrapping_add(1));
        raw.send(Tcp { from, to, control: TcpControl::None, seq: seq + 1, ack, data: b"" }.frame());
        raw.send(Tcp { from, to, control: TcpControl::Rst, seq: seq + 1, ack, data: b"" }.frame());
        seq = seq.wrapping_add(0x1234_5677_u32.cast_signed());
    }
}
