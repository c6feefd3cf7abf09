//! Reports about other TCP implementations.

#[path = "../../../net/tests/world/mod.rs"]
#[allow(unused_imports, reason = "each program uses a part")]
mod world;

use std::rc::Rc;

use embedded_io_async::{Read, Write};
use net::{IpEndpoint, Net, TcpListener, TcpOptions, TcpStream};
use smoltcp::wire::{IpProtocol, TcpControl, TcpPacket};
use world::frames::{Tcp, parse_ipv4, parse_tcp, syn};
use world::{MS, Raw, SECOND, Wire, World, at, both, replies, target};

const PEER: u16 = 4000;

/// A segment: control, sequence number, acknowledgement, data, window.
type Sent = (TcpControl, i32, Option<i32>, Vec<u8>, u16);

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

    /// Segments that were sent since the last call.
    fn sent(&self) -> Vec<Sent> {
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
    let (mut peer, _listener, mut stream) =
        Peer::connected(TcpOptions { rx_buffer: 4096, ..TcpOptions::default() });
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
    let mut stray = Tcp { from, to, control: TcpControl::Fin, seq: 77, ack: Some(99), data: b"" }.frame();
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
        assert_eq!(
            sent.first().map(|segment| (segment.0, segment.2)),
            Some((TcpControl::None, Some(peer.theirs)))
        );
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
    assert!(
        sent.iter().all(|segment| segment.0 != TcpControl::Fin && segment.2 == Some(first.wrapping_add(100)))
    );
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

/// Field: cloudius-systems/osv#889, mirage/mirage#406: RST at the expected sequence number, and at once a SYN from the same port → it is admitted
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

/// Field: smoltcp-rs/smoltcp#398, microsoft/demikernel#1537, mirage/mirage-tcpip#489: FINs cross, and ours is lost → it is repeated as a FIN until it is acknowledged, and nothing stays
#[test]
fn fins_that_cross_are_repeated_until_acknowledged() {
    let (mut peer, _listener, stream) = Peer::connected(TcpOptions::default());
    let ours = peer.ours;
    drop(stream);
    // The peer has not seen our FIN.
    peer.send(TcpControl::Fin, b"", 60_000);
    peer.world.run(10 * SECOND);
    let sent = peer.sent();
    let fins = sent.iter().filter(|segment| (segment.0, segment.1) == (TcpControl::Fin, ours)).count();
    assert!(fins >= 3, "{sent:?}");
    peer.ours = ours.wrapping_add(1);
    peer.send(TcpControl::None, b"", 60_000);
    peer.world.run(100 * MS);
    assert_eq!((peer.net.status().connections, peer.net.status().time_wait), (0, 1));
    peer.world.run(100 * SECOND);
    assert_eq!(peer.net.status().time_wait, 0);
}

/// Field: smoltcp-rs/smoltcp#477: the peer has closed, and acknowledges data but not our FIN → the connection is not over
#[test]
fn the_last_ack_is_that_of_the_fin() {
    let (mut peer, _listener, stream) = Peer::connected(TcpOptions::default());
    peer.send(TcpControl::Fin, b"", 60_000);
    let stream = peer.write(stream, vec![1; 100]);
    drop(stream);
    peer.world.run(MS);
    peer.ours = peer.ours.wrapping_add(100);
    peer.send(TcpControl::None, b"", 60_000);
    peer.world.run(100 * MS);
    assert_eq!(peer.net.status().connections, 1);
    peer.ours = peer.ours.wrapping_add(1);
    peer.send(TcpControl::None, b"", 60_000);
    assert_eq!(peer.net.status().connections, 0);
}

/// Field: smoltcp-rs/smoltcp#112: a FIN arrives before the data that it follows → the end is read after the data
#[test]
fn a_fin_ahead_of_data_ends_after_it() {
    let (mut peer, _listener, mut stream) = Peer::connected(TcpOptions::default());
    let first = peer.theirs;
    peer.send_at(first.wrapping_add(5), TcpControl::Fin, b"", 60_000);
    let read = peer.world.spawn(async move {
        let mut all = vec![];
        let mut buffer = [0; 64];
        while let Ok(len @ 1..) = stream.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..len]);
        }
        all
    });
    peer.world.run(SECOND);
    assert!(!read.done());
    peer.send_at(first, TcpControl::Psh, b"hello", 60_000);
    // The FIN was not kept: it comes again.
    peer.send_at(first.wrapping_add(5), TcpControl::Fin, b"", 60_000);
    assert_eq!(peer.world.wait(SECOND, &read), b"hello");
}

/// Field: smoltcp-rs/smoltcp#851, smoltcp-rs/smoltcp#1058, tass-belgium/picotcp#53: half-open connections are reset by their peer → each ends its own, and the listener has all of its room
#[test]
fn a_reset_ends_its_own_half_open_connection() {
    let (mut world, net, raw) = target(|_| {});
    let listener = net.tcp_listen(80, TcpOptions { backlog: 1, ..TcpOptions::default() }).unwrap();
    let to = at(1, 80);
    for port in 4000..4008 {
        replies(&mut world, &raw, syn(at(9, port), to, 1000));
    }
    for (left, port) in (0..8).rev().zip(4000..4008) {
        raw.send(
            Tcp { from: at(9, port), to, control: TcpControl::Rst, seq: 1001, ack: None, data: b"" }.frame(),
        );
        world.run(MS);
        assert_eq!(net.status().half_open, left);
    }
    assert!(raw.take().is_empty());
    let answer = replies(&mut world, &raw, syn(at(9, 5000), to, 1000));
    let (_, theirs, ..) = parse_tcp(&answer[0]).unwrap();
    let ack = Some(theirs.wrapping_add(1));
    raw.send(Tcp { from: at(9, 5000), to, control: TcpControl::None, seq: 1001, ack, data: b"" }.frame());
    let accepted = world.block_on(SECOND, async move { listener.accept().await });
    assert_eq!(accepted.peer(), at(9, 5000));
}

/// Field: FreeRTOS/FreeRTOS-Plus-TCP#700: a SYN to a port on which nobody listens → the reset acknowledges its sequence number and one
#[test]
fn a_refusal_acknowledges_the_syn() {
    let (mut world, _net, raw) = target(|_| {});
    for seq in [0, 1000, -1] {
        let answer = replies(&mut world, &raw, syn(at(9, PEER), at(1, 81), seq));
        assert_eq!(parse_tcp(&answer[0]).unwrap(), (TcpControl::Rst, 0, Some(seq.wrapping_add(1)), vec![]));
    }
}

/// Field: cloudius-systems/osv#283: more clients connect at once than the backlog holds, and send → nobody is reset, and all get in
#[test]
fn clients_beyond_the_backlog_are_not_reset() {
    all_get_in(12, 4, SECOND);
}

/// As many clients as `count` at a backlog of `backlog` are served by an application that begins to accept after `pause`.
fn all_get_in(count: usize, backlog: usize, pause: u64) {
    let (mut world, a, b) = World::pair(|_| {}, Wire::default());
    let listener = a.tcp_listen(80, TcpOptions { backlog, ..TcpOptions::default() }).unwrap();
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let net = b.clone();
            world.spawn(async move {
                let mut stream = net.tcp_connect(at(1, 80), TcpOptions::default()).await?;
                stream.write_all(b"hello").await?;
                let mut answer = [0; 5];
                stream.read_exact(&mut answer).await.map_err(|_| net::NetError::Reset)?;
                Ok::<_, net::NetError>(answer)
            })
        })
        .collect();
    world.run(pause);
    let listener = Rc::new(listener);
    for _ in 0..count {
        let listener = Rc::clone(&listener);
        world.spawn(async move {
            let mut stream = listener.accept().await;
            let mut bytes = [0; 5];
            if stream.read_exact(&mut bytes).await.is_ok() {
                let _ = stream.write_all(&bytes).await;
            }
        });
    }
    for client in clients {
        assert_eq!(world.wait(100 * SECOND, &client), Ok(*b"hello"));
    }
}

/// The same kind: the application pauses for longer than an unanswered handshake lives.
#[test]
fn clients_that_have_answered_wait_for_room() {
    all_get_in(20, 2, 30 * SECOND);
}

/// Field: contiki-ng/contiki-ng#1173: an urgent pointer that points behind its segment → the octets are read as they are
#[test]
fn an_urgent_pointer_beyond_the_data_is_harmless() {
    let (mut peer, _listener, mut stream) = Peer::connected(TcpOptions::default());
    for urgent in [1, 5, 6, 65_535] {
        let (from, to, seq, ack) = (peer.from, peer.to, peer.theirs, Some(peer.ours));
        let mut frame = Tcp { from, to, control: TcpControl::Psh, seq, ack, data: b"hello" }.frame();
        let mut packet = TcpPacket::new_unchecked(&mut frame[34..]);
        packet.set_urg(true);
        packet.set_urgent_at(urgent);
        packet.fill_checksum(&from.addr, &to.addr);
        peer.raw.send(frame);
        peer.theirs = peer.theirs.wrapping_add(5);
        let read = peer.world.block_on(SECOND, async move {
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.unwrap();
            (stream, bytes)
        });
        stream = read.0;
        assert_eq!(read.1, *b"hello", "{urgent}");
    }
}

/// Field: smoltcp-rs/smoltcp#1144: a SYN from 0.0.0.0, from a group, from everybody → no answer, and nothing is kept
#[test]
fn a_syn_from_nobody_is_not_answered() {
    let (mut world, net, raw) = target(|_| {});
    let _listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    for source in [[0, 0, 0, 0], [224, 0, 0, 1], [255, 255, 255, 255], [127, 0, 0, 1], [10, 0, 0, 255]] {
        let from = IpEndpoint::new(net::Ipv4Address::from(source).into(), PEER);
        assert!(replies(&mut world, &raw, syn(from, at(1, 80), 7)).is_empty(), "{source:?}");
        assert_eq!((net.status().half_open, net.status().connections), (0, 0), "{source:?}");
    }
}

/// Field: microsoft/demikernel#1116: a SYN carries data → the connection opens, and the octets are read once, when they come again
#[test]
fn data_of_a_syn_is_not_lost() {
    let (mut world, net, raw) = target(|_| {});
    let listener = net.tcp_listen(80, TcpOptions::default()).unwrap();
    let (from, to) = (at(9, PEER), at(1, 80));
    let early = Tcp { from, to, control: TcpControl::Syn, seq: 1000, ack: None, data: b"early" }.frame();
    let answer = replies(&mut world, &raw, early);
    let (control, theirs, ack, _) = parse_tcp(&answer[0]).unwrap();
    assert_eq!(control, TcpControl::Syn);
    let taken = ack.unwrap().wrapping_sub(1001);
    assert!(taken == 0 || taken == 5, "{taken}");
    let ack = Some(theirs.wrapping_add(1));
    let rest = &b"early bird"[taken as usize..];
    raw.send(Tcp { from, to, control: TcpControl::Psh, seq: 1001 + taken, ack, data: rest }.frame());
    let read = world.block_on(SECOND, async move {
        let mut stream = listener.accept().await;
        let mut bytes = [0; 10];
        stream.read_exact(&mut bytes).await.map(|()| bytes)
    });
    assert_eq!(read, Ok(*b"early bird"));
}

/// Field: FreeRTOS/FreeRTOS-Plus-TCP#1235, FDio/tldk#3, ausimian/tricep#97, google/gvisor#13165: resets beside the expected number → within the window a few challenges from our own numbers, beyond it nothing; the exact one ends it
#[test]
fn only_the_exact_reset_ends_a_connection() {
    let (mut peer, _listener, _stream) = Peer::connected(TcpOptions::default());
    let (ours, theirs) = (peer.ours, peer.theirs);
    for offset in [-1_000_000, -1, 200_000_000] {
        peer.send_at(theirs.wrapping_add(offset), TcpControl::Rst, b"", 60_000);
        assert!(peer.sent().is_empty(), "{offset}");
    }
    for round in 0..1000 {
        peer.send_at(theirs.wrapping_add(1 + round), TcpControl::Rst, b"", 60_000);
    }
    let challenges = peer.sent();
    assert!((1..200).contains(&challenges.len()), "{} challenges in a second", challenges.len());
    let expected = (TcpControl::None, ours, Some(theirs));
    assert!(challenges.iter().all(|ack| (ack.0, ack.1, ack.2) == expected && ack.3.is_empty()));
    assert_eq!(peer.net.status().connections, 1);
    peer.send_at(theirs, TcpControl::Rst, b"", 60_000);
    assert_eq!(peer.net.status().counters.reset.get(), 1);
    assert!(peer.sent().is_empty());
}
