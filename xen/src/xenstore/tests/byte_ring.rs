//! One direction of a byte ring, at every start of its indexes.

use crate::ring::byte_ring::{Incoming, Layout, Outgoing, Overrun};
use crate::tests::{Random, STARTS, page};
use alloc::vec::Vec;
use core::sync::atomic::Ordering::SeqCst;

const RING: Layout = Layout { data: 64, size: 16, cons: 0, prod: 4 };

#[test]
fn bytes_come_out_as_they_went_in_at_every_start() {
    for start in STARTS {
        let page = page();
        page.store(RING.cons, start, SeqCst);
        page.store(RING.prod, start, SeqCst);
        let (mut out, mut into) = (Outgoing::attach(page, RING), Incoming::attach(page, RING));
        let mut random = Random(7);
        let (mut written, mut read): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..random.below(20)).map(|_| random.next() as u8).collect();
            let taken = out.write(&bytes).unwrap();
            written.extend(&bytes[..taken]);
            let mut buffer = [0; 32];
            let len = random.below(20) as usize;
            read.extend(into.read(&mut buffer[..len]).unwrap().iter());
        }
        read.extend(into.read(&mut [0; 16]).unwrap().iter());
        assert!(written.len() > 10_000);
        assert_eq!(written, read, "start {start}");
    }
}

#[test]
fn a_full_ring_takes_nothing_and_an_empty_one_gives_nothing() {
    for start in STARTS {
        let page = page();
        page.store(RING.cons, start, SeqCst);
        page.store(RING.prod, start, SeqCst);
        let mut out = Outgoing::attach(page, RING);
        assert_eq!(out.unread(), Ok(0));
        assert_eq!(out.write(&[1; 20]), Ok(16));
        assert_eq!(out.unread(), Ok(16));
        assert_eq!(out.write(&[2]), Ok(0));
        let mut into = Incoming::attach(page, RING);
        assert_eq!(into.read(&mut [0; 20]).unwrap(), [1; 16]);
        assert_eq!(into.read(&mut [0; 20]).unwrap(), []);
        assert_eq!(page.load::<u32>(RING.cons, SeqCst), start.wrapping_add(16));
    }
}

#[test]
fn a_peer_that_met_a_full_ring_is_found_at_every_start() {
    for start in STARTS {
        let page = page();
        page.store(RING.cons, start, SeqCst);
        page.store(RING.prod, start, SeqCst);
        let (mut out, mut into) = (Outgoing::attach(page, RING), Incoming::attach(page, RING));
        for (written, taken, full) in [(15, 15, false), (16, 16, true), (16, 5, true), (4, 15, false)] {
            assert_eq!(out.write(&[1; 16][..written]), Ok(written));
            let taken = into.read(&mut [0; 16][..taken]).unwrap().len();
            assert_eq!(into.was_full(taken), full, "{written} written, {taken} taken");
        }
        // It fills the ring while it is read: seen by the second look.
        out.write(&[1; 3]).unwrap();
        let before = page.load::<u32>(RING.cons, SeqCst);
        let taken = into.read(&mut [0; 16]).unwrap().len();
        page.store(RING.prod, before.wrapping_add(16), SeqCst);
        assert!(into.was_full(taken));
    }
}

#[test]
fn nothing_around_the_ring_is_written() {
    let page = page();
    page.store(RING.prod, 10_u32, SeqCst);
    page.store(RING.cons, 10_u32, SeqCst);
    Outgoing::attach(page, RING).write(&[0xff; 100]).unwrap();
    let mut bytes = [0; 256];
    page.read_bytes(0, &mut bytes);
    for (at, byte) in bytes.iter().enumerate().skip(8) {
        assert_eq!(*byte == 0xff, (64..80).contains(&at), "byte {at}");
    }
}

#[test]
fn an_index_of_the_peer_is_used_up_to_the_size_of_the_ring() {
    for start in STARTS {
        let page = page();
        page.store(RING.cons, start, SeqCst);
        page.store(RING.prod, start, SeqCst);
        let (mut out, mut into) = (Outgoing::attach(page, RING), Incoming::attach(page, RING));
        for (ahead, allowed) in [(16, true), (17, false), (u32::MAX, false), (1 << 31, false)] {
            let prod = start.wrapping_add(ahead);
            page.store(RING.prod, prod, SeqCst);
            let mut read = Incoming::attach(page, RING);
            assert_eq!(read.read(&mut [0; 32]).is_ok(), allowed, "prod {ahead} ahead of {start}");
            page.store(RING.cons, start, SeqCst);
        }
        page.store(RING.prod, start.wrapping_sub(1), SeqCst);
        let overrun = Overrun { prod: start.wrapping_sub(1), cons: start, size: 16 };
        assert_eq!(into.read(&mut [0; 32]), Err(overrun));
        page.store(RING.cons, start.wrapping_add(1), SeqCst);
        assert_eq!(out.write(&[1]), Err(Overrun { prod: start, cons: start.wrapping_add(1), size: 16 }));
        assert_eq!(page.load::<u32>(RING.prod, SeqCst), start.wrapping_sub(1), "nothing was published");
    }
}

#[test]
fn our_own_index_is_never_read_back() {
    let page = page();
    let (mut out, mut into) = (Outgoing::attach(page, RING), Incoming::attach(page, RING));
    out.write(b"abc").unwrap();
    // The other side writes to our fields.
    page.store(RING.prod, 3_u32, SeqCst);
    assert_eq!(into.read(&mut [0; 16]).unwrap(), b"abc");
    page.store(RING.cons, 1_u32, SeqCst);
    assert_eq!(into.read(&mut [0; 16]).unwrap(), b"");
    page.store(RING.prod, 99_u32, SeqCst);
    page.store(RING.cons, 3_u32, SeqCst);
    assert_eq!(out.write(b"d"), Ok(1));
    assert_eq!(page.load::<u32>(RING.prod, SeqCst), 4);
}

#[test]
fn after_nonsense_both_directions_can_start_over() {
    let page = page();
    let (mut out, mut into) = (Outgoing::attach(page, RING), Incoming::attach(page, RING));
    page.store(RING.cons, 12_345_u32, SeqCst);
    assert!(out.write(b"x").is_err());
    out.resynchronise();
    assert_eq!(out.write(b"x"), Ok(1));
    assert_eq!(page.load::<u32>(RING.prod, SeqCst), 12_346);
    page.store(RING.prod, 99_999_u32, SeqCst);
    assert!(into.read(&mut [0; 16]).is_err());
    assert_eq!(into.discard(), 99_999);
    assert_eq!(into.read(&mut [0; 16]).unwrap(), b"");
}
