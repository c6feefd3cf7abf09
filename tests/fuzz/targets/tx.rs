//! Completions of sent frames: any ids, any statuses, any indexes, in any order with our own sending.
//!
//! ```text
//!   | where the indexes begin | step … |
//!   kind 0: len u16            we send a frame        kind 3: distance u32       rsp_prod, that far from where it is
//!   kind 1: id u16, status u16 a response by hand     kind 4: value u32          req_event
//!   kind 2: which u8           a correct response     else:                      an iteration
//! ```

#![no_main]

#[path = "../../../netfront/tests/common/mod.rs"]
#[allow(dead_code)]
mod common;

use common::{Rig, frame};
use fuzz::{Input, Machines};
use libfuzzer_sys::fuzz_target;
use netfront::Config;
use xen::abi::io_netif::NetifTxResponse;
use xen_sim::netback::{Faults, Index, Side};
use xen_sim::{Sim, VifConfig};
use zerocopy::IntoBytes as _;

/// Steps that one input may have.
const MOST: usize = 128;

fn step(rig: &mut Rig, input: &mut Input<'_>) {
    let ring = rig.netback.has_rings().then(|| rig.netback.ring(Side::Tx));
    match (input.byte(), ring) {
        (0, _) => {
            let len = usize::from(input.short() % 1515).max(14);
            rig.send(&frame(len, len));
        }
        (1, Some(ring)) => {
            let (id, status) = (input.short(), input.short().cast_signed());
            ring.put(NetifTxResponse { id, status }.as_bytes());
            ring.push();
        }
        (2, Some(ring)) => {
            let id = u16::from(input.byte());
            ring.put(NetifTxResponse { id, status: 0 }.as_bytes());
            ring.push();
        }
        (3, Some(ring)) => {
            ring.set_index(Index::RspProd, ring.index(Index::RspProd).wrapping_add(input.word()));
            rig.netback.notify_guest();
        }
        (4, Some(ring)) => ring.set_index(Index::ReqEvent, input.word()),
        // Checks the accounting.
        _ => rig.round(),
    }
}

/// A guest that is connected, and how many pages it has granted then.
struct Machine {
    rig: Rig,
    granted: usize,
}

impl Machine {
    fn boot(ring_start: u32) -> Self {
        let sim = Sim::builder().memory_pages(700).build();
        let config = Config { pool_rx: 300, pool_tx: 64, ring_start, ..Config::default() };
        // Received frames are not tested here.
        let vif = VifConfig { poison: false, ..VifConfig::default() };
        let mut rig = Rig::on(sim, vif.lenient(), config);
        rig.until_up();
        Self { granted: rig.xen.machine.granted().len(), rig }
    }

    fn run(&mut self, mut input: Input<'_>) -> bool {
        let Self { rig, granted } = self;
        rig.netback.faults(|faults| faults.hold_tx = true);
        for _ in 0..MOST {
            if input.is_empty() {
                break;
            }
            step(rig, &mut input);
        }
        rig.rounds(3);
        rig.netback.faults(|faults| *faults = Faults::default());
        rig.netback.unload();
        rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
        rig.netback.load();
        rig.until_up();
        drop(rig.sent());
        rig.works();
        rig.received.clear();
        rig.xen.machine.granted().len() == *granted
    }
}

/// The initial indexes of the rings.
const STARTS: [u32; 4] = [0, u32::MAX - 1, i32::MAX as u32 - 2, 200];

thread_local! {
    static MACHINES: Machines<Machine, { STARTS.len() }> = Machines::default();
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let kind = input.byte() % STARTS.len() as u8;
    let boot = || Machine::boot(STARTS[usize::from(kind)]);
    MACHINES.with(|machines| machines.run(data, kind, boot, |machine| machine.run(input)));
});
