//! The path between the receiver's TAP device and the sender's pipes, and one download over it.

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use smoltcp::phy::{Device as _, Medium, RxToken as _, TunTapInterface, TxToken as _, wait};
use smoltcp::time::Instant as Time;
use tap_tests::{DEVICE, ENGINE, LINUX, PORT, Wire, default_buffers, ip};

use crate::cells::Cell;
use crate::frames;
use crate::report::Side;
use crate::sender::{RECEIVER_MAC, SENDER_MAC};

/// However slow the host is.
const LIMIT: Duration = Duration::from_secs(300);
/// How often the pipe from the sender is looked at, at least.
const LOOK: Duration = Duration::from_micros(300);

/// The receiver's device.
pub(crate) fn device() -> TunTapInterface {
    default_buffers();
    let device = TunTapInterface::new(DEVICE, Medium::Ethernet).expect("a TAP device");
    let (ours, theirs) = (Ipv4Addr::from(LINUX), Ipv4Addr::from(ENGINE));
    ip(&format!("link set {DEVICE} address {RECEIVER_MAC}"));
    ip(&format!("addr add {ours}/24 dev {DEVICE}"));
    ip(&format!("link set {DEVICE} up"));
    ip(&format!("neigh replace {theirs} lladdr {SENDER_MAC} nud permanent dev {DEVICE}"));
    device
}

/// Bytes a second of one download.
pub(crate) fn download(device: &mut TunTapInterface, cell: &Cell, side: Side, seed: u64) -> f64 {
    let bytes = cell.bytes();
    let mut child = start(side, bytes);
    let mut pipe = child.stdin.take().expect("a pipe");
    let frames = frames::reader(child.stdout.take().expect("a pipe"));
    assert_eq!(frames.recv_timeout(LIMIT).as_deref(), Ok(&[][..]), "the sender did not start");
    let begun = Instant::now();
    let receiver = thread::spawn(move || {
        let mut stream = TcpStream::connect((Ipv4Addr::from(ENGINE), PORT)).expect("a connection");
        let (mut buffer, mut got) = (vec![0; 1 << 16], 0);
        while let len @ 1.. = stream.read(&mut buffer).expect("the sender's bytes") {
            got += len;
        }
        assert_eq!(got, bytes, "the download ended early");
        begun.elapsed()
    });
    let (there, back) = cell.links();
    relay(device, [Wire::new(there, seed), Wire::new(back, seed + 1)], &frames, &mut pipe, &receiver);
    let took = receiver.join().expect("the download");
    // The engine ends with its pipe, and says what it has counted.
    drop(pipe);
    if side == Side::Linux {
        _ = child.kill();
    }
    _ = child.wait();
    bytes as f64 / took.as_secs_f64()
}

fn start(side: Side, bytes: usize) -> Child {
    let program = std::env::current_exe().expect("a program knows its own path");
    let mut command = match side {
        Side::Ours => Command::new(program),
        Side::Linux => {
            let mut command = Command::new("unshare");
            command.args(["--net", "--"]).arg(program);
            command
        }
    };
    let word = if side == Side::Ours { "engine" } else { "linux" };
    command.args([word, &bytes.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("the sender")
}

/// Carries frames until the receiver has everything.
fn relay(
    device: &mut TunTapInterface,
    [mut there, mut back]: [Wire; 2],
    frames: &Receiver<Vec<u8>>,
    pipe: &mut ChildStdin,
    receiver: &JoinHandle<Duration>,
) {
    let begun = Instant::now();
    while !receiver.is_finished() {
        assert!(begun.elapsed() < LIMIT, "not over after {LIMIT:?}");
        let now = Instant::now();
        while let Some((token, _)) = device.receive(Time::ZERO) {
            token.consume(|frame| back.put(frame.to_vec(), now));
        }
        frames.try_iter().for_each(|frame| there.put(frame, now));
        while let Some(frame) = back.take(now) {
            // A sender that has ended has sent everything.
            _ = frames::write(pipe, &frame);
        }
        while let Some(frame) = there.take(now) {
            let token = device.transmit(Time::ZERO).expect("a TAP device takes every frame");
            token.consume(frame.len(), |room| room.copy_from_slice(&frame));
        }
        let next = [there.next(), back.next()].into_iter().flatten().min();
        let pause = next.map_or(LOOK, |at| at.saturating_duration_since(now)).min(LOOK);
        let pause = smoltcp::time::Duration::from_micros(pause.as_micros() as u64);
        wait(device.as_raw_fd(), Some(pause)).expect("the device can be waited for");
    }
}
