//! Floors are kept, limits hold, and what is dropped comes back.

use crate::{Buffer, Consumer, Ledger, SHARES, Usage};
use alloc::string::ToString;
use alloc::vec::Vec;

const BYTES: usize = 256 * 100;

fn usage(ledger: &Ledger, name: &str) -> Usage {
    ledger.usage().into_iter().find(|usage| usage.name == name).unwrap()
}

#[test]
fn shares_are_consistent() {
    let floors: usize = SHARES.iter().map(|share| usize::from(share.floor)).sum();
    assert!(floors <= 128, "{floors}: floors leave half of the memory");
    for (index, share) in SHARES.iter().enumerate() {
        assert!(share.floor <= share.limit && share.limit > 0, "{}", share.name);
        assert_eq!(share.consumer.index(), index, "{}", share.name);
    }
}

#[test]
fn a_reservation_ends_at_the_limit_and_comes_back() {
    let ledger = Ledger::new(BYTES);
    let tcp = ledger.open(Consumer::Tcp);
    assert_eq!((tcp.limit(), tcp.available()), (144 * 100, 144 * 100));
    let mut one = tcp.reserve(144 * 100 - 1).unwrap();
    one.grow(1).unwrap();
    let refused = tcp.reserve(1).unwrap_err();
    assert_eq!((refused.wanted, refused.used, refused.limit), (1, 14_400, 14_400));
    assert_eq!(
        refused.to_string(),
        "no memory for tcp: 1 bytes wanted, 14400 used, at most 14400; raise memory="
    );
    assert!(one.grow(1).is_err());
    assert_eq!(one.bytes(), 14_400);
    one.shrink_to(100);
    one.shrink_to(200);
    assert_eq!((one.bytes(), tcp.used()), (100, 100));
    drop(one);
    let expected = Usage { name: "tcp", floor: 3200, limit: 14_400, used: 0, peak: 14_400, refused: 2 };
    assert_eq!(usage(&ledger, "tcp"), expected);
    assert!(tcp.reserve(usize::MAX).is_err());
}

#[test]
fn a_floor_is_kept_for_each_open_account() {
    let ledger = Ledger::new(BYTES);
    let (tcp, content, udp) =
        (ledger.open(Consumer::Tcp), ledger.open(Consumer::Content), ledger.open(Consumer::Udp));
    // Content and TCP together could use more than there is.
    let _content = content.reserve(160 * 100).unwrap();
    assert_eq!(tcp.available(), (256 - 160 - 8) * 100, "without UDP's floor");
    let _tcp = tcp.reserve(tcp.available()).unwrap();
    assert!(tcp.reserve(1).is_err() && content.reserve(1).is_err());
    let _udp = udp.reserve(8 * 100).unwrap();
    assert_eq!(udp.available(), 0, "the floor, and nothing beyond it");
    // An account that is opened late finds its floor as soon as others give back.
    let log = ledger.open(Consumer::Log);
    assert_eq!((log.available(), usage(&ledger, "log").floor), (400, 400));
}

#[test]
fn used_bytes_are_those_of_all_reservations_in_random_use() {
    let ledger = Ledger::new(BYTES);
    let accounts: Vec<_> = SHARES.iter().map(|share| ledger.open(share.consumer)).collect();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut held = Vec::new();
    for _ in 0..20_000 {
        let account = &accounts[random(accounts.len())];
        match random(3) {
            0 if !held.is_empty() => drop(held.swap_remove(random(held.len()))),
            _ => {
                let (wanted, available) = (random(3000), account.available());
                let got = account.reserve(wanted);
                assert_eq!(got.is_ok(), wanted <= available);
                held.extend(got);
            }
        }
        let committed: usize = ledger.usage().iter().map(|usage| usage.used.max(usage.floor)).sum();
        assert!(committed <= BYTES);
        let used: usize = ledger.usage().iter().map(|usage| usage.used).sum();
        assert_eq!(used, held.iter().map(crate::Reservation::bytes).sum());
        assert!(ledger.usage().iter().all(|usage| usage.used <= usage.limit));
    }
    drop(held);
    assert!(ledger.usage().iter().all(|usage| usage.used == 0 && usage.peak > 0));
}

#[test]
fn a_buffer_has_its_capacity_reserved() {
    let ledger = Ledger::new(BYTES);
    let replies = ledger.open(Consumer::Replies);
    let mut buffer = Buffer::with_capacity(&replies, 10).unwrap();
    buffer.try_extend(b"0123456789").unwrap();
    assert_eq!((replies.used(), buffer.capacity()), (10, 10));
    buffer.try_extend(b"ab").unwrap();
    assert_eq!((&*buffer, replies.used()), (b"0123456789ab".as_slice(), buffer.capacity()));
    assert!(buffer.capacity() >= 20, "it doubles");
    buffer.truncate(2);
    buffer.as_mut_slice().fill(b'x');
    assert_eq!(&*buffer, b"xx");
    buffer.clear();
    assert_eq!((buffer.len(), replies.used()), (0, buffer.capacity()));
    drop(buffer);
    assert_eq!(replies.used(), 0);
}

#[test]
fn a_buffer_that_cannot_grow_stays_as_it_is() {
    let ledger = Ledger::new(BYTES);
    let replies = ledger.open(Consumer::Replies);
    let mut buffer = Buffer::with_capacity(&replies, 3000).unwrap();
    buffer.try_extend(&[1; 3000]).unwrap();
    // Twice the bytes do not fit beside the old ones; just enough do.
    buffer.try_extend(&[2; 100]).unwrap();
    assert_eq!((buffer.len(), buffer.capacity()), (3100, 3100));
    assert_eq!(usage(&ledger, "replies").refused, 0);
    assert!(buffer.try_extend(&[3; 3000]).is_err());
    assert_eq!((buffer.len(), replies.used()), (3100, 3100));
    assert!(Buffer::with_capacity(&replies, replies.limit()).is_err());
    assert_eq!(usage(&ledger, "replies").refused, 2);
}
