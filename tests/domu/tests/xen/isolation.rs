//! Nothing leaves the machine: frames for absent guests and connections of guests do not reach the host's network.
//!
//! ```text
//!   guest ── vif ── dom0's bridge ──┬── eth0 (unicast_flood=0) ── QEMU's user network (restrict=on) ─╳─ host
//!                                   │
//!                        no port has the MAC address: dropped here
//! ```

use bed::run_test;
use domu_tests::capture::{Capture, is_for};
use domu_tests::guest::config;
use domu_tests::{BOOT, Outcome};
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};

/// The MAC address of a guest that does not exist, and QEMU's router.
const ABSENT: [u8; 6] = [0x00, 0x16, 0x3e, 0x00, 0x00, 0x77];
const ROUTER: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];

#[test]
fn nothing_leaves_the_machine() {
    run_test("nothing_leaves_the_machine", |bed| -> Outcome {
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        let capture = Capture::start(bed)?;

        // Without `restrict=on` QEMU connects 10.0.2.2 to the host's 127.0.0.1.
        let dial = format!("app.do=talk app.peer=10.0.2.2:{} app.bytes=1", tcp.local_addr()?.port());
        let guest = bed.create(&config("probe", "dials-out", &dial)?)?;
        guest.wait_for("Test result: FAILURE: connecting", BOOT)?;
        let datagram = format!("echo out | nc -u -w 1 10.0.2.2 {}", udp.local_addr()?.port());
        bed.dom0(&datagram)?;

        // A frame for a guest that does not exist stays on the bridge; the next one on the same path arrives.
        let absent = "arp -i xenbr0 -s 10.0.2.77 00:16:3e:00:00:77 && ping -c 3 -W 1 10.0.2.77";
        let output = bed.dom0(absent)?;
        assert!(output.stdout.contains("3 packets transmitted, 0 packets received"), "{output:?}");
        let router = bed.dom0("ping -c 1 -W 20 10.0.2.2")?;
        assert!(router.success(), "{router:?}");

        assert!(capture.count(|frame| is_for(frame, ROUTER))? > 0, "the capture has no frame for the router");
        assert_eq!(capture.count(|frame| is_for(frame, ABSENT))?, 0, "the bridge flooded to eth0");
        assert_eq!(
            tcp.accept().unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "a guest reached the host by TCP"
        );
        let received = udp.recv(&mut [0; 16]);
        assert_eq!(received.unwrap_err().kind(), ErrorKind::WouldBlock, "dom0 reached the host by UDP");
        Ok(())
    });
}
