//! Every state of a ring with 8-bit indexes, sizes 1 to 16, against plain integers that never wrap.
//!
//! ```text
//!   plain:   cons ≤ seen ≤ pushed ≤ written ≤ cons + size, counted from 256 on, so that nothing goes below zero
//!   8 bits:  the same modulo 256
//! ```

use xen::ring::arith::{index8, index32};

const SIZES: [u32; 5] = [1, 2, 4, 8, 16];
/// Where the plain integers begin: a whole turn of the 8-bit ones.
const START: u32 = 256;

/// The low byte: what the small ring has of a plain integer.
const fn low(plain: u32) -> u8 {
    plain as u8
}

/// Calls `check` with `(size, cons)` for every size and every position of the wrap.
fn everywhere(mut check: impl FnMut(u32, u32)) {
    for size in SIZES {
        for cons in START..START + 256 {
            check(size, cons);
        }
    }
}

#[test]
fn free_and_outstanding_add_up_at_every_position() {
    everywhere(|size, cons| {
        for written in cons..=cons + size {
            let outstanding = index8::outstanding(low(written), low(cons));
            let free = index8::free_requests(low(size), low(written), low(cons));
            assert_eq!(u32::from(outstanding), written - cons);
            assert_eq!(u32::from(free), size - (written - cons));
        }
    });
}

#[test]
fn outstanding_requests_never_share_a_slot() {
    everywhere(|size, cons| {
        let mut used = 0_u32;
        for index in cons..cons + size {
            let slot = index8::slot(low(size), low(index));
            assert!(u32::from(slot) < size);
            assert_eq!(used & (1 << slot), 0, "slot {slot} of {size} twice");
            used |= 1 << slot;
        }
    });
}

#[test]
fn responses_are_believed_from_seen_to_pushed_only() {
    everywhere(|size, cons| {
        for pushed in cons..=cons + size {
            for seen in cons..=pushed {
                for rsp_prod in 0..=u8::MAX {
                    let found = index8::responses(low(cons), low(seen), low(pushed), rsp_prod);
                    // The correct values, in plain integers, of which this byte could be one.
                    let honest = (seen..=pushed).find(|claim| low(*claim) == rsp_prod);
                    assert_eq!(found.map(u32::from), honest.map(|claim| claim - cons));
                }
            }
        }
    });
}

#[test]
fn requests_are_believed_within_a_ring_of_the_last_response() {
    // In plain integers: answered ≤ taken ≤ seen ≤ answered + size.
    everywhere(|size, answered| {
        for taken in answered..=answered + size {
            for seen in taken..=answered + size {
                for req_prod in 0..=u8::MAX {
                    let found = index8::requests(low(size), low(taken), low(seen), low(answered), req_prod);
                    let honest = (seen..=answered + size).find(|claim| low(*claim) == req_prod);
                    assert_eq!(found.map(u32::from), honest.map(|claim| claim - taken));
                }
            }
        }
    });
}

#[test]
fn a_notification_is_due_if_the_event_was_just_pushed() {
    everywhere(|size, old| {
        for new in old..=old + size {
            for req_event in 0..=u8::MAX {
                let due = (old + 1..=new).any(|shown| low(shown) == req_event);
                assert_eq!(index8::wants_notification(low(old), low(new), req_event), due);
            }
        }
    });
}

/// One step of both sides, in plain integers; the small ring must agree after each. Every path of this many steps.
fn walk(size: u32, state: [u32; 4], steps: u32) {
    let [cons, seen, pushed, written] = state;
    let free = index8::free_requests(low(size), low(written), low(cons));
    assert_eq!(u32::from(free), size - (written - cons));
    if steps == 0 {
        return;
    }
    if free > 0 {
        walk(size, [cons, seen, pushed, written + 1], steps - 1);
    }
    walk(size, [cons, seen, written, written], steps - 1);
    for answered in seen..=pushed {
        let ready = index8::responses(low(cons), low(seen), low(pushed), low(answered));
        assert_eq!(ready.map(u32::from), Some(answered - cons), "an honest peer is believed");
        walk(size, [answered, answered, pushed, written], steps - 1);
    }
}

#[test]
fn every_path_of_eight_steps_across_the_wrap() {
    for size in [1, 2, 4] {
        for start in START + 250..START + 258 {
            walk(size, [start; 4], 8);
        }
    }
}

#[test]
fn both_widths_are_the_same_arithmetic() {
    // 32-bit indexes near their end against 8-bit ones near theirs.
    let up = u32::MAX - 255;
    for cons in 0..=255_u32 {
        for ahead in 0..=16_u32 {
            let (cons32, written32) = (up + cons, (up + cons).wrapping_add(ahead));
            let (cons8, written8) = (low(cons), low(cons).wrapping_add(low(ahead)));
            assert_eq!(
                index32::outstanding(written32, cons32),
                u32::from(index8::outstanding(written8, cons8))
            );
            assert_eq!(index32::slot(16, written32), u32::from(index8::slot(16, written8)));
            for event in 0..=17_u32 {
                let event32 = cons32.wrapping_add(event);
                let event8 = low(cons).wrapping_add(low(event));
                assert_eq!(
                    index32::wants_notification(cons32, written32, event32),
                    index8::wants_notification(cons8, written8, event8)
                );
                assert_eq!(
                    index32::requests(16, written32, written32, cons32, event32),
                    index8::requests(16, written8, written8, cons8, event8).map(u32::from)
                );
                assert_eq!(
                    index32::responses(cons32, cons32, written32, event32),
                    index8::responses(cons8, cons8, written8, event8).map(u32::from)
                );
            }
        }
    }
}
