//! Both halves of a ring on one page, from starts at which the indexes wrap.

use super::{BackRing, FrontRing, RequestOverrun};
use crate::abi::io_ring::offset;
use crate::ids::{Gfn, Gref};
use crate::memory::page::{Granted, Page, ReadWrite};
use crate::memory::shared::{Shared, SharedPage};
use crate::tests::{Random, STARTS, granted_page};
use alloc::collections::VecDeque;
use core::sync::atomic::Ordering::SeqCst;

/// Slots of 12 bytes, as netif's tx ring: 256 in a page.
const SIZE: u32 = 256;
const SLOT: usize = 12;
type Request = [u32; 3];
type Front = FrontRing<Request, u32, SIZE>;

/// The frontend's page as the backend has it mapped.
#[derive(Debug)]
struct Mapped(Shared<'static>);

impl SharedPage for Mapped {
    fn shared(&self) -> Shared<'_> {
        self.0
    }
}

fn pair(start: u32) -> (Front, BackRing<Mapped>, Shared<'static>) {
    let (page, view): (Page<Granted<ReadWrite>>, _) = granted_page(Gfn(7), Gref(9));
    let front = Front::init(page, start);
    let back = BackRing::attach(Mapped(view), SLOT).expect("an empty ring");
    assert_eq!(back.size(), SIZE);
    (front, back, view)
}

#[test]
fn requests_arrive_in_order_across_the_wrap() {
    for start in STARTS {
        let (mut front, mut back, _) = pair(start);
        let mut random = Random(u64::from(start) | 1);
        let (mut written, mut taken, mut answered) = (0_u32, 0_u32, 0_u32);
        let mut held: VecDeque<u32> = VecDeque::new();
        for _ in 0..2000 {
            for _ in 0..random.below(300) {
                if front.write_request(&[written, !written, 1]).is_none() {
                    break;
                }
                written += 1;
            }
            let _ = front.push_requests_and_check_notify();
            assert_eq!(back.unconsumed_requests(), Ok(written - taken));
            while let Some([number, check, one]) = back.get_request::<Request>() {
                assert_eq!((number, check, one), (taken, !taken, 1));
                held.push_back(number);
                taken += 1;
            }
            assert_eq!(taken, written, "everything that was shown is taken");
            for _ in 0..random.below(300) {
                let Some(number) = held.pop_front() else { break };
                back.put_response(&number);
            }
            let _ = back.push_responses_and_check_notify();
            front.unconsumed_responses().expect("an honest backend");
            while let Some(number) = front.take_response() {
                assert_eq!(number, answered);
                answered += 1;
            }
        }
        assert!(written > 2 * SIZE, "the ring went round");
    }
}

#[test]
fn a_full_ring_is_taken_and_one_request_more_is_refused() {
    for start in STARTS {
        let (mut front, mut back, view) = pair(start);
        while front.write_request(&[1, 2, 3]).is_some() {}
        let _ = front.push_requests_and_check_notify();
        assert_eq!(back.unconsumed_requests(), Ok(SIZE));
        for _ in 0..SIZE {
            assert_eq!(back.get_request::<Request>(), Some([1, 2, 3]));
        }
        assert_eq!(back.get_request::<Request>(), None);
        // Nothing is answered: not one more can be outstanding.
        let beyond = start.wrapping_add(SIZE).wrapping_add(1);
        view.store(offset::REQ_PROD, beyond, SeqCst);
        let overrun = RequestOverrun {
            req_prod: beyond,
            req_cons: start.wrapping_add(SIZE),
            rsp_prod: start,
            size: SIZE,
        };
        assert_eq!(back.unconsumed_requests(), Err(overrun));
        assert_eq!(back.get_request::<Request>(), None, "what was not believed is not taken");
        // With one response there is room for it.
        back.put_response(&0_u32);
        assert_eq!(back.unconsumed_requests(), Ok(1));
    }
}

#[test]
fn requests_that_are_taken_back_are_refused() {
    for start in STARTS {
        let (mut front, mut back, view) = pair(start);
        for _ in 0..3 {
            front.write_request(&[0; 3]).expect("room");
        }
        let _ = front.push_requests_and_check_notify();
        assert_eq!(back.unconsumed_requests(), Ok(3));
        view.store(offset::REQ_PROD, start.wrapping_add(2), SeqCst);
        assert!(back.unconsumed_requests().is_err(), "one less than was shown");
        view.store(offset::REQ_PROD, start.wrapping_sub(1), SeqCst);
        assert!(back.unconsumed_requests().is_err(), "less than was taken");
    }
}

#[test]
fn a_ring_in_use_is_attached_where_its_responses_end() {
    for start in STARTS {
        let (mut front, mut back, view) = pair(start);
        for number in 0..5 {
            front.write_request(&[number, 0, 0]).expect("room");
        }
        let _ = front.push_requests_and_check_notify();
        assert_eq!(back.unconsumed_requests(), Ok(5));
        for _ in 0..2 {
            let [number, ..] = back.get_request::<Request>().expect("seen");
            back.put_response(&number);
        }
        let _ = back.push_responses_and_check_notify();
        // The next backend finds the three requests without an answer.
        let mut next = BackRing::attach(Mapped(view), SLOT).expect("a proper ring");
        assert_eq!(next.get_request::<Request>(), Some([2, 0, 0]));
        // One that begins at 0, as for a frontend that has just started, refuses indexes that are far from there.
        let mut fresh = BackRing::init(Mapped(view), SLOT);
        assert_eq!(fresh.unconsumed_requests().is_ok(), start.wrapping_add(5) <= SIZE);
    }
    let (_front, _, view) = pair(0);
    view.store(offset::REQ_PROD, SIZE + 1, SeqCst);
    assert!(BackRing::attach(Mapped(view), SLOT).is_err(), "more requests than slots");
}

#[test]
fn events_are_asked_for_and_given_by_the_rules() {
    for start in STARTS {
        let (mut front, mut back, view) = pair(start);
        assert_eq!(back.final_check_for_requests(), Ok(false));
        front.write_request(&[0; 3]).expect("room");
        assert!(front.push_requests_and_check_notify(), "the backend asked for the first");
        front.write_request(&[0; 3]).expect("room");
        assert!(!front.push_requests_and_check_notify(), "not for the second");
        assert_eq!(back.final_check_for_requests(), Ok(true), "there is one already");
        // Three requests at once: an event with the last of them, and not before.
        back.ask_for_event_at(start.wrapping_add(5));
        for expected in [false, false, true] {
            front.write_request(&[0; 3]).expect("room");
            assert_eq!(front.push_requests_and_check_notify(), expected);
        }
        assert_eq!(back.unconsumed_requests(), Ok(5));
        assert_eq!(front.final_check_for_responses(), Ok(false));
        assert!(back.get_request::<Request>().is_some());
        back.put_response(&0_u32);
        assert_eq!(view.load::<u32>(offset::RSP_PROD, SeqCst), start, "not shown before the push");
        assert!(back.push_responses_and_check_notify(), "the frontend asked for the first");
        assert!(!back.push_responses_and_check_notify(), "nothing new");
        assert!(back.get_request::<Request>().is_some());
        back.put_response(&0_u32);
        assert!(!back.push_responses_and_check_notify(), "not for the second");
    }
}

#[test]
fn slots_are_those_of_the_frontend() {
    for start in STARTS {
        let (mut front, back, view) = pair(start);
        for ahead in 0..SIZE {
            let index = front.write_request(&[ahead + 1, 0, 0]).expect("room");
            let at = back.slot_offset(index);
            assert!(at >= offset::RING && at + SLOT <= 4096);
            assert_eq!(view.load::<u32>(at, SeqCst), ahead + 1);
            // A shorter form of what lies in the slot.
            assert_eq!(back.copy_request::<u32>(index), ahead + 1);
        }
    }
}
