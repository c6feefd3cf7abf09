//! The echo appliance as its README shows it: no large allocation ends it, whoever its clients are.

extern crate self as kernel;

#[path = "../../../net/tests/world/mod.rs"]
#[allow(unused_qualifications, reason = "shared with the tests of net")]
mod world;

mod guest;

/// The appliance.
#[path = "../../../appliances/echo/src/main.rs"]
#[allow(unused_attributes, unused_extern_crates, reason = "its head is that of a program without std")]
mod echo;

use allocation_tests::{NOTHING, fatal};
use embedded_io_async::{Read as _, Write as _};
use guest::Guest;
use net::{Net, NetError, TcpOptions, UdpOptions};
use world::{SECOND, at};

// What the appliance takes from the kernel.
pub(crate) use guest::System;
#[allow(clippy::single_component_path_imports, reason = "kernel::net is this crate's")]
pub(crate) use {ledger, log, net};

/// In place of the kernel's: a function that runs the appliance.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        pub(crate) async fn main(system: kernel::System) {
            $main(system).await
        }
    };
}

/// In place of the kernel's.
#[macro_export]
macro_rules! note {
    () => {};
}

const BYTES: usize = 100_000;
const PIECE: &[u8] = &[7; 20_000];

/// Echoes over a connection, with a datagram before it; how many bytes came back, all of them right.
async fn client(net: Net) -> Result<usize, NetError> {
    let socket = net.udp_bind(9, UdpOptions::default())?;
    socket.send_to(&[7; 1400], at(2, 7)).await?;
    let mut stream = net.tcp_connect(at(2, 7), TcpOptions::default()).await?;
    let (mut got, mut buffer) = (0, [0; 1000]);
    for _ in 0..BYTES / PIECE.len() {
        stream.write_all(PIECE).await?;
        let end = got + PIECE.len();
        while got < end {
            let len = stream.read(&mut buffer).await?;
            if len == 0 {
                return Ok(got);
            }
            assert!(buffer[..len].iter().all(|byte| *byte == 7));
            got += len;
        }
    }
    stream.close().await?;
    Ok(got)
}

fn echoed(guest: &mut Guest) -> Option<Result<usize, NetError>> {
    let (system, net) = (guest.system.clone(), guest.client.clone());
    guest.start(echo::main(system));
    let client = guest.world.spawn(client(net));
    guest.run(60 * SECOND, &client)
}

#[test]
fn the_echo_appliance_never_ends_the_process() {
    let found = fatal("the_echo_appliance_never_ends_the_process", Guest::new, |guest| {
        // With an allocation that fails, the connection may end.
        let _ = echoed(guest);
    });
    assert_eq!(found, NOTHING);
    assert_eq!(echoed(&mut Guest::new()).unwrap().unwrap(), BYTES);
}
