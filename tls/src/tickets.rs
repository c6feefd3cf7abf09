//! Session tickets (RFC 8446 §4.6.1): the server's state of a session, encrypted, kept by the client.
//!
//! ```text
//!   ticket:  nonce 12 ║ ciphertext ║ tag 16        key: current, replaced every [`PERIOD`]; previous, only to decrypt
//! ```

use crate::clock::Clock;
use crate::generator::Generator;
use alloc::sync::Arc;
use alloc::vec::Vec;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use rustls::server::ProducesTickets;
use spin::Mutex;

/// Seconds for which a key encrypts. It decrypts for as long again.
const PERIOD: u64 = 6 * 3600;
/// Seconds for which a client may use a ticket: no longer than its key decrypts.
const LIFETIME: u32 = 6 * 3600;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Bytes of a ticket at most: rustls's state with a server name is less than 400.
const MOST_BYTES: usize = 1024;

/// The keys of tickets. They clear themselves when they are dropped.
pub(crate) struct Tickets {
    generator: &'static Generator,
    clock: Arc<Clock>,
    keys: Mutex<Keys>,
}

struct Keys {
    current: ChaCha20Poly1305,
    previous: Option<ChaCha20Poly1305>,
    /// When `current` was made, by the monotonic clock.
    since: u64,
}

impl core::fmt::Debug for Tickets {
    /// Without the keys.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Tickets {
    pub(crate) fn new(generator: &'static Generator, clock: Arc<Clock>) -> Self {
        let keys = Keys { current: key(generator), previous: None, since: clock.monotonic() };
        Self { generator, clock, keys: Mutex::new(keys) }
    }

    /// Replaces the keys at once: no ticket that was given out is of use any more.
    pub(crate) fn renew(&self) {
        let since = self.clock.monotonic();
        *self.keys.lock() = Keys { current: key(self.generator), previous: None, since };
    }

    /// Replaces the current key when its time is over.
    fn rotate(&self, keys: &mut Keys) {
        let now = self.clock.monotonic();
        let age = now.saturating_sub(keys.since);
        if age >= PERIOD {
            let used = core::mem::replace(&mut keys.current, key(self.generator));
            keys.previous = (age < PERIOD.saturating_mul(2)).then_some(used);
            keys.since = now;
        }
    }
}

fn key(generator: &Generator) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&generator.bytes::<32>().into())
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut keys = self.keys.lock();
        self.rotate(&mut keys);
        let nonce = self.generator.bytes::<NONCE_BYTES>();
        let mut ticket = Vec::new();
        ticket.try_reserve_exact(plain.len().checked_add(NONCE_BYTES)?.checked_add(TAG_BYTES)?).ok()?;
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let bytes = ticket.get_mut(NONCE_BYTES..)?;
        let tag = keys.current.encrypt_inout_detached(&Nonce::from(nonce), &[], bytes.into()).ok()?;
        ticket.extend_from_slice(&tag);
        (ticket.len() <= MOST_BYTES).then_some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MOST_BYTES {
            return None;
        }
        let mut keys = self.keys.lock();
        self.rotate(&mut keys);
        let (nonce, rest) = ticket.split_first_chunk::<NONCE_BYTES>()?;
        let (bytes, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let (nonce, tag) = (Nonce::from(*nonce), Tag::from(*tag));
        [Some(&keys.current), keys.previous.as_ref()].into_iter().flatten().find_map(|key| {
            let mut plain = Vec::new();
            plain.try_reserve_exact(bytes.len()).ok()?;
            plain.extend_from_slice(bytes);
            key.decrypt_inout_detached(&nonce, &[], plain.as_mut_slice().into(), &tag).ok()?;
            Some(plain)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;

    fn tickets() -> (Arc<Clock>, Tickets) {
        let clock = Arc::new(Clock::default());
        let generator: &'static Generator = Box::leak(Box::new(Generator::new([7; 32])));
        (Arc::clone(&clock), Tickets::new(generator, clock))
    }

    #[test]
    fn a_key_decrypts_for_two_periods() {
        let (clock, tickets) = tickets();
        let ticket = tickets.encrypt(b"state").unwrap();
        clock.set(PERIOD, 0);
        assert_eq!(tickets.decrypt(&ticket).unwrap(), b"state");
        let second = tickets.encrypt(b"second").unwrap();
        clock.set(PERIOD * 2 - 1, 0);
        assert_eq!(tickets.decrypt(&ticket).unwrap(), b"state");
        clock.set(PERIOD * 2, 0);
        assert_eq!((tickets.decrypt(&ticket), tickets.decrypt(&second).unwrap()), (None, b"second".to_vec()));
        clock.set(PERIOD * 4, 0);
        assert_eq!(tickets.decrypt(&second), None);
    }

    #[test]
    fn renewed_keys_refuse_former_tickets() {
        let (_, tickets) = tickets();
        let ticket = tickets.encrypt(b"state").unwrap();
        tickets.renew();
        assert_eq!(tickets.decrypt(&ticket), None);
    }

    #[test]
    fn a_changed_or_cut_ticket_is_refused() {
        let (_, tickets) = tickets();
        let ticket = tickets.encrypt(b"state").unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None, "at {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None, "cut at {at}");
        }
        assert_eq!(tickets.decrypt(&[0; MOST_BYTES + 1]), None);
        assert_eq!(tickets.encrypt(&[0; MOST_BYTES]), None);
    }
}
