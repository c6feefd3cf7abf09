//! Bytes with their own reservation.

use crate::account::{Account, Refused, Reservation};
use alloc::vec::Vec;
use core::ops::Deref;

/// Bytes that grow by fallible allocations, each of them reserved. Reading is by slice.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    account: Account,
    /// As many bytes as `bytes` has capacity.
    reservation: Reservation,
}

impl Buffer {
    /// Without bytes and without memory.
    #[must_use]
    pub fn new(account: &Account) -> Self {
        let reservation = Reservation::none(account);
        Self { bytes: Vec::new(), account: account.clone(), reservation }
    }

    /// With room for `capacity` bytes.
    ///
    /// # Errors
    /// The ledger or the heap does not permit it.
    pub fn with_capacity(account: &Account, capacity: usize) -> Result<Self, Refused> {
        let mut buffer = Self::new(account);
        buffer.try_reserve(capacity)?;
        Ok(buffer)
    }

    /// Bytes that fit without an allocation.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Makes room for `more` bytes, and no more than that.
    ///
    /// The old and the new memory are both reserved while the bytes are moved, as both are in use then.
    ///
    /// # Errors
    /// The ledger or the heap does not permit it; the buffer then stays as it is.
    pub fn try_reserve(&mut self, more: usize) -> Result<(), Refused> {
        let wanted = self.bytes.len().saturating_add(more);
        if wanted <= self.bytes.capacity() {
            return Ok(());
        }
        let mut reservation = self.account.reserve(wanted)?;
        let missing = wanted.saturating_sub(self.bytes.len());
        self.bytes.try_reserve_exact(missing).map_err(|_| self.account.refuse(wanted))?;
        // The allocator may give more than was asked for.
        let beyond = self.bytes.capacity().saturating_sub(wanted);
        // Memory that is there already is not given back for want of a reservation.
        let _ = reservation.grow(beyond);
        self.reservation = reservation;
        Ok(())
    }

    /// Appends bytes. Room for at least twice the bytes is made if the ledger permits it, and otherwise just enough.
    ///
    /// # Errors
    /// The ledger or the heap does not permit it; the buffer then stays as it is.
    pub fn try_extend(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if bytes.len() > self.bytes.capacity().saturating_sub(self.bytes.len()) {
            let twice = self.bytes.len().max(bytes.len());
            let permitted = self.bytes.len().saturating_add(twice) <= self.account.available();
            if !permitted || self.try_reserve(twice).is_err() {
                self.try_reserve(bytes.len())?;
            }
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Removes all bytes, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The bytes, to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Keeps the first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
