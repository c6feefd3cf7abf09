//! Receiving, up to the stack: frames of any content, responses of any values, slots and indexes of any bytes.
//!
//! ```text
//!   | trusted? poison? | record … |     record: | kind | … |
//!   kind 0: len u16, frame                     a correct frame
//!   kind 1: id, offset, flags, status; len, frame   the same with values xor-ed into its response
//!   kind 2: 8 bytes                            a slot of the ring by hand
//!   kind 3: distance u32                       rsp_prod, relative to its value
//!   else:   an iteration
//! ```

#![no_main]

#[path = "../../host/tests/whole/guest.rs"]
#[allow(dead_code)]
mod guest;
#[path = "../../host/tests/whole/upper.rs"]
#[allow(dead_code)]
mod upper;

use fuzz::{Input, Machines};
use guest::{Os, run_until};
use libfuzzer_sys::fuzz_target;
use netfront::{Config, Nic as _};
use upper::Network;
use xen_sim::netback::{Faults, Index, Side};
use xen_sim::{Netback, Sim, VifConfig};

/// Records that one input may have.
const MOST: usize = 64;

fn frame(input: &mut Input<'_>) -> Vec<u8> {
    let len = usize::from(input.short() % 1515);
    let mut frame = input.bytes(len).to_vec();
    frame.resize(len.max(14), 0);
    frame
}

fn record(input: &mut Input<'_>, netback: &Netback, guests: &mut [Os<Network>; 1], sim: &Sim) {
    let ring = netback.has_rings().then(|| netback.ring(Side::Rx));
    match (input.byte(), ring) {
        (0, _) => netback.send(frame(input)),
        (1, _) => {
            let (id, offset, flags, status) = (input.short(), input.short(), input.short(), input.short());
            netback.faults(|faults| {
                faults.rx_responses = Some(Box::new(move |slots| {
                    let response = slots[0].response();
                    response.id ^= id;
                    response.offset ^= offset;
                    response.flags ^= flags;
                    response.status ^= status.cast_signed();
                }));
            });
            netback.send(frame(input));
            sim.run();
            netback.faults(|faults| faults.rx_responses = None);
        }
        (2, Some(ring)) => {
            let mut slot = [0; 8];
            slot.iter_mut().for_each(|byte| *byte = input.byte());
            ring.put(&slot);
            ring.push();
        }
        (3, Some(ring)) => {
            ring.set_index(Index::RspProd, ring.index(Index::RspProd).wrapping_add(input.word()));
            netback.notify_guest();
        }
        _ => {
            sim.run();
            // Checks the accounting.
            guests[0].iterate();
        }
    }
}

/// A guest that is connected, and how many pages it has granted then.
struct Machine {
    guests: [Os<Network>; 1],
    netback: Netback,
    granted: usize,
    sim: Sim,
}

impl Machine {
    fn boot(kind: u8) -> Self {
        let sim = Sim::builder().memory_pages(700).build();
        let trusted = if kind & 1 == 0 { "1" } else { "0" };
        // Pages that are watched from when they are posted until something comes take a third of the time.
        let vif = VifConfig { poison: kind & 2 != 0, ..VifConfig::default() };
        let netback = sim.add_vif(vif.trusted(Some(trusted)).lenient());
        let config = Config { pool_rx: 300, pool_tx: 64, ..Config::default() };
        let mut guests = [Os::boot(sim.guest(), config, upper::network(1))];
        run_until(&sim, &mut guests, "connected", |guests| guests[0].device().link_up());
        Self { granted: sim.guest().granted().len(), guests, netback, sim }
    }

    fn run(&mut self, mut input: Input<'_>) -> bool {
        let Self { guests, netback, granted, sim } = self;
        for _ in 0..MOST {
            if input.is_empty() {
                break;
            }
            record(&mut input, netback, guests, sim);
        }
        for _ in 0..4 {
            sim.run();
            guests[0].iterate();
        }
        // A new connection heals every fault.
        netback.faults(|faults| *faults = Faults::default());
        netback.unload();
        run_until(sim, guests, "down", |guests| guests[0].device().stats().backend.is_none());
        netback.load();
        run_until(sim, guests, "healed", |guests| guests[0].device().link_up());
        while netback.recv().is_some() {}
        sim.guest().granted().len() == *granted
    }
}

thread_local! {
    static MACHINES: Machines<Machine, 4> = Machines::default();
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let kind = input.byte() & 3;
    let boot = || Machine::boot(kind);
    MACHINES.with(|machines| machines.run(data, kind, boot, |machine| machine.run(input)));
});
