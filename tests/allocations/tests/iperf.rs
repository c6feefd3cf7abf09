//! The iperf appliance: no large allocation ends it, whatever lengths and numbers its clients name.

extern crate alloc;
extern crate self as kernel;

#[path = "../../../net/tests/world/mod.rs"]
#[allow(unused_qualifications, reason = "shared with the tests of net")]
mod world;

mod guest;

// The appliance's files, but for the one that listens.
#[path = "../../../appliances/iperf/src/control.rs"]
mod control;
#[path = "../../../appliances/iperf/src/iperf2.rs"]
mod iperf2;
#[path = "../../../appliances/iperf/src/streams.rs"]
mod streams;

use allocation_tests::{NOTHING, fatal};
use control::Server;
use embedded_io_async::{Read as _, Write as _};
use guest::Guest;
use iperf::session::{COOKIE_LEN, PARAMS_MAX, State};
use net::{Net, NetError, TcpOptions, TcpStream, UdpOptions};
use std::rc::Rc;
use world::{MS, SECOND, at};

// What the appliance takes from the kernel.
pub(crate) use guest::System;
#[allow(clippy::single_component_path_imports, reason = "kernel::net is this crate's")]
pub(crate) use {log, net, xen};

const COOKIE: [u8; COOKIE_LEN] = [b'c'; COOKIE_LEN];
/// The client's results: the server skips them.
const RESULTS: &[u8] = &[b' '; 20_000];
/// The greeting of a stream of datagrams.
const HELLO: [u8; 4] = [0x39, 0x38, 0x37, 0x36];

/// The appliance's `main.rs`, which is of the guest's target alone.
async fn serve(system: System, net: Net) {
    let bulk = || TcpOptions { rx_buffer: 256 * 1024, tx_buffer: 256 * 1024, ..TcpOptions::default() };
    let socket = |port| net.udp_bind(port, UdpOptions::default()).unwrap();
    let listener = net.tcp_listen(5201, bulk()).unwrap();
    let old = net.tcp_listen(5001, bulk()).unwrap();
    system.spawn(iperf2::datagrams(system.clone(), socket(5001)));
    let inner = system.clone();
    system.spawn(async move {
        loop {
            inner.spawn(iperf2::connection(inner.clone(), old.accept().await));
        }
    });
    let server = Rc::new(Server::new(&system, socket(5201)));
    loop {
        let (server, stream) = (Rc::clone(&server), listener.accept().await);
        system.spawn(async move { server.connection(stream).await });
    }
}

fn start(guest: &mut Guest) {
    let (system, net) = (guest.system.clone(), guest.server.clone());
    guest.start(serve(system, net));
}

async fn byte(stream: &mut TcpStream) -> Result<u8, NetError> {
    let mut byte = [0];
    if stream.read(&mut byte).await? == 0 { Err(NetError::Closed) } else { Ok(byte[0]) }
}

/// Waits for a state; `false`: there is another.
async fn is_next(stream: &mut TcpStream, state: State) -> Result<bool, NetError> {
    Ok(byte(stream).await? == state.byte())
}

/// What a client of iperf3 says.
struct Says {
    /// The length of the parameters, if it is not theirs.
    len: Option<u32>,
    params: String,
    /// Connections, or streams of datagrams.
    streams: u32,
    udp: bool,
}

impl Says {
    fn params(params: &str) -> Self {
        Self { len: None, params: params.to_owned(), streams: 0, udp: false }
    }
}

/// A test of iperf3 from its cookie to its results; how many bytes these have. 0: it was refused.
async fn session(net: Net, says: Says) -> Result<usize, NetError> {
    let mut control = net.tcp_connect(at(2, 5201), TcpOptions::default()).await?;
    control.write_all(&COOKIE).await?;
    if !is_next(&mut control, State::ParamExchange).await? {
        return Ok(0);
    }
    let len = says.len.unwrap_or(says.params.len().try_into().unwrap());
    control.write_all(&[&len.to_be_bytes()[..], says.params.as_bytes()].concat()).await?;
    if !is_next(&mut control, State::CreateStreams).await? {
        return Ok(0);
    }
    let (mut streams, mut sockets) = (Vec::new(), Vec::new());
    for number in 0..says.streams {
        if says.udp {
            let socket = net.udp_bind(6000 + u16::try_from(number).unwrap(), UdpOptions::default())?;
            socket.send_to(&HELLO, at(2, 5201)).await?;
            sockets.push(socket);
        } else {
            let mut stream = net.tcp_connect(at(2, 5201), TcpOptions::default()).await?;
            stream.write_all(&COOKIE).await?;
            streams.push(stream);
        }
    }
    if !is_next(&mut control, State::TestStart).await? || !is_next(&mut control, State::TestRunning).await? {
        return Ok(0);
    }
    for stream in &mut streams {
        stream.write_all(&[7; 3000]).await?;
    }
    control.write_all(&[State::TestEnd.byte()]).await?;
    if !is_next(&mut control, State::ExchangeResults).await? {
        return Ok(0);
    }
    control.write_all(&u32::try_from(RESULTS.len()).unwrap().to_be_bytes()).await?;
    control.write_all(RESULTS).await?;
    let mut len = [0; 4];
    for place in &mut len {
        *place = byte(&mut control).await?;
    }
    let len = usize::try_from(u32::from_be_bytes(len)).unwrap();
    for _ in 0..len {
        byte(&mut control).await?;
    }
    Ok(if is_next(&mut control, State::DisplayResults).await? { len } else { 0 })
}

/// One client after the other; the length of the results of each. `None`: no memory for it.
fn clients(guest: &mut Guest, all: Vec<Says>) -> Vec<Option<usize>> {
    start(guest);
    let mut results = Vec::new();
    for says in all {
        let net = guest.client.clone();
        let client = guest.world.spawn(session(net, says));
        let result = guest.run(30 * SECOND, &client);
        results.push(result.and_then(Result::ok));
        // The next one may begin when this one is over.
        guest.world.run(500 * MS);
    }
    results
}

/// Searches under clients, of which those that `finishes` get results while no allocation fails.
fn search(test: &str, all: impl Fn() -> Vec<Says>, finishes: bool) {
    let found = fatal(test, Guest::new, |guest| {
        clients(guest, all());
    });
    assert_eq!(found, NOTHING);
    let results = clients(&mut Guest::new(), all());
    let expected = |result: &Option<usize>| result.is_some_and(|len| len > 0) == finishes;
    assert!(results.iter().all(expected), "{results:?}");
}

#[test]
fn lengths_that_a_client_names_never_end_the_process() {
    let all = || {
        let json = |len, params: &str| Says { len: Some(len), ..Says::params(params) };
        let nested = format!("{{\"title\":{}", "[".repeat(PARAMS_MAX - 20));
        let key = format!("{{\"\\u0041{}\":1,}}", "k".repeat(PARAMS_MAX - 20));
        vec![
            json(4_000_000_000, ""),
            json(64 * 1024, "{}"),
            Says::params(r#"{"udp":true,"reverse":true,"len":4000000000}"#),
            Says::params(r#"{"tcp":true,"parallel":4000000000}"#),
            Says::params(&nested),
            Says::params(&key),
        ]
    };
    search("lengths_that_a_client_names_never_end_the_process", all, false);
}

#[test]
fn the_largest_tests_never_end_the_process() {
    let all = || {
        let tcp = r#"{"tcp":true,"parallel":64,"len":4000000000,"time":1}"#;
        let udp = r#"{"udp":true,"reverse":true,"parallel":16,"len":65507,"bandwidth":1000,"time":1}"#;
        vec![
            Says { streams: 64, ..Says::params(tcp) },
            Says { streams: 16, udp: true, ..Says::params(udp) },
            Says {
                streams: 3,
                udp: true,
                ..Says::params(r#"{"udp":true,"parallel":3,"len":1000,"time":1}"#)
            },
        ]
    };
    search("the_largest_tests_never_end_the_process", all, true);
}

#[test]
fn clients_of_iperf_2_never_end_the_process() {
    let client = |net: Net| async move {
        let socket = net.udp_bind(6000, UdpOptions::default())?;
        let mut stream = net.tcp_connect(at(2, 5001), TcpOptions::default()).await?;
        stream.write_all(&[7; 100_000]).await?;
        socket.send_to(&[0; 1400], at(2, 5001)).await?;
        socket.send_to(&[0xff; 1400], at(2, 5001)).await?;
        let mut report = [0; 1500];
        let (len, _) = socket.recv_from(&mut report).await?;
        stream.close().await?;
        Ok::<_, NetError>(len)
    };
    let run = move |guest: &mut Guest| {
        start(guest);
        let net = guest.client.clone();
        let client = guest.world.spawn(client(net));
        guest.run(30 * SECOND, &client)
    };
    let found = fatal("clients_of_iperf_2_never_end_the_process", Guest::new, |guest| {
        run(guest);
    });
    assert_eq!(found, NOTHING);
    let len = run(&mut Guest::new()).unwrap().unwrap();
    assert!(len >= 56, "a report of {len} bytes");
}
