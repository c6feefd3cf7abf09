//! Xenstore's wire: replies of any bytes, cut anywhere, and indexes of any value, during requests.
//!
//! ```text
//!   kind 0: len u8, bytes               bytes of replies, as far as the ring has room
//!   kind 1: type, req_id, len, bytes    a message with a header that fits its bytes
//!   kind 2: which u8, value u32         an index of the ring
//!   kind 3: which u8                    another request of ours
//!   else:                               an iteration of the client
//! ```

#![no_main]

use core::pin::Pin;
use core::task::{Context, Waker};
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use std::rc::Rc;
use xen::abi::io_xs_wire::offset;
use xen::{DomId, Shared, Xen};
use xen_sim::{Delivery, Guest, Sim};

/// Steps that one input may have.
const MOST: usize = 128;
const RING: u32 = 1024;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// One of our requests, with any result.
fn request(xen: &Rc<Xen<Guest>>, which: u8) -> Task {
    let xen = Rc::clone(xen);
    Box::pin(async move {
        let store = &xen.store;
        match which % 4 {
            0 => drop(store.read("device/vif/0/mac").await),
            1 => drop(store.directory("device").await),
            2 => drop(store.write("data/fuzz", "value").await),
            _ => {
                let Ok(watch) = store.watch("device").await else { return };
                watch.changed().await;
            }
        }
    })
}

/// Puts bytes of replies into the ring, as far as there is room.
fn reply(ring: &Shared<'_>, bytes: &[u8]) {
    use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
    for byte in bytes {
        let prod = ring.load::<u32>(offset::RSP_PROD, Acquire);
        if prod.wrapping_sub(ring.load::<u32>(offset::RSP_CONS, Acquire)) >= RING {
            return;
        }
        ring.store(offset::RSP + (prod % RING) as usize, *byte, Relaxed);
        ring.store(offset::RSP_PROD, prod.wrapping_add(1), Release);
    }
}

fn step(input: &mut Input<'_>, xen: &Rc<Xen<Guest>>, ring: &Shared<'_>, tasks: &mut Vec<Task>) {
    match input.byte() {
        0 => {
            let len = usize::from(input.byte());
            reply(ring, input.bytes(len));
        }
        1 => {
            let (kind, req_id, len) = (input.byte(), input.byte(), usize::from(input.byte()));
            let bytes = input.bytes(len);
            let words = [u32::from(kind), u32::from(req_id), 0, bytes.len() as u32];
            reply(ring, &words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>());
            reply(ring, bytes);
        }
        2 => {
            let at = [offset::REQ_CONS, offset::REQ_PROD, offset::RSP_CONS, offset::RSP_PROD];
            let at = at[usize::from(input.byte() % 4)];
            ring.store(at, input.word(), core::sync::atomic::Ordering::Release);
        }
        3 => tasks.push(request(xen, input.byte())),
        _ => {
            xen.store.pump(&xen.machine);
            let mut context = Context::from_waker(Waker::noop());
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let sim = Sim::builder().memory_pages(64).build();
    let xen = sim.xen();
    sim.store().set_delivery(DomId(1), Delivery::Silent);
    let ring = xen.machine.xenstore_ring();
    let mut tasks = Vec::new();
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        step(&mut input, &xen, &ring, &mut tasks);
    }
    for _ in 0..3 {
        xen.store.pump(&xen.machine);
    }
    drop(tasks);
    xen.store.pump(&xen.machine);
});
