//! Fault injection: raw access to rings and events, from which a test composes a fault.
//!
//! A SLOT of `rx` is one response, `OFFSET:LENGTH:FLAGS[:ID]`: the page gets an echo request at that offset as far as
//! it fits, and the response says what the slot says. FLAGS are letters: `v` data validated, `c` checksum blank, `m`
//! more data, `x` extra info; `n` makes it a frame of no known protocol, `t` a TCP segment of so few bytes. An ID is
//! a number, or `+N` on that of the request. `e:TYPE:FLAGS:HEX` is an extra over the whole slot, its payload 6 bytes
//! in hexadecimal. `SLOT*N` is N of them.

use crate::Outcome;
use crate::backend::{Backend, answer};
use crate::orders::payload;
use crate::sys::{Access, PAGE};
use crate::vif::CONNECTED;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;
use xen::abi::io_netif::{NetRxFlags, NetifRxResponse};
use xen::abi::io_ring::offset;

/// How long the guest is given to look at false responses.
const SEEN: Duration = Duration::from_secs(1);

pub fn inject(backend: &mut Backend, words: &[&str]) -> Outcome<String> {
    match words {
        ["tx", id, status] => tx(backend, id, status.parse()?),
        ["ring", side, field, value] => ring(backend, side, field, value),
        ["rx", slots @ ..] => rx(backend, slots),
        ["states", count] => {
            for number in 0..count.parse()? {
                // The first is the only one that changes anything.
                backend.switch(if number == 0 { CONNECTED + 3 } else { CONNECTED + 4 })?;
            }
            backend.switch(CONNECTED).map(|()| String::new())
        }
        ["console"] => console(backend),
        ["storm", count] => storm(backend, count.parse()?),
        ["stray", port] => {
            let domid = backend.vif()?.domid;
            let local = backend.evtchn.bind(domid, port.parse()?)?;
            for _ in 0..10 {
                backend.evtchn.notify(local)?;
            }
            backend.evtchn.unbind(local);
            Ok(String::new())
        }
        ["keep", what] => keep(backend, what),
        ["drop"] => {
            backend.kept.clear();
            Ok(String::new())
        }
        ["write-tx"] => write_tx(backend),
        _ => Err("no such order".into()),
    }
}

/// A tx response with that id, to nothing in particular.
fn tx(backend: &mut Backend, id: &str, status: i16) -> Outcome<String> {
    let held: BTreeSet<u16> = backend.held.iter().map(|(_, request)| request.id).collect();
    let last = backend.last_tx.map(|request| request.id).ok_or("the guest has sent nothing yet")?;
    let id = match id {
        "last" => last,
        "idle" => (0..256).rev().find(|id| !held.contains(id)).ok_or("every id is in flight")?,
        number => number.parse()?,
    };
    // The withheld request is answered, if it is that one.
    if let Some(at) = backend.held.iter().position(|(_, request)| request.id == id) {
        backend.held.remove(at);
    }
    answer(backend.queue()?, id, status);
    backend.show();
    ring_both(backend)
}

/// Notifies both channels, requested or not.
fn ring_both(backend: &mut Backend) -> Outcome<String> {
    let ports = backend.queue()?.ports;
    backend.evtchn.notify(ports.0)?;
    backend.evtchn.notify(ports.1)?;
    Ok(String::new())
}

/// Waits until the guest has seen every rx response. It says so when it goes to sleep; a broken one does not.
fn seen(backend: &mut Backend) -> Outcome {
    let all = |backend: &mut Backend| {
        backend
            .queue()
            .map_or(true, |queue| queue.rx.field(offset::RSP_EVENT) == queue.rx.rsp_prod().wrapping_add(1))
    };
    backend.until(SEEN, all).map(drop)
}

fn ring(backend: &mut Backend, side: &str, field: &str, value: &str) -> Outcome<String> {
    // An index that goes back to where the guest still stands is correct.
    backend.until(Duration::from_millis(20), |_| false)?;
    seen(backend)?;
    let queue = backend.queue()?;
    let ring = if side == "tx" { &mut queue.tx } else { &mut queue.rx };
    let (at, ought) = match field {
        "req_prod" => (offset::REQ_PROD, ring.field(offset::REQ_PROD)),
        "req_event" => (offset::REQ_EVENT, ring.req_cons().wrapping_add(1)),
        "rsp_prod" => (offset::RSP_PROD, ring.rsp_prod()),
        "rsp_event" => (offset::RSP_EVENT, ring.field(offset::RSP_EVENT)),
        "beyond" => (offset::RSP_PROD, ring.field(offset::REQ_PROD)),
        _ => return Err("no such field".into()),
    };
    let value = match value.parse::<i64>()? {
        number if value.starts_with(['+', '-']) => ought.wrapping_add(number as u32),
        number => number as u32,
    };
    ring.bent |= at == offset::RSP_PROD;
    ring.set(at, value);
    ring_both(backend)
}

fn rx(backend: &mut Backend, slots: &[&str]) -> Outcome<String> {
    for slot in slots {
        let (slot, times) = slot.split_once('*').unwrap_or((slot, "1"));
        for _ in 0..times.parse()? {
            one_rx(backend, slot)?;
        }
    }
    backend.show();
    ring_both(backend)?;
    // Later frames must not be taken for the end of this.
    seen(backend)?;
    Ok(String::new())
}

fn one_rx(backend: &mut Backend, slot: &str) -> Outcome {
    let parts: Vec<&str> = slot.split(':').collect();
    if let ["e", kind, flags, hex] = parts.as_slice() {
        backend.fill(0, &mut [])?;
        let mut bytes = vec![kind.parse::<u8>()?, flags.parse()?];
        bytes.extend(
            (0..6)
                .map(|at| hex.get(at * 2..at * 2 + 2))
                .map(|byte| byte.and_then(|byte| u8::from_str_radix(byte, 16).ok()).unwrap_or_default()),
        );
        backend.queue()?.rx.put(bytes.as_slice());
        return Ok(());
    }
    let [at, len, letters, id @ ..] = parts.as_slice() else { return Err("no such slot".into()) };
    let (at, status) = (at.parse::<u16>()?, len.parse::<i32>()? as u16);
    let bytes = usize::from(status).saturating_sub(crate::peer::HEADERS).min(1400);
    let mut frame = match letters {
        letters if letters.contains('t') => backend.peer.segment(usize::from(status)),
        _ => backend.peer.echo_request(1, &payload(1, bytes)),
    };
    if letters.contains('n') {
        // For experiments, says IEEE 802.
        frame.splice(12..14, [0x88, 0xb5]);
    }
    frame.truncate(PAGE.saturating_sub(usize::from(at)));
    let request = backend.fill(usize::from(at) % PAGE, &mut frame)?;
    let id = match id.first() {
        Some(id) if id.starts_with('+') => request.id.wrapping_add(id.parse()?),
        Some(id) => id.parse()?,
        None => request.id,
    };
    let mut flags = NetRxFlags::empty();
    for letter in letters.chars() {
        flags |= match letter {
            'v' => NetRxFlags::DATA_VALIDATED,
            'c' => NetRxFlags::CSUM_BLANK,
            'm' => NetRxFlags::MORE_DATA,
            'x' => NetRxFlags::EXTRA_INFO,
            _ => NetRxFlags::empty(),
        };
    }
    backend.respond(NetifRxResponse { id, offset: at, flags: flags.bits(), status: status.cast_signed() });
    Ok(())
}

/// Events without work.
fn storm(backend: &mut Backend, count: u32) -> Outcome<String> {
    let ports = backend.queue()?.ports;
    let begun = std::time::Instant::now();
    for number in 0..count {
        // A port without its other end cannot be notified: then the storm is over.
        let port = if number % 2 == 0 { ports.0 } else { ports.1 };
        if backend.evtchn.notify(port).is_err() {
            break;
        }
    }
    Ok(format!("{}", begun.elapsed().as_micros()))
}

/// Maps pages that the guest believes it has got back, and keeps them.
fn keep(backend: &mut Backend, what: &str) -> Outcome<String> {
    let rings = backend.vif()?.rings();
    let last = backend.last_tx.map(|request| request.gref);
    let grefs: Vec<u32> = match what {
        "ring" => {
            backend.shadow.kept_rings(&rings);
            rings
        }
        "tx" => last.into_iter().collect(),
        _ => {
            // The next page that the guest has posted: the reference is in the slot's second word.
            let queue = backend.queue()?;
            let at = queue.rx.slot(queue.rx.req_cons()) + 4;
            vec![queue.rx.field(at)]
        }
    };
    for gref in &grefs {
        let mapping = backend.vif()?.gntdev.map(*gref, Access::Read)?;
        backend.kept.push(mapping);
    }
    Ok(grefs.len().to_string())
}

/// A page that we may read: Xen must refuse to map it for writing, and to copy into it.
fn write_tx(backend: &mut Backend) -> Outcome<String> {
    let gref = backend.last_tx.map(|request| request.gref).ok_or("the guest has sent nothing yet")?;
    let gntdev = backend.vif()?.gntdev.clone();
    gntdev.map(gref, Access::Read)?;
    if gntdev.map(gref, Access::Write).is_ok() {
        return Err("a page to send from could be mapped for writing".into());
    }
    match gntdev.write(gref, 0, &mut [0xee; 64]) {
        Ok(()) => Err("a page to send from could be copied into".into()),
        Err(error) => Ok(error.to_string()),
    }
}

/// Garbage in the indexes of the console's ring, which is the page with the first of the reserved references; then what
/// xenconsoled and the guest can go on with.
fn console(backend: &mut Backend) -> Outcome<String> {
    use xen::abi::io_console::offset::{IN_CONS, IN_PROD, OUT_CONS, OUT_PROD};
    const CONSOLE: u32 = 0;
    let mapping = backend.vif()?.gntdev.map(CONSOLE, Access::Write)?;
    let page = mapping.page();
    let order = Ordering::SeqCst;
    for garbage in [0xdead_beef_u32, 0x8000_0000, 0xffff_ffff, 5000] {
        page.store(IN_PROD, page.load::<u32>(IN_CONS, order).wrapping_add(garbage), order);
        page.store(OUT_CONS, page.load::<u32>(OUT_PROD, order).wrapping_add(garbage), order);
        // The guest looks at them with every iteration.
        for _ in 0..3 {
            crate::orders::obey(backend, "ping 1")?;
        }
    }
    page.store(IN_PROD, page.load::<u32>(IN_CONS, order), order);
    page.store(OUT_CONS, page.load::<u32>(OUT_PROD, order), order);
    Ok(String::new())
}
