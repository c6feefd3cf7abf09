//! A thread that changes what the guest is reading: double fetches become visible.
//!
//! | what | flips between |
//! |---|---|
//! | `status` | an rx response of 98 bytes, and one of 65535 |
//! | `more` | a complete frame of 98 bytes, and one of 4000 that continues in another slot |
//! | `extra` | an extra of type 1, and one of type 200 with the flag for another one |
//! | `index` | the correct `rsp_prod` of the rx ring, and 300 beyond |
//! | `payload` | eight bytes of an echo request's payload as they were sent, and others |
//!
//! dom0 has one processor and the guest another, so the guest reads while the thread writes. Correct frames precede
//! the flip: a guest that wakes up reads before the thread has returned from the notification, so it must be busy.

use crate::Outcome;
use crate::backend::Backend;
use crate::orders::payload;
use crate::peer::HEADERS;
use crate::sys::{Access, Mapping};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use xen::abi::io_netif::{NetRxFlags, NetifRxRequest, NetifRxResponse};
use xen::abi::io_ring::offset;
use zerocopy::IntoBytes;

/// The guest's time to read the flipping field; it reports when it has.
const ROUND: Duration = Duration::from_millis(300);
/// Flips between two looks at the clock, and looks between two events.
const FLIPS: u32 = 2000;
const LOOKS: u32 = 50;
/// Correct frames before the flip, and their numbers.
const BEFORE: u32 = 40;
const HONEST: u16 = 0x2000;
/// Bytes of a frame that is said to go on in another slot.
const LONG: i16 = 4000;
/// Bytes of an echo request's payload.
const BYTES: usize = 1400;

pub fn flip(backend: &mut Backend, what: &str, rounds: u32) -> Outcome<String> {
    let mut answered = 0;
    for round in 0..rounds {
        let (seq_no, waiting) = (round as u16 | 0x4000, backend.connected());
        if !waiting {
            return Err("not connected".into());
        }
        backend.peer.replies.clear();
        for _ in 0..BEFORE {
            // A guest that does not use the rings any more posts no pages: its report so far counts.
            let (request, status) = match request(backend, HONEST, 56) {
                Ok(filled) => filled,
                Err(_) if round > 0 => return Ok(answered.to_string()),
                Err(error) => return Err(error),
            };
            backend.respond(NetifRxResponse { id: request.id, offset: 0, flags: 0, status });
        }
        match what {
            "status" | "more" => slot(backend, what, seq_no)?,
            "extra" => extra(backend, seq_no)?,
            "index" => index(backend, seq_no)?,
            "payload" => page(backend, seq_no)?,
            _ => return Err("no such thing to flip".into()),
        }
        for (number, reply) in &backend.peer.replies {
            answered += u32::from(*number != HONEST);
            // Whatever was flipped, a reply has the payload for which the checksum was computed.
            let sent = payload(*number, reply.len());
            if *reply != sent {
                let at = reply.iter().zip(&sent).position(|(found, sent)| found != sent);
                return Err(format!("a reply with bytes that were checked as others, from {at:?} on").into());
            }
        }
    }
    Ok(answered.to_string())
}

/// Flips one word of a page, shows the guest the rx ring, and continues to flip while it reads; the first value
/// remains.
///
/// The flipping thread notifies the guest itself: dom0 has one processor, and before another thread ran the guest
/// would have read.
fn while_flipping(
    backend: &mut Backend,
    page: Arc<Mapping>,
    at: usize,
    words: [u64; 2],
    wide: bool,
) -> Outcome {
    let ends = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&ends);
    let evtchn = backend.evtchn.clone();
    let queue = backend.queue()?;
    let (ring, prod, port) = (Arc::clone(queue.rx.page()), queue.rx.rsp_prod(), queue.ports.1);
    let thread = std::thread::spawn(move || {
        let page = page.page();
        let put = |word: u64| {
            if wide {
                page.store(at, word, Ordering::Relaxed);
            } else {
                page.store(at, word as u32, Ordering::Relaxed);
            }
        };
        let [first, second] = words;
        ring.page().store(offset::RSP_PROD, prod, Ordering::Release);
        let mut looks = 0;
        while !over.load(Ordering::Relaxed) {
            if looks % LOOKS == 0 {
                // A response must be read with its false value at least once. An index is to be met as it ought to
                // be: a false one ends everything.
                put(if wide { second } else { first });
                // Its other end may have been closed.
                let _ = evtchn.notify(port);
            }
            looks += 1;
            for _ in 0..FLIPS {
                put(first);
                put(second);
            }
        }
        put(first);
    });
    let begun = Instant::now();
    let consumed = |backend: &mut Backend| {
        backend.queue().is_ok_and(|queue| queue.rx.field(offset::RSP_EVENT) == prod.wrapping_add(1))
    };
    while !consumed(backend) && begun.elapsed() < ROUND {
        std::thread::sleep(Duration::from_millis(1));
    }
    ends.store(true, Ordering::Relaxed);
    thread.join().map_err(|_| "the thread that flips panicked")?;
    backend.until(Duration::from_millis(2), |_| false).map(drop)
}

fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes.get(..8).unwrap_or(&[0; 8]));
    u64::from_le_bytes(word)
}

fn request(backend: &mut Backend, seq_no: u16, bytes: usize) -> Outcome<(NetifRxRequest, i16)> {
    let mut frame = backend.peer.echo_request(seq_no, &payload(seq_no, bytes));
    let len = frame.len() as i16;
    Ok((backend.fill(0, &mut frame)?, len))
}

/// The response itself changes.
fn slot(backend: &mut Backend, what: &str, seq_no: u16) -> Outcome {
    let (request, status) = request(backend, seq_no, 56)?;
    let honest = NetifRxResponse { id: request.id, offset: 0, flags: 0, status };
    let false_slot = if what == "status" {
        NetifRxResponse { status: -1, ..honest }
    } else {
        // Of another length too: a flag that is read apart from it is then seen by the bytes.
        NetifRxResponse { flags: NetRxFlags::MORE_DATA.bits(), status: LONG, ..honest }
    };
    let queue = backend.queue()?;
    let (page, at) = (Arc::clone(queue.rx.page()), queue.rx.slot(queue.rx.rsp_prod()));
    backend.respond(honest);
    while_flipping(backend, page, at, [word(honest.as_bytes()), word(false_slot.as_bytes())], true)
}

/// An extra after a frame changes its type.
fn extra(backend: &mut Backend, seq_no: u16) -> Outcome {
    let (request, status) = request(backend, seq_no, 56)?;
    let first = NetifRxResponse { id: request.id, offset: 0, flags: NetRxFlags::EXTRA_INFO.bits(), status };
    backend.respond(first);
    backend.fill(0, &mut [])?;
    let queue = backend.queue()?;
    let (page, at) = (Arc::clone(queue.rx.page()), queue.rx.slot(queue.rx.rsp_prod()));
    let (gso, unknown) = ([1, 0, 0xa8, 5, 1, 0, 0, 0], [200, 1, 0xff, 0xff, 9, 0, 0, 0]);
    queue.rx.put(&gso);
    while_flipping(backend, page, at, [word(&gso), word(&unknown)], true)
}

/// The producer index changes.
fn index(backend: &mut Backend, seq_no: u16) -> Outcome {
    let (request, status) = request(backend, seq_no, 56)?;
    backend.respond(NetifRxResponse { id: request.id, offset: 0, flags: 0, status });
    let rx = &backend.queue()?.rx;
    let (page, prod) = (Arc::clone(rx.page()), u64::from(rx.rsp_prod()));
    while_flipping(backend, page, offset::RSP_PROD, [prod, prod + 300], false)
}

/// The frame changes, in a page that stays granted.
fn page(backend: &mut Backend, seq_no: u16) -> Outcome {
    let (request, status) = request(backend, seq_no, BYTES)?;
    backend.shadow.wild(request.gref);
    let mapping = Arc::new(backend.vif()?.gntdev.map(request.gref, Access::Write)?);
    // Towards the end, so that there is time between the header and these bytes; aligned in the page.
    let at = (HEADERS + BYTES - 64) & !7;
    let mut sent = [0; 8];
    mapping.page().read_bytes(at, &mut sent);
    backend.respond(NetifRxResponse { id: request.id, offset: 0, flags: 0, status });
    // One 16-bit word: the checksum of the other frame is sure to be another.
    let other = word(&sent) ^ 0x5a5a;
    while_flipping(backend, mapping, at, [word(&sent), other], true)
}
