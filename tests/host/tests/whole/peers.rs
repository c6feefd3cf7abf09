//! Two of our guests on one link, and their traffic.

use crate::guest::{Join, Os, run_until};
use crate::upper::{Network, network};
use net::{IpEndpoint, Ipv4Address, Net, NetError, TcpOptions, TcpStream, UdpOptions};
use netfront::{Config, Nic as _};
use xen::DomId;
use xen_sim::{GuestConfig, Netback, Sim, VifConfig};

/// Two guests, 10.0.0.1 and 10.0.0.2, connected by a link in dom0.
pub(crate) struct Pair {
    pub(crate) guests: [Os<Network>; 2],
    pub(crate) netbacks: [Netback; 2],
    pub(crate) sim: Sim,
}

pub(crate) fn at(last: u8, port: u16) -> IpEndpoint {
    IpEndpoint::new(Ipv4Address::new(10, 0, 0, last).into(), port)
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(VifConfig::default())
    }

    /// The first guest has this vif, the second a plain one.
    pub(crate) fn with(vif: VifConfig) -> Self {
        Self::with_config(vif, Config::default())
    }

    /// And the first guest's interface is configured so.
    pub(crate) fn with_config(vif: VifConfig, first: Config) -> Self {
        let sim = Sim::builder().memory_pages(2048).build();
        let config = GuestConfig { id: DomId(2), memory_pages: 2048, ..GuestConfig::default() };
        let (second, _console) = sim.add_guest(&config);
        let mac = [0, 0x16, 0x3e, 0, 0, 2];
        let netbacks = [sim.add_vif(vif), sim.add_vif_to(DomId(2), VifConfig::default().mac(mac))];
        sim.connect(&netbacks[0], &netbacks[1]);
        let mut guests =
            [Os::boot(sim.guest(), first, network(1)), Os::boot(second, Config::default(), network(2))];
        run_until(&sim, &mut guests, "both links are up", |guests| {
            guests.iter().all(|os| os.device().link_up())
        });
        Self { guests, netbacks, sim }
    }

    pub(crate) fn net(&self, index: usize) -> Net {
        self.guests[index].upper.net()
    }

    pub(crate) fn until(&mut self, what: &str, so: impl Fn(&[Os<Network>]) -> bool) {
        run_until(&self.sim, &mut self.guests, what, so);
    }

    /// The second guest echoes; the first one sends `len` bytes and expects them back.
    pub(crate) fn start_echo(&mut self, len: usize) -> Join<Result<Vec<u8>, NetError>> {
        let listener = self.net(1).tcp_listen(7, TcpOptions::default()).unwrap();
        self.guests[1].spawn(async move {
            loop {
                let stream = listener.accept().await;
                let _ = echo(stream).await;
            }
        });
        let net = self.net(0);
        self.guests[0].spawn(async move {
            let stream = net.tcp_connect(at(2, 7), TcpOptions::default()).await?;
            exchange(stream, len).await
        })
    }

    /// Ends an echo that was started, and compares.
    pub(crate) fn finish_echo(&mut self, join: &Join<Result<Vec<u8>, NetError>>, len: usize) {
        self.until("all bytes came back", |_| join.is_done());
        let got = join.take().expect("the connection holds");
        assert!(got == pattern(len), "{} bytes of {len} came back, or others", got.len());
    }
}

pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251 + at / 65_521) as u8).collect()
}

async fn echo(mut stream: TcpStream) -> Result<(), NetError> {
    loop {
        let data = stream.read_with(|bytes| (bytes.len(), bytes.to_vec())).await?;
        if data.is_empty() {
            return stream.close().await;
        }
        write_all(&mut stream, &data).await?;
    }
}

async fn write_all(stream: &mut TcpStream, mut data: &[u8]) -> Result<(), NetError> {
    while !data.is_empty() {
        let written = stream
            .write_with(|into| {
                let len = into.len().min(data.len());
                into[..len].copy_from_slice(&data[..len]);
                (len, len)
            })
            .await?;
        data = &data[written..];
    }
    Ok(())
}

/// Sends and receives in windows that the buffers in between can take.
async fn exchange(mut stream: TcpStream, len: usize) -> Result<Vec<u8>, NetError> {
    let (data, mut got) = (pattern(len), Vec::with_capacity(len));
    for chunk in data.chunks(16 * 1024) {
        write_all(&mut stream, chunk).await?;
        let end = got.len() + chunk.len();
        while got.len() < end {
            let more = stream.read_with(|bytes| (bytes.len(), bytes.to_vec())).await?;
            if more.is_empty() {
                return Err(NetError::Reset);
            }
            got.extend(more);
        }
    }
    stream.close().await?;
    Ok(got)
}

#[test]
fn a_tcp_stream_comes_back_byte_for_byte() {
    let len = if cfg!(miri) { 20_000 } else { 4 << 20 };
    for trusted in ["1", "0"] {
        let mut pair = Pair::with(VifConfig::default().trusted(Some(trusted)));
        let join = pair.start_echo(len);
        pair.finish_echo(&join, len);
        for os in &pair.guests {
            let stats = os.device().stats();
            assert_eq!(
                (stats.misbehaviour.total(), stats.rx.dropped.get(), stats.tx.refused.get()),
                (0, 0, 0)
            );
        }
    }
}

#[test]
fn a_datagram_of_every_size_comes_back() {
    let mut pair = Pair::new();
    let options = UdpOptions::default();
    let server = pair.net(1).udp_bind(7, options.clone()).unwrap();
    pair.guests[1].spawn(async move {
        let mut buffer = vec![0; 2000];
        loop {
            let (len, from) = server.recv_from(&mut buffer).await.unwrap();
            server.send_to(&buffer[..len], from).await.unwrap();
        }
    });
    let client = pair.net(0).udp_bind(9000, options).unwrap();
    let join = pair.guests[0].spawn(async move {
        let mut buffer = vec![0; 2000];
        for len in (0..=1472).step_by(if cfg!(miri) { 368 } else { 1 }) {
            client.send_to(&pattern(len), at(2, 7)).await.unwrap();
            let (got, _) = client.recv_from(&mut buffer).await.unwrap();
            assert_eq!(buffer[..got], pattern(len), "{len}");
        }
    });
    pair.until("all came back", |_| join.is_done());
}

#[test]
fn a_stream_lives_through_restarts_of_its_backend() {
    let len = 1 << 20;
    let mut pair = Pair::new();
    let join = pair.start_echo(len);
    for round in 1..=4 {
        let moved = pair.netbacks[0].stats().tx_frames + 10;
        let netback = pair.netbacks[0].clone();
        pair.until("some frames went", |_| netback.stats().tx_frames >= moved);
        assert!(!join.is_done());
        if round % 2 == 0 {
            netback.unload();
            pair.until("the link is down", |guests| !guests[0].device().link_up());
            netback.load();
        } else {
            netback.vanish();
            pair.until("the link is down", |guests| !guests[0].device().link_up());
            netback.return_as(DomId(10 + round));
        }
        pair.until("the link is up", |guests| guests[0].device().link_up());
    }
    pair.finish_echo(&join, len);
    assert_eq!(pair.guests[0].device().stats().link_generation, 5);
}
