//! DHCP against a server that the test plays, correct or not.

mod world;

use std::time::Duration;

use embedded_io_async::Read;
use net::{Addressing, DhcpStatus, Ipv4Address, Ipv4Cidr, Net};
use smoltcp::wire::TcpControl;
use smoltcp::wire::{
    ArpOperation, DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, IpEndpoint, IpProtocol, UdpPacket,
};
use world::frames::{Tcp, arp, parse_arp, parse_ipv4, parse_tcp, syn, udp};
use world::{MS, Raw, SECOND, World};

const ROUTER: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

struct Server {
    source: Ipv4Address,
    address: Ipv4Address,
    router: Ipv4Address,
    mask: Ipv4Address,
    lease: u32,
    deaf: bool,
    refuse: bool,
    extra: Vec<u8>,
    seen: Vec<(DhcpMessageType, Option<Vec<u8>>)>,
}

impl Server {
    fn new() -> Self {
        Self {
            source: ROUTER,
            address: Ipv4Address::new(10, 0, 2, 15),
            router: ROUTER,
            mask: Ipv4Address::new(255, 255, 255, 0),
            lease: 3600,
            deaf: false,
            refuse: false,
            extra: vec![],
            seen: vec![],
        }
    }

    fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        if let Some((from, ROUTER)) = parse_arp(frame) {
            return Some(arp(ArpOperation::Reply, ROUTER, from));
        }
        // Nothing but DHCP is UDP here; a SYN is left without answer.
        let packet = parse_ipv4(frame, IpProtocol::Udp)?;
        let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
        assert_eq!((datagram.src_port(), datagram.dst_port()), (68, 67));
        let message = DhcpPacket::new_checked(datagram.payload()).unwrap();
        let ask = DhcpRepr::parse(&message).unwrap();
        let name = message.options().find(|option| option.kind == 12).map(|option| option.data.to_vec());
        self.seen.push((ask.message_type, name));
        if self.deaf {
            return None;
        }
        let message_type = match ask.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            _ if self.refuse => DhcpMessageType::Nak,
            _ => DhcpMessageType::Ack,
        };
        let options = [DhcpOption { kind: 3, data: &self.extra }];
        let reply = DhcpRepr {
            message_type,
            transaction_id: ask.transaction_id,
            secs: 0,
            client_hardware_address: ask.client_hardware_address,
            client_ip: Ipv4Address::UNSPECIFIED,
            your_ip: self.address,
            server_ip: self.source,
            router: self.extra.is_empty().then_some(self.router),
            subnet_mask: Some(self.mask),
            relay_agent_ip: Ipv4Address::UNSPECIFIED,
            broadcast: false,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(ROUTER),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: Some(self.lease),
            renew_duration: None,
            rebind_duration: None,
            additional_options: if self.extra.is_empty() { &[] } else { &options },
        };
        let mut bytes = vec![0; reply.buffer_len()];
        reply.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).unwrap();
        let end = |address: Ipv4Address, port| IpEndpoint::new(address.into(), port);
        Some(udp(end(self.source, 67), end(self.address, 68), &bytes))
    }

    /// Runs the world for `span` ns and answers everything.
    fn serve(&mut self, world: &mut World, raw: &Raw, span: u64) {
        let end = world.now.get() + span;
        while world.now.get() < end {
            world.run((end - world.now.get()).min(100 * MS));
            for frame in raw.take() {
                self.answer(&frame).into_iter().for_each(|reply| raw.send(reply));
            }
        }
    }

    fn count(&self, kind: DhcpMessageType) -> usize {
        self.seen.iter().filter(|(seen, _)| *seen == kind).count()
    }
}

fn client() -> (World, Net, Raw, Server) {
    let (world, net, raw) = World::single(|config| config.addressing = Addressing::Dhcp);
    (world, net, raw, Server::new())
}

fn address(net: &Net) -> Option<Ipv4Cidr> {
    net.status().address
}

#[test]
fn a_lease_is_taken_and_renewed_while_the_server_lives() {
    let (mut world, net, raw, mut server) = client();
    let waiting = net.clone();
    let configured = world.spawn(async move { waiting.configured().await });
    server.serve(&mut world, &raw, SECOND);
    assert!(configured.done());
    let status = net.status();
    assert_eq!(status.address, Some(Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, 15), 24)));
    assert_eq!((status.gateway, status.counters.announced.get()), (Some(ROUTER), 1));
    let DhcpStatus::Bound { server: from, lease, expires_in } = status.dhcp else {
        panic!("{:?}", status.dhcp)
    };
    assert_eq!((from, lease), (ROUTER, Duration::from_secs(3600)));
    assert!(expires_in > Duration::from_secs(3598));
    assert!(server.seen.iter().all(|(_, name)| name.as_deref() == Some(b"guest")), "{:?}", server.seen);
    server.serve(&mut world, &raw, 5 * 3600 * SECOND);
    let counters = net.status().counters;
    assert_eq!((counters.dhcp_bound.get(), counters.dhcp_lost.get(), counters.announced.get()), (1, 0, 2));
    assert!(counters.dhcp_renewed.get() >= 9, "{counters:?}");
    assert_eq!(server.count(DhcpMessageType::Discover), 1);
}

#[test]
fn a_lease_that_is_not_renewed_is_lost_and_replaced() {
    let (mut world, net, raw, mut server) = client();
    server.serve(&mut world, &raw, SECOND);
    server.deaf = true;
    server.serve(&mut world, &raw, 3590 * SECOND);
    assert!(address(&net).is_some(), "not before its time");
    server.serve(&mut world, &raw, 20 * SECOND);
    assert_eq!((address(&net), net.status().dhcp), (None, DhcpStatus::Discovering));
    assert_eq!((net.status().counters.dhcp_lost.get(), net.status().gateway), (1, None));
    server.deaf = false;
    server.address = Ipv4Address::new(10, 0, 2, 16);
    server.serve(&mut world, &raw, 5 * SECOND);
    assert_eq!(address(&net), Some(Ipv4Cidr::new(server.address, 24)));
}

#[test]
fn connections_end_with_the_address_that_they_were_bound_to() {
    let (mut world, net, raw, mut server) = client();
    server.serve(&mut world, &raw, SECOND);
    let listener = net.tcp_listen(80, net::TcpOptions::default()).unwrap();
    let (from, to) = (IpEndpoint::new(ROUTER.into(), 4000), IpEndpoint::new(server.address.into(), 80));
    raw.send(arp(ArpOperation::Request, ROUTER, server.address));
    raw.send(syn(from, to, 1));
    world.run(MS);
    let seq = raw.take().iter().find_map(|frame| parse_tcp(frame)).unwrap().1;
    let ack = Tcp { from, to, control: TcpControl::None, seq: 2, ack: Some(seq.wrapping_add(1)), data: &[] };
    raw.send(ack.frame());
    let result = world.spawn(async move { listener.accept().await.read(&mut [0; 1]).await });
    server.refuse = true;
    server.serve(&mut world, &raw, 1900 * SECOND);
    assert_eq!(result.take(), Some(Err(net::NetError::AddressLost)));
    assert_eq!(net.status().connections, 0);
}

#[test]
fn a_refused_renewal_takes_the_address_away() {
    let (mut world, net, raw, mut server) = client();
    server.serve(&mut world, &raw, SECOND);
    server.refuse = true;
    server.serve(&mut world, &raw, 1900 * SECOND);
    assert_eq!((address(&net), net.status().counters.dhcp_lost.get()), (None, 1));
}

#[test]
fn a_new_link_keeps_the_address_until_the_lease_ends() {
    let (mut world, net, raw, mut server) = client();
    server.serve(&mut world, &raw, SECOND);
    let switches = world.stacks[0].nic().switches.clone();
    switches.generation.set(2);
    server.deaf = true;
    server.serve(&mut world, &raw, 3000 * SECOND);
    // Five messages in the first minute, then one each 64 s.
    assert!((45..60).contains(&server.count(DhcpMessageType::Discover)), "{}", server.seen.len());
    assert!(address(&net).is_some());
    // Twice for the new link; its first came before the second of the old one.
    assert_eq!(net.status().counters.announced.get(), 3);
    server.serve(&mut world, &raw, 700 * SECOND);
    assert_eq!((address(&net), net.status().counters.dhcp_lost.get()), (None, 1));
}

#[test]
fn a_new_link_in_another_network_gets_another_address() {
    let (mut world, net, raw, mut server) = client();
    server.serve(&mut world, &raw, SECOND);
    world.stacks[0].nic().switches.generation.set(2);
    server.address = Ipv4Address::new(10, 0, 2, 99);
    server.serve(&mut world, &raw, 3 * SECOND);
    assert_eq!(address(&net), Some(Ipv4Cidr::new(server.address, 24)));
    assert_eq!((net.status().counters.dhcp_bound.get(), net.status().counters.dhcp_lost.get()), (2, 0));
}

#[test]
fn the_same_lease_after_a_new_link_changes_nothing() {
    let (mut world, net, raw, mut server) = client();
    server.serve(&mut world, &raw, SECOND);
    world.stacks[0].nic().switches.generation.set(2);
    server.serve(&mut world, &raw, 3 * SECOND);
    let counters = net.status().counters;
    assert_eq!((counters.dhcp_bound.get(), counters.dhcp_renewed.get(), counters.dhcp_lost.get()), (1, 1, 0));
}

#[test]
fn a_rogue_server_can_name_nothing_that_breaks_the_stack() {
    let bad = [
        [0, 0, 0, 0],
        [255, 255, 255, 255],
        [224, 0, 0, 1],
        [10, 0, 2, 15],
        [192, 168, 7, 7],
        [10, 0, 2, 255],
    ];
    for router in bad.map(Ipv4Address::from) {
        let (mut world, net, raw, mut server) = client();
        server.router = router;
        server.serve(&mut world, &raw, SECOND);
        assert_eq!((address(&net).is_some(), net.status().gateway), (true, None), "router {router}");
        let far = IpEndpoint::new(Ipv4Address::new(8, 8, 8, 8).into(), 53);
        let socket = net.udp_bind(0, net::UdpOptions::default()).unwrap();
        let result = world.block_on(SECOND, async move { socket.send_to(b"x", far).await });
        assert_eq!(result, Err(net::NetError::NoRoute));
        server.serve(&mut world, &raw, 2000 * SECOND);
    }
    for source in [Ipv4Address::UNSPECIFIED, Ipv4Address::BROADCAST, Ipv4Address::LOCALHOST] {
        let (mut world, net, raw, mut server) = client();
        server.source = source;
        // Past the renewal, which goes to the server's address.
        server.serve(&mut world, &raw, 2000 * SECOND);
        assert_eq!(address(&net), None, "server {source}");
    }
    for offered in [[10, 0, 2, 255], [10, 0, 2, 0], [127, 0, 0, 1]].map(Ipv4Address::from) {
        let (mut world, net, raw, mut server) = client();
        server.address = offered;
        server.serve(&mut world, &raw, 10 * SECOND);
        assert_eq!(address(&net), None, "offered {offered}");
    }
    let (mut world, net, raw, mut server) = client();
    server.lease = 0;
    server.serve(&mut world, &raw, 10 * SECOND);
    assert!(server.seen.len() < 1000, "{} messages for a lease of no time", server.seen.len());
    drop(net);
}

#[test]
fn the_first_of_several_routers_is_taken() {
    let (mut world, net, raw, mut server) = client();
    server.extra = [ROUTER.octets(), [10, 0, 2, 3]].concat();
    server.serve(&mut world, &raw, SECOND);
    assert_eq!(net.status().gateway, Some(ROUTER));
}
