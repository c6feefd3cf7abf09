//! A backend that breaks rules in the middle of a TCP stream: cases H01 to H20 and H26 to H30.
//!
//! ```text
//!   echo in progress ─► attack ─┬─ damages a frame: dropped with a reason, TCP sends it again
//!                               └─ damages indexes or ids: Broken with a reason ─► backend restarts ─► the stream continues
//! ```
//!
//! In both cases the stream ends with the bytes with which it began, and pages add up after every iteration
//! (`guest.rs`).

use crate::guest::Join;
use crate::peers::Pair;
use crate::upper::frame;
use net::NetError;
use netfront::{Config, Feature, Nic as _};
use std::cell::Cell;
use xen::abi::io_netif::{NetRxFlags, NetifRxResponse, NetifTxResponse};
use xen::abi::io_ring::offset;
use xen_sim::netback::{Faults, Index, Order, RxSlot, Side};
use xen_sim::{Netback, VifConfig};

/// Bytes that are echoed around each attack.
const LEN: usize = if cfg!(miri) { 16 * 1024 } else { 192 * 1024 };

/// An echo in progress, and its expected end.
struct Stream {
    pair: Pair,
    join: Join<Result<Vec<u8>, NetError>>,
}

impl Stream {
    fn begin() -> Self {
        // Frames of one slot each: netfront's `chains.rs` tests chains.
        let config = Config { refuse: Feature::all(), ..Config::default() };
        Self::with(Pair::with_config(VifConfig::default(), config))
    }

    fn with(mut pair: Pair) -> Self {
        let join = pair.start_echo(LEN);
        let netback = pair.netbacks[0].clone();
        pair.until("the stream is under way", |_| netback.stats().tx_frames > 12);
        assert!(!join.is_done());
        Self { pair, join }
    }

    fn netback(&self) -> Netback {
        self.pair.netbacks[0].clone()
    }

    /// The stream ends as if nothing had been.
    fn finish(mut self) {
        self.pair.finish_echo(&self.join, LEN);
    }

    /// The device breaks by this rule, heals with a new backend, and the stream ends as if nothing had been.
    fn breaks(mut self, rule: &str) {
        self.pair.until(rule, |guests| guests[0].device().broken().is_some());
        let os = &self.pair.guests[0];
        assert_eq!(os.misbehaved(rule), 1, "{:?}", os.device().broken());
        assert!(!os.device().link_up());
        let netback = self.netback();
        netback.faults(|faults| *faults = Faults::default());
        netback.unload();
        let (store, state) = (self.pair.sim.store(), format!("{}/state", netback.frontend_path()));
        self.pair.until("the guest has let go", |_| store.read(&state).as_deref() == Some("6"));
        netback.load();
        self.pair.until("the link is up again", |guests| guests[0].device().link_up());
        assert!(self.pair.guests[0].device().broken().is_none());
        self.finish();
    }

    /// This rule drops this many frames; the device keeps working.
    fn drops(mut self, rule: &str, count: u64) {
        self.pair.until(rule, |guests| guests[0].misbehaved(rule) >= count);
        assert_eq!(self.pair.guests[0].misbehaved(rule), count);
        assert_eq!(self.pair.guests[0].device().stats().link_generation, 1);
        self.finish();
    }
}

/// Writes `rsp_prod` of one ring by hand, computed from the guest's indexes, and notifies.
fn rsp_prod(side: Side, change: impl FnOnce(u32, u32) -> u32) -> Stream {
    let mut stream = Stream::begin();
    stream.pair.sim.run();
    stream.pair.guests[0].iterate();
    let ring = stream.netback().ring(side);
    ring.set_index(Index::RspProd, change(ring.index(Index::RspProd), ring.index(Index::ReqProd)));
    stream.netback().notify_guest();
    stream
}

/// Changes the next batch of transmit responses.
fn tx(change: impl Fn(&mut Vec<NetifTxResponse>) + 'static) -> Stream {
    let stream = Stream::begin();
    let done = Cell::new(false);
    stream.netback().faults(|faults| {
        faults.tx_responses = Some(Box::new(move |responses| {
            if !done.replace(true) {
                change(responses);
            }
        }));
    });
    stream
}

/// Changes the responses of the next received frame.
fn rx(change: impl Fn(&mut NetifRxResponse) + 'static) -> Stream {
    let stream = Stream::begin();
    let done = Cell::new(false);
    stream.netback().faults(|faults| {
        faults.rx_responses = Some(Box::new(move |slots| {
            if !done.replace(true) {
                slots.iter_mut().for_each(|slot| change(slot.response()));
            }
        }));
    });
    stream
}

/// Gives `slots` frames at once, all but the last with `more_data`: one frame, as the guest must see it.
fn chain(slots: usize) -> Stream {
    let stream = Stream::begin();
    let left = Cell::new(slots);
    stream.netback().faults(|faults| {
        faults.rx_responses = Some(Box::new(move |responses| {
            left.set(left.get().saturating_sub(responses.len()));
            if left.get() > 0 {
                responses.iter_mut().for_each(|slot| slot.response().flags |= NetRxFlags::MORE_DATA.bits());
            }
        }));
    });
    for number in 0..slots {
        stream.netback().send(frame(60, number));
    }
    stream
}

#[test]
fn h01_tx_rsp_prod_beyond_what_was_requested() {
    rsp_prod(Side::Tx, |_, req_prod| req_prod + 1).breaks("tx_ring");
}

#[test]
fn h02_rx_rsp_prod_more_than_a_ring_ahead() {
    rsp_prod(Side::Rx, |rsp_prod, _| rsp_prod + 257).breaks("rx_ring");
}

#[test]
fn h03_rsp_prod_goes_back_by_one() {
    rsp_prod(Side::Tx, |rsp_prod, _| rsp_prod - 1).breaks("tx_ring");
    rsp_prod(Side::Rx, |rsp_prod, _| rsp_prod - 1).breaks("rx_ring");
}

#[test]
fn h04_rsp_prod_goes_back_across_the_wrap() {
    for (side, rule) in [(Side::Tx, "tx_ring"), (Side::Rx, "rx_ring")] {
        let config = Config { ring_start: u32::MAX - 5, ..Config::default() };
        let stream = Stream::with(Pair::with_config(VifConfig::default(), config));
        let ring = stream.netback().ring(side);
        assert!(ring.index(Index::RspProd) < 1000, "past the wrap");
        ring.set_index(Index::RspProd, u32::MAX);
        stream.netback().notify_guest();
        stream.breaks(rule);
    }
}

#[test]
fn h05_rsp_prod_jumps_by_two_to_the_31() {
    rsp_prod(Side::Tx, |rsp_prod, _| rsp_prod ^ 1 << 31).breaks("tx_ring");
    rsp_prod(Side::Rx, |rsp_prod, _| rsp_prod ^ 1 << 31).breaks("rx_ring");
}

#[test]
#[cfg_attr(
    miri,
    ignore = "another domain's write of another size is a race in Rust's model, and no fault of the code"
)]
fn h06_rsp_prod_changes_while_it_is_looked_at() {
    let mut stream = Stream::begin();
    let ring = stream.netback().ring(Side::Rx);
    let honest = ring.index(Index::RspProd) as u16;
    let flipper = stream.pair.guests[0].xen.machine.flip(
        ring.gfn(),
        offset::RSP_PROD,
        [honest, honest.wrapping_add(999)],
    );
    while stream.pair.guests[0].device().broken().is_none() {
        stream.netback().notify_guest();
        stream.pair.guests[0].iterate();
    }
    drop(flipper);
    stream.breaks("rx_ring");
}

#[test]
fn h07_garbage_in_event_indexes_costs_events_and_nothing_else() {
    let mut stream = Stream::begin();
    for garbage in [0, u32::MAX, 1 << 31, 12_345] {
        for (side, at) in
            [(Side::Tx, Index::RspEvent), (Side::Rx, Index::RspEvent), (Side::Tx, Index::ReqEvent)]
        {
            stream.netback().ring(side).set_index(at, garbage);
        }
        stream.pair.guests[0].iterate();
        stream.pair.sim.run();
    }
    // A backend that asks for no event gets none; it asks again, and gets one.
    let ring = stream.netback().ring(Side::Tx);
    ring.set_index(Index::ReqEvent, ring.index(Index::ReqProd) + 1);
    stream.finish();
}

#[test]
fn h08_our_own_req_prod_overwritten() {
    let stream = Stream::begin();
    // The data has arrived: netback itself does not look before the guest has written again.
    stream.pair.sim.run();
    stream.netback().ring(Side::Tx).set_index(Index::ReqProd, 77);
    stream.finish();
}

#[test]
fn h09_indexes_that_wrap_honestly() {
    let config = Config { ring_start: 0xffff_ff00, ..Config::default() };
    Stream::with(Pair::with_config(VifConfig::default(), config)).finish();
}

#[test]
fn h10_tx_id_out_of_range() {
    tx(|responses| responses[0].id = 256).breaks("tx_id_range");
}

#[test]
fn h11_tx_id_ffff() {
    tx(|responses| responses[0].id = 0xffff).breaks("tx_id_range");
}

#[test]
fn h12_tx_id_that_is_not_in_flight() {
    tx(|responses| responses[0].id = 0xff).breaks("tx_id_idle");
}

#[test]
fn h13_the_same_tx_id_twice() {
    let stream = Stream::begin();
    let before = Cell::new(None);
    // The second of two batches claims the id of the first again, and drops its own.
    stream.netback().faults(|faults| {
        faults.tx_responses = Some(Box::new(move |responses| {
            let id = responses[0].id;
            responses[0].id = before.replace(Some(id)).unwrap_or(id);
        }));
    });
    stream.breaks("tx_id_idle");
}

#[test]
fn h14_tx_ids_in_another_order_are_allowed() {
    let stream = Stream::begin();
    stream.netback().faults(|faults| faults.order = Order::Permuted(3));
    stream.finish();
}

#[test]
fn h15_rx_id_of_another_slot() {
    rx(|response| response.id ^= 1).breaks("rx_id");
}

#[test]
fn h16_rx_id_of_a_slot_that_was_answered() {
    rx(|response| response.id = response.id.wrapping_sub(1) & 0xff).breaks("rx_id");
}

#[test]
fn h17_null_response_without_an_extra() {
    tx(|responses| responses[0].status = 1).breaks("tx_null");
}

#[test]
fn h18_statuses_that_are_no_okay() {
    // ERROR and DROPPED are allowed: counted by the way out, and the page comes back.
    for status in [-1, -2] {
        let mut stream = tx(move |responses| responses[0].status = status);
        stream.pair.until("the status was seen", |guests| {
            let stats = guests[0].device().stats().tx;
            stats.backend_errors.get() + stats.backend_dropped.get() == 1
        });
        stream.finish();
        rx(move |response| response.status = status).finish();
    }
    for status in [-3, 2, i16::MIN, i16::MAX] {
        tx(move |responses| responses[0].status = status).drops("tx_status", 1);
    }
    for status in [-3, i16::MIN] {
        rx(move |response| response.status = status).drops("rx_status", 1);
    }
}

#[test]
fn h19_an_extra_that_answers_none_of_ours() {
    let stream = Stream::begin();
    let done = Cell::new(false);
    stream.netback().faults(|faults| {
        faults.rx_responses = Some(Box::new(move |slots| {
            if !done.replace(true) {
                slots[0] = RxSlot::Extra([1, 0, 0xb4, 5, 1, 0, 0, 0]);
            }
        }));
    });
    // Its first two bytes stand where an id should: type 1, no flags.
    stream.breaks("rx_id");
}

#[test]
fn h20_ids_that_are_negative_to_some() {
    for id in [0x8000, 0xff00, 0xfffe] {
        tx(move |responses| responses[0].id = id).breaks("tx_id_range");
        rx(move |response| response.id = id).breaks("rx_id");
    }
}

#[test]
fn h26_data_that_leaves_its_page() {
    rx(|response| response.status = 4097).drops("rx_bounds", 1);
    rx(|response| response.offset = 4096 - 20).drops("rx_bounds", 1);
}

#[test]
fn h27_data_at_the_end_of_all_pages() {
    rx(|response| (response.offset, response.status) = (0xffff, 1)).drops("rx_bounds", 1);
}

#[test]
fn h28_a_frame_of_no_bytes() {
    rx(|response| response.status = 0).drops("rx_short", 1);
}

#[test]
fn h29_a_frame_shorter_than_its_header() {
    for len in 1..14 {
        rx(move |response| response.status = len).drops("rx_short", 1);
    }
}

#[test]
fn h30_chains_of_every_length() {
    for (slots, rule) in [(2, "rx_fragments"), (18, "rx_fragments"), (19, "rx_fragments")] {
        chain(slots).drops(rule, 1);
    }
    for slots in [20, 60] {
        chain(slots).drops("rx_slots", 1);
    }
}
