//! A guest that is saved and restored in the middle of a TCP stream: H71 and H72.
//!
//! ```text
//!   echo in progress ─► saved: frames in the rings are lost ─► restored in another domain, its backend perhaps in another
//!                       one too ─► resume ─► new rings ─► lost data is sent again ─► … ─► every byte comes back
//! ```

use crate::peers::Pair;
use xen::DomId;
use xen_sim::VifConfig;

/// Bytes that are echoed over all restores, more than can have passed before the last of them.
const LEN: usize = if cfg!(miri) { 256 * 1024 } else { 4 << 20 };
const TIMES: u16 = if cfg!(miri) { 3 } else { 50 };
/// Frames that the guest sends between two of them.
const FRAMES: u64 = 4;

/// Restores the first guest as domain `id`, with a backend in `backend`, as soon as the stream has moved on; and waits
/// for its link.
fn restore(pair: &mut Pair, id: DomId, backend: DomId) {
    let netback = pair.netbacks[0].clone();
    let (before, generation) = (netback.stats().tx_frames, pair.guests[0].device().stats().link_generation);
    pair.until("the stream moves", |_| netback.stats().tx_frames >= before + FRAMES);
    let guest = pair.guests[0].xen.machine.clone();
    let restored = pair.sim.restore(&guest, id, &[(&netback, backend)]);
    pair.guests[0].resume(restored);
    pair.until("the link is up again", |guests| guests[0].device().stats().link_generation > generation);
    // Only the present backend may access a page, and no former one does.
    for entry in guest.granted() {
        assert_eq!(entry.to, backend, "{entry:?}");
    }
}

#[test]
fn h71_a_stream_goes_on_over_fifty_restores() {
    let mut pair = Pair::new();
    let join = pair.start_echo(LEN);
    let mut accounts = None;
    for number in 0..TIMES {
        restore(&mut pair, DomId(10 + number), DomId(0));
        assert!(!join.is_done(), "{number}: the stream is over before the restores are");
        let (os, store) = (&pair.guests[0], pair.sim.store());
        assert_eq!(os.xen.machine.id(), DomId(10 + number));
        let grants = os.xen.grants.stats();
        let now = (grants.issued.since(grants.ended), grants.quarantined, store.watches(DomId(10 + number)));
        assert_eq!(*accounts.get_or_insert(now), now, "grants in force, in quarantine, and watches");
    }
    assert_eq!(pair.guests[0].device().stats().link_generation, u32::from(TIMES) + 1);
    pair.finish_echo(&join, LEN);
}

#[test]
fn h72_a_stream_continues_with_a_new_backend_each_time() {
    for trusted in ["1", "0"] {
        let mut pair = Pair::with(VifConfig::default().trusted(Some(trusted)));
        let join = pair.start_echo(LEN / 8);
        for (id, backend) in [(20, 5), (21, 6), (3, 0), (22, 5)] {
            restore(&mut pair, DomId(id), DomId(backend));
        }
        assert_eq!(pair.guests[0].device().stats().trusted, trusted == "1");
        pair.finish_echo(&join, LEN / 8);
    }
}
