//! The other end of the console ring.

use xen::console::Console;
use xen::hypervisor::{HvmParam, Hypervisor as _};
use xen::{EvtchnPort, Shared};
use xen_sim::{Guest, Sim};

fn booted(start: u32) -> (Sim, Guest, Console) {
    let machine = Sim::builder().memory_pages(32).ring_start(start).build();
    let guest = machine.guest();
    let port = EvtchnPort(guest.hvm_get_param(HvmParam::ConsoleEvtchn).unwrap() as u32);
    let ring: Shared<'static> = guest.console_ring();
    (machine, guest, Console::new(ring, port))
}

#[test]
fn what_the_guest_prints_is_collected() {
    for start in [0, u32::MAX - 3] {
        let (machine, guest, console) = booted(start);
        console.write(b"Millpond\n");
        console.pump(&guest);
        machine.run();
        assert!(machine.console().output().starts_with("Millpond"), "{:?}", machine.console().output());
    }
}

#[test]
fn a_daemon_that_does_not_read_hangs_nobody() {
    let (machine, guest, console) = booted(0);
    machine.console().stop();
    // The ring holds 2048 bytes.
    for line in 0..if cfg!(miri) { 250 } else { 1000 } {
        console.write(format!("line {line}\n").as_bytes());
        console.pump(&guest);
        machine.run();
    }
    assert_eq!(machine.console().output(), "");
    machine.console().resume();
    machine.run();
    assert!(machine.console().output().starts_with("line 0"));
}

#[test]
fn what_is_typed_arrives() {
    let (machine, guest, console) = booted(0);
    machine.console().input(b"status\n");
    machine.run();
    console.pump(&guest);
    let mut line = std::pin::pin!(console.read_line());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let read = Future::poll(line.as_mut(), &mut cx);
    assert_eq!(read, std::task::Poll::Ready("status".to_owned()));
}
