//! Memory that another domain may write at any moment.
//!
//! ```text
//!   other domain ──writes──► page ◄──atomic loads and stores── Shared ──values──► everybody else
//! ```
//!
//! [`Shared`] hands out values, never references: each access is one atomic load or store (the only accesses that may
//! race without undefined behaviour), at an offset that is checked against the length. Copies go word by word, and the
//! bytes that they return may be torn, but are always bytes: a parser works on a private copy.
//!
//! Offsets are computed by us, never by a peer. One outside the memory is a bug of ours: it stops a debug build, reads
//! as zero and writes nothing in a release.

#![allow(unsafe_code, reason = "the one place that touches foreign memory; see docs/soundness.md")]

use alloc::sync::Arc;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// An integer with an atomic twin of the same size and alignment.
pub trait Word: Copy + Default + sealed::Sealed {
    /// The atomic type.
    type Atomic;
    /// `atomic.load(order)`.
    fn load(atomic: &Self::Atomic, order: Ordering) -> Self;
    /// `atomic.store(self, order)`.
    fn store(self, atomic: &Self::Atomic, order: Ordering);
    /// `atomic.swap(self, SeqCst)`.
    fn swap(self, atomic: &Self::Atomic) -> Self;
    /// `atomic.fetch_or(self, SeqCst)`.
    fn fetch_or(self, atomic: &Self::Atomic) -> Self;
    /// `atomic.fetch_and(self, SeqCst)`.
    fn fetch_and(self, atomic: &Self::Atomic) -> Self;
    /// `atomic.compare_exchange(current, self, SeqCst, SeqCst)`.
    ///
    /// # Errors
    /// The value found, when it is not `current`.
    fn compare_exchange(self, atomic: &Self::Atomic, current: Self) -> Result<Self, Self>;
}

mod sealed {
    /// Only the unsigned integers below.
    pub trait Sealed {}
}

macro_rules! word {
    ($($int:ty => $atomic:ty),*) => {$(
        impl sealed::Sealed for $int {}
        impl Word for $int {
            type Atomic = $atomic;
            #[inline]
            fn load(atomic: &$atomic, order: Ordering) -> Self { atomic.load(order) }
            #[inline]
            fn store(self, atomic: &$atomic, order: Ordering) { atomic.store(self, order); }
            #[inline]
            fn swap(self, atomic: &$atomic) -> Self { atomic.swap(self, Ordering::SeqCst) }
            #[inline]
            fn fetch_or(self, atomic: &$atomic) -> Self { atomic.fetch_or(self, Ordering::SeqCst) }
            #[inline]
            fn fetch_and(self, atomic: &$atomic) -> Self { atomic.fetch_and(self, Ordering::SeqCst) }
            #[inline]
            fn compare_exchange(self, atomic: &$atomic, current: Self) -> Result<Self, Self> {
                atomic.compare_exchange(current, self, Ordering::SeqCst, Ordering::SeqCst)
            }
        }
    )*};
}
word!(u8 => AtomicU8, u16 => AtomicU16, u32 => AtomicU32, u64 => AtomicU64);

/// Memory that is shared with another domain or with Xen.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    base: NonNull<u8>,
    len: usize,
    life: PhantomData<&'a AtomicU8>,
}

/// A whole page that another domain may write: ours under a grant, or one of that domain's that we have mapped.
pub trait SharedPage {
    /// Access to its 4096 bytes, by values.
    fn shared(&self) -> Shared<'_>;
}

/// A page that several hold.
impl<P: SharedPage> SharedPage for Arc<P> {
    #[inline]
    fn shared(&self) -> Shared<'_> {
        (**self).shared()
    }
}

impl<'a> Shared<'a> {
    /// `len` bytes at `base`.
    ///
    /// # Safety
    /// For as long as `'a`, the bytes are mapped, readable and writable, and no reference to them exists in this
    /// domain other than to atomics; `base` is aligned to 8.
    #[must_use]
    pub const unsafe fn new(base: NonNull<u8>, len: usize) -> Self {
        Self { base, len, life: PhantomData }
    }

    /// Bytes of it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `count` atomics from `offset` on; none if they do not lie within, aligned. (A slice and not an `Option` of one:
    /// where the bounds are constants nothing is left to be asked at run time.)
    #[inline]
    fn cells<W: Word>(&self, offset: usize, count: usize) -> &'a [W::Atomic] {
        if count == 0 {
            // A copy shorter than a word ends before the next boundary: its run of words is empty, and unaligned.
            return &[];
        }
        let end = count.checked_mul(size_of::<W::Atomic>()).and_then(|size| offset.checked_add(size));
        let fits = end.is_some_and(|end| end <= self.len) && offset.is_multiple_of(align_of::<W::Atomic>());
        debug_assert!(fits, "{count} words at {offset} do not lie in {} shared bytes", self.len);
        if !fits {
            return &[];
        }
        let first = self.base.as_ptr().wrapping_add(offset).cast::<W::Atomic>();
        // SAFETY: `new`'s caller says that the memory is mapped for 'a and accessed by atomics only; the range is
        // within it and aligned (checked above, and the base is aligned to 8). All bit patterns are valid integers.
        unsafe { core::slice::from_raw_parts(first, count) }
    }

    #[inline]
    fn cell<W: Word>(&self, offset: usize) -> Option<&'a W::Atomic> {
        self.cells::<W>(offset, 1).first()
    }

    /// Reads one word with the given ordering (`Relaxed`, `Acquire` or `SeqCst`).
    #[inline]
    #[must_use]
    pub fn load<W: Word>(&self, offset: usize, order: Ordering) -> W {
        self.cell::<W>(offset).map_or_else(W::default, |cell| W::load(cell, order))
    }

    /// Reads words that follow each other, each with the given ordering, the first one first. All zero if they do not lie
    /// within.
    #[inline]
    #[must_use]
    pub fn load_all<W: Word, const N: usize>(&self, offset: usize, order: Ordering) -> [W; N] {
        let mut words = [W::default(); N];
        let cells = self.cells::<W>(offset, N);
        for (word, cell) in words.iter_mut().zip(cells) {
            *word = W::load(cell, order);
        }
        words
    }

    /// Writes one word with the given ordering (`Relaxed`, `Release` or `SeqCst`).
    #[inline]
    pub fn store<W: Word>(&self, offset: usize, value: W, order: Ordering) {
        if let Some(cell) = self.cell::<W>(offset) {
            value.store(cell, order);
        }
    }

    /// Replaces one word in one step; the value before.
    #[inline]
    pub fn swap<W: Word>(&self, offset: usize, value: W) -> W {
        self.cell::<W>(offset).map_or_else(W::default, |cell| value.swap(cell))
    }

    /// Sets bits in one step; the value before.
    #[inline]
    pub fn fetch_or<W: Word>(&self, offset: usize, bits: W) -> W {
        self.cell::<W>(offset).map_or_else(W::default, |cell| bits.fetch_or(cell))
    }

    /// Keeps only the given bits in one step; the value before.
    #[inline]
    pub fn fetch_and<W: Word>(&self, offset: usize, bits: W) -> W {
        self.cell::<W>(offset).map_or_else(W::default, |cell| bits.fetch_and(cell))
    }

    /// Replaces one word if it is `current`.
    ///
    /// # Errors
    /// The value found, when it is not `current`.
    #[inline]
    pub fn compare_exchange<W: Word>(&self, offset: usize, current: W, new: W) -> Result<W, W> {
        self.cell::<W>(offset).map_or(Err(W::default()), |cell| new.compare_exchange(cell, current))
    }

    /// Copies a record out, in words of 4 bytes: a slot of a ring. It is private from then on. All zero if it does not
    /// lie within, aligned to 4.
    #[inline]
    #[must_use]
    pub fn read_record<T: FromBytes + IntoBytes>(&self, offset: usize) -> T {
        let mut record = T::new_zeroed();
        let words = record.as_mut_bytes().as_chunks_mut::<4>().0;
        let cells = self.cells::<u32>(offset, words.len());
        for (word, cell) in words.iter_mut().zip(cells) {
            *word = cell.load(Ordering::Relaxed).to_ne_bytes();
        }
        record
    }

    /// Copies a record in, in words of 4 bytes.
    #[inline]
    pub fn write_record<T: IntoBytes + Immutable + ?Sized>(&self, offset: usize, record: &T) {
        let words = record.as_bytes().as_chunks::<4>().0;
        let cells = self.cells::<u32>(offset, words.len());
        for (word, cell) in words.iter().zip(cells) {
            cell.store(u32::from_ne_bytes(*word), Ordering::Relaxed);
        }
    }

    /// Copies bytes out. They are private from then on.
    #[inline(never)]
    pub fn read_bytes(&self, offset: usize, into: &mut [u8]) {
        let (head, words, _) = split(offset, into.len());
        let (first, rest) = into.split_at_mut_checked(head).unwrap_or_default();
        let (middle, last) = rest.split_at_mut_checked(words.saturating_mul(8)).unwrap_or_default();
        self.read_each(offset, first);
        let cells = self.cells::<u64>(offset.wrapping_add(head), words);
        in_runs(cells, middle, |cell, chunk| *chunk = cell.load(Ordering::Relaxed).to_ne_bytes());
        self.read_each(offset.wrapping_add(head).wrapping_add(middle.len()), last);
    }

    /// Copies bytes out and leaves zeros: each word is read and cleared before the next, so that clearing costs a store a
    /// word and nothing else.
    #[inline(never)]
    pub fn take_bytes(&self, offset: usize, into: &mut [u8]) {
        let (head, words, _) = split(offset, into.len());
        let (first, rest) = into.split_at_mut_checked(head).unwrap_or_default();
        let (middle, last) = rest.split_at_mut_checked(words.saturating_mul(8)).unwrap_or_default();
        self.take_each(offset, first);
        let cells = self.cells::<u64>(offset.wrapping_add(head), words);
        in_runs(cells, middle, |cell, chunk| {
            *chunk = cell.load(Ordering::Relaxed).to_ne_bytes();
            cell.store(0, Ordering::Relaxed);
        });
        self.take_each(offset.wrapping_add(head).wrapping_add(middle.len()), last);
    }

    /// Copies bytes in.
    #[inline(never)]
    pub fn write_bytes(&self, offset: usize, from: &[u8]) {
        let (head, words, _) = split(offset, from.len());
        let (first, rest) = from.split_at_checked(head).unwrap_or_default();
        let (middle, last) = rest.split_at_checked(words.saturating_mul(8)).unwrap_or_default();
        self.write_each(offset, first);
        let cells = self.cells::<u64>(offset.wrapping_add(head), words);
        for (chunk, cell) in middle.as_chunks::<8>().0.iter().zip(cells) {
            cell.store(u64::from_ne_bytes(*chunk), Ordering::Relaxed);
        }
        self.write_each(offset.wrapping_add(head).wrapping_add(middle.len()), last);
    }

    /// Writes zeros over `len` bytes.
    #[inline(never)]
    pub fn zero(&self, offset: usize, len: usize) {
        let (head, words, tail) = split(offset, len);
        for cell in self.cells::<u8>(offset, head) {
            cell.store(0, Ordering::Relaxed);
        }
        for cell in self.cells::<u64>(offset.wrapping_add(head), words) {
            cell.store(0, Ordering::Relaxed);
        }
        let end = offset.wrapping_add(len);
        for cell in self.cells::<u8>(end.wrapping_sub(tail), tail) {
            cell.store(0, Ordering::Relaxed);
        }
    }

    fn read_each(&self, offset: usize, into: &mut [u8]) {
        let cells = self.cells::<u8>(offset, into.len());
        for (byte, cell) in into.iter_mut().zip(cells) {
            *byte = cell.load(Ordering::Relaxed);
        }
    }

    fn take_each(&self, offset: usize, into: &mut [u8]) {
        let cells = self.cells::<u8>(offset, into.len());
        for (byte, cell) in into.iter_mut().zip(cells) {
            *byte = cell.load(Ordering::Relaxed);
            cell.store(0, Ordering::Relaxed);
        }
    }

    fn write_each(&self, offset: usize, from: &[u8]) {
        let cells = self.cells::<u8>(offset, from.len());
        for (byte, cell) in from.iter().zip(cells) {
            cell.store(*byte, Ordering::Relaxed);
        }
    }
}

/// Does something to each word and its 8 bytes, eight of them in a row: a loop of one word is more counting than copying.
#[inline]
fn in_runs(cells: &[AtomicU64], bytes: &mut [u8], each: impl Fn(&AtomicU64, &mut [u8; 8])) {
    let ((runs, rest), (cell_runs, cell_rest)) =
        (bytes.as_chunks_mut::<8>().0.as_chunks_mut::<8>(), cells.as_chunks::<8>());
    for (run, cells) in runs.iter_mut().zip(cell_runs) {
        run.iter_mut().zip(cells).for_each(|(chunk, cell)| each(cell, chunk));
    }
    rest.iter_mut().zip(cell_rest).for_each(|(chunk, cell)| each(cell, chunk));
}

/// Splits `len` bytes at `offset` into bytes up to the next multiple of 8, whole words, and bytes after them.
const fn split(offset: usize, len: usize) -> (usize, usize, usize) {
    let to_boundary = offset.wrapping_neg() & 7;
    let head = if to_boundary < len { to_boundary } else { len };
    let rest = len.wrapping_sub(head);
    (head, rest >> 3, rest & 7)
}

/// A full barrier: `xen_mb()` of Xen's `ring.h`. Between writing an index and reading the other side's event index,
/// nothing less will do (a store may pass a later load, also on x86).
#[inline]
pub fn full_barrier() {
    fence(Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    /// Every place in a word and its neighbours, and copies of several words: under Miri, which is slow, of two.
    const OFFSETS: usize = if cfg!(miri) { 9 } else { 24 };
    const LEN: u8 = if cfg!(miri) { 18 } else { 40 };

    #[repr(align(8))]
    struct Aligned([u8; 64]);

    fn with(f: impl FnOnce(Shared<'_>)) -> [u8; 64] {
        let mut memory = Aligned([0xaa; 64]);
        let base = NonNull::from(&mut memory.0).cast();
        // SAFETY: the array lives until the end of this function and is not touched otherwise meanwhile.
        f(unsafe { Shared::new(base, 64) });
        memory.0
    }

    /// Writes bytes at every offset and of every length, has `back` read them, and compares: what it reads is what was
    /// written, and what it `leaves` there, given that, is all that has changed in memory.
    fn everywhere(back: impl Fn(Shared<'_>, usize, &mut [u8]), leaves: impl Fn(&[u8]) -> Vec<u8>) {
        for offset in 0..OFFSETS {
            for len in 0..=LEN {
                let from: Vec<u8> = (1..=len).collect();
                let memory = with(|shared| {
                    shared.write_bytes(offset, &from);
                    let mut read = vec![0; from.len()];
                    back(shared, offset, &mut read);
                    assert_eq!(read, from);
                });
                let mut expected = [0xaa; 64];
                let left = leaves(&from);
                assert_eq!(left.len(), from.len());
                expected.iter_mut().skip(offset).zip(left).for_each(|(at, byte)| *at = byte);
                assert_eq!(memory, expected, "offset {offset} length {len}");
            }
        }
    }

    #[test]
    fn copies_are_exact_at_every_offset_and_length() {
        everywhere(|shared, offset, into| shared.read_bytes(offset, into), <[u8]>::to_vec);
    }

    #[test]
    fn what_is_taken_is_read_exactly_and_cleared_and_nothing_else() {
        everywhere(|shared, offset, into| shared.take_bytes(offset, into), |from| vec![0; from.len()]);
    }

    #[test]
    fn copies_of_many_words_are_exact() {
        for (offset, len) in (0..8).flat_map(|offset| [63, 64, 71, 72, 136, 200].map(|len| (offset, len))) {
            let mut memory = [0xaaaa_aaaa_aaaa_aaaa_u64; 32];
            let from: Vec<u8> = (1..=len).collect();
            let base = NonNull::from(&mut memory).cast();
            // SAFETY: the array lives until the end of this iteration and is not touched otherwise meanwhile.
            let shared = unsafe { Shared::new(base, 256) };
            shared.write_bytes(offset, &from);
            for left in [from.clone(), vec![0; from.len()]] {
                let mut read = vec![0; from.len()];
                shared.read_bytes(offset, &mut read);
                assert_eq!(read, left, "{offset} {len}");
                shared.take_bytes(offset, &mut read);
                assert_eq!(read, left, "{offset} {len}");
            }
            let mut all = [0; 256];
            shared.read_bytes(0, &mut all);
            let untouched = all.iter().filter(|byte| **byte == 0xaa).count();
            assert_eq!(untouched, 256 - from.len());
        }
    }

    #[test]
    fn records_are_exact_and_stay_within() {
        let memory = with(|shared| {
            shared.write_record(4, &[1_u8, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
            assert_eq!(shared.read_record::<[u8; 12]>(4), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
            assert_eq!(shared.read_record::<[u8; 4]>(12), [9, 10, 11, 12]);
        });
        assert_eq!(memory[..4], [0xaa; 4]);
        assert_eq!(memory[16..], [0xaa; 48]);
    }

    #[test]
    fn zero_clears_what_it_is_told_and_nothing_else() {
        for offset in 0..OFFSETS {
            for len in 0..=LEN {
                let len = usize::from(len);
                let memory = with(|shared| shared.zero(offset, len));
                for (i, byte) in memory.iter().enumerate() {
                    assert_eq!(
                        *byte == 0,
                        (offset..offset + len).contains(&i),
                        "offset {offset} length {len}"
                    );
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "do not lie in")]
    #[cfg(debug_assertions)]
    fn an_offset_outside_stops_a_debug_build() {
        with(|shared| assert_eq!(shared.load::<u32>(64, Ordering::Relaxed), 0));
    }
}
