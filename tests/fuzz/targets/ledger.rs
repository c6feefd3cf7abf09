//! The ledger, against the simplest model of it, while allocations fail: what is used is what is reserved, floors stay
//! free for their owners, limits hold, and what is refused changes nothing.
//!
//! ```text
//!   bytes   0 c n: reserve   1 i n: grow   2 i n: shrink   3 i: drop   4 c: open   5 c n: a buffer   6 i n: extend it
//!   7 i n: truncate it   8 i: drop it   9 n: the n-th allocation from now on fails
//! ```

#![no_main]

use fuzz::Input;
use ledger::{Account, Buffer, Consumer, Ledger, Reservation, SHARES};
use libfuzzer_sys::fuzz_target;

const MOST: usize = 300;

struct World {
    ledger: Ledger,
    accounts: [Option<Account>; SHARES.len()],
    reservations: Vec<(usize, Reservation)>,
    buffers: Vec<(usize, Buffer, Vec<u8>)>,
    fail: Option<usize>,
}

impl World {
    fn consumer(&mut self, input: &mut Input<'_>) -> (usize, Account) {
        let at = usize::from(input.byte()) % SHARES.len();
        let consumer: Consumer = SHARES[at].consumer;
        let account = self.accounts[at].get_or_insert_with(|| self.ledger.open(consumer)).clone();
        (at, account)
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 10 {
            0 => {
                let ((at, account), n) = (self.consumer(input), input.word() as usize);
                let n = if n & 1 == 0 { n % 70_000 } else { n };
                let (available, used) = (account.available(), account.used());
                match account.reserve(n) {
                    Ok(reservation) => {
                        assert!(n <= available && account.used() == used + n);
                        self.reservations.push((at, reservation));
                    }
                    Err(refused) => assert!(n > available && refused.wanted == n && account.used() == used),
                }
            }
            1 => {
                let (index, n) = (usize::from(input.byte()), usize::from(input.short()));
                let len = self.reservations.len().max(1);
                let Some((_, reservation)) = self.reservations.get_mut(index % len) else { return };
                let before = reservation.bytes();
                let grown = reservation.grow(n).is_ok();
                assert_eq!(reservation.bytes(), if grown { before + n } else { before });
            }
            2 => {
                let (index, n) = (usize::from(input.byte()), usize::from(input.short()));
                let len = self.reservations.len().max(1);
                let Some((_, reservation)) = self.reservations.get_mut(index % len) else { return };
                let before = reservation.bytes();
                reservation.shrink_to(n);
                assert_eq!(reservation.bytes(), before.min(n));
            }
            3 => {
                let index = usize::from(input.byte());
                if !self.reservations.is_empty() {
                    self.reservations.swap_remove(index % self.reservations.len());
                }
            }
            4 => drop(self.consumer(input)),
            5 => {
                let ((at, account), n) = (self.consumer(input), usize::from(input.short()));
                let used = account.used();
                let (made, _) = self.failing(|| Buffer::with_capacity(&account, n));
                match made {
                    Ok(buffer) => self.buffers.push((at, buffer, Vec::new())),
                    Err(_) => assert_eq!(account.used(), used),
                }
            }
            6 => {
                let (index, n) = (usize::from(input.byte()), usize::from(input.short()));
                let bytes = vec![n as u8; n];
                if self.buffers.is_empty() {
                    return;
                }
                let at = index % self.buffers.len();
                let (owner, mut buffer, mut model) = self.buffers.swap_remove(at);
                let before = (buffer.len(), buffer.capacity());
                let (extended, _) = self.failing(|| buffer.try_extend(&bytes));
                match extended {
                    Ok(()) => model.extend(&bytes),
                    Err(_) => assert_eq!((buffer.len(), buffer.capacity()), before),
                }
                assert_eq!(buffer[..], model[..]);
                self.buffers.push((owner, buffer, model));
            }
            7 => {
                let (index, n) = (usize::from(input.byte()), usize::from(input.short()));
                let len = self.buffers.len().max(1);
                let Some((_, buffer, model)) = self.buffers.get_mut(index % len) else { return };
                buffer.truncate(n);
                model.truncate(n);
            }
            8 => {
                let index = usize::from(input.byte());
                if !self.buffers.is_empty() {
                    self.buffers.swap_remove(index % self.buffers.len());
                }
            }
            _ => self.fail = Some(usize::from(input.byte() % 4)),
        }
    }

    /// Runs with the allocation that is to fail.
    fn failing<T>(&mut self, work: impl FnOnce() -> T) -> (T, bool) {
        match self.fail.take() {
            Some(nth) => allocation_tests::fail(1, nth, work),
            None => (work(), false),
        }
    }

    fn check(&self) {
        let usage = self.ledger.usage();
        let mut committed = 0;
        for (at, usage) in usage.iter().enumerate() {
            let reserved: usize =
                self.reservations.iter().filter(|(owner, _)| *owner == at).map(|(_, r)| r.bytes()).sum();
            let buffered: usize =
                self.buffers.iter().filter(|(owner, ..)| *owner == at).map(|(_, b, _)| b.capacity()).sum();
            assert_eq!(usage.used, reserved + buffered, "{usage:?}");
            assert!(usage.used <= usage.limit && usage.peak >= usage.used, "{usage:?}");
            committed += usage.used.max(usage.floor);
            if let Some(account) = &self.accounts[at] {
                let floor = usage.floor.saturating_sub(usage.used);
                assert!(
                    account.available() >= floor.min(usage.limit - usage.used),
                    "the floor is kept: {usage:?}"
                );
            }
        }
        // An account that is opened late may find its floor in use.
        let opened: usize = usage.iter().map(|usage| usage.floor).sum();
        assert!(committed <= self.ledger.bytes() + opened, "{committed} of {}", self.ledger.bytes());
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let bytes = input.word() as usize % (1 << 22);
    let mut world = World {
        ledger: Ledger::new(bytes),
        accounts: [const { None }; SHARES.len()],
        reservations: Vec::new(),
        buffers: Vec::new(),
        fail: None,
    };
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.check();
    }
    drop((world.reservations, world.buffers));
    assert!(world.ledger.usage().iter().all(|usage| usage.used == 0), "all is given back");
});
