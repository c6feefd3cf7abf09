//! Numbered items in chunks of 64. Growth copies nothing and may fail; empty chunks are freed.
//!
//! ```text
//!   id = chunk × 64 + slot       chunks: [ Chunk{ free: bitmap, slots: 64 × Option<T> }, ... ]
//!   open:   chunks with memory and a free slot, a list through the chunks
//!   vacant: chunks without memory, a list through the chunks
//! ```

use alloc::vec::Vec;

use crate::list::NONE;

/// Slots of a chunk: the bits of its bitmap.
const SLOTS: u32 = u64::BITS;

/// The allocation failed, or all numbers are in use. The caller refuses the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMemory;

impl core::fmt::Display for NoMemory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(
            "no memory for another connection: give the guest more, or lower the limits of connections",
        )
    }
}

impl core::error::Error for NoMemory {}

#[derive(Debug)]
struct Chunk<T> {
    /// 64 slots, or none while the chunk is vacant.
    slots: Vec<Option<T>>,
    /// Bit `n` is set while slot `n` is free.
    free: u64,
    /// Neighbours in the list `open`; `next` also in the list `vacant`.
    prev: u32,
    next: u32,
}

/// Items of one type. An item keeps its number until it is removed.
#[derive(Debug)]
pub struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    open: u32,
    vacant: u32,
    len: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// An empty slab, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), open: NONE, vacant: NONE, len: 0 }
    }

    /// The number of items.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is no item.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory, without the overhead of the allocator.
    #[must_use]
    pub fn memory(&self) -> usize {
        let slots: usize = self.chunks.iter().map(|chunk| chunk.slots.capacity()).sum();
        let own = self.chunks.capacity().saturating_mul(size_of::<Chunk<T>>());
        slots.saturating_mul(size_of::<Option<T>>()).saturating_add(own)
    }

    /// Adds an item and returns its number.
    ///
    /// # Errors
    /// [`NoMemory`]: nothing changed, and the item is dropped.
    pub fn insert(&mut self, thing: T) -> Result<u32, NoMemory> {
        if self.open == NONE {
            self.add_chunk()?;
        }
        let number = self.open;
        let chunk = self.chunk_mut(number).ok_or(NoMemory)?;
        let bit = chunk.free.trailing_zeros();
        let slot = chunk.slots.get_mut(usize::try_from(bit).unwrap_or(usize::MAX)).ok_or(NoMemory)?;
        *slot = Some(thing);
        chunk.free &= chunk.free.wrapping_sub(1);
        if chunk.free == 0 {
            self.close(number);
        }
        self.len = self.len.saturating_add(1);
        Ok(number.saturating_mul(SLOTS).saturating_add(bit))
    }

    /// Removes an item.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let number = id / SLOTS;
        let thing = self.slot_mut(id)?.take()?;
        self.len = self.len.saturating_sub(1);
        let chunk = self.chunk_mut(number)?;
        let was_full = chunk.free == 0;
        chunk.free |= 1_u64.wrapping_shl(id % SLOTS);
        let is_empty = chunk.free == u64::MAX;
        if was_full {
            self.open_again(number);
        }
        // One empty chunk is kept: otherwise a single connection that opens and closes could allocate each time.
        let is_last_open = self.open == number && self.chunk_mut(number)?.next == NONE;
        if is_empty && !is_last_open {
            self.close(number);
            let vacant = self.vacant;
            let chunk = self.chunk_mut(number)?;
            chunk.slots = Vec::new();
            chunk.next = vacant;
            self.vacant = number;
        }
        Some(thing)
    }

    /// The item with this number.
    #[must_use]
    #[inline]
    pub fn get(&self, id: u32) -> Option<&T> {
        let chunk = self.chunks.get(usize::try_from(id / SLOTS).ok()?)?;
        chunk.slots.get(usize::try_from(id % SLOTS).ok()?)?.as_ref()
    }

    /// The item with this number, mutable.
    #[inline]
    pub fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.slot_mut(id)?.as_mut()
    }

    /// A number above all those in use.
    #[must_use]
    pub fn end(&self) -> u32 {
        u32::try_from(self.chunks.len()).unwrap_or(u32::MAX).saturating_mul(SLOTS)
    }

    /// Numbers and items, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let all = self.chunks.iter().zip((0_u32..).step_by(64));
        all.flat_map(|(chunk, first)| {
            let numbers = (0_u32..).map(move |slot| first.saturating_add(slot));
            chunk.slots.iter().zip(numbers).filter_map(|(slot, id)| Some((id, slot.as_ref()?)))
        })
    }

    fn slot_mut(&mut self, id: u32) -> Option<&mut Option<T>> {
        self.chunk_mut(id / SLOTS)?.slots.get_mut(usize::try_from(id % SLOTS).ok()?)
    }

    fn chunk_mut(&mut self, number: u32) -> Option<&mut Chunk<T>> {
        self.chunks.get_mut(usize::try_from(number).ok()?)
    }

    /// Allocates a vacant chunk, or a new one, and opens it.
    fn add_chunk(&mut self) -> Result<(), NoMemory> {
        let mut slots = Vec::new();
        let count = usize::try_from(SLOTS).unwrap_or(0);
        slots.try_reserve_exact(count).map_err(|_| NoMemory)?;
        slots.resize_with(count, || None);
        let number = if self.vacant == NONE {
            let number = u32::try_from(self.chunks.len()).ok().filter(|number| *number < NONE / SLOTS);
            let number = number.ok_or(NoMemory)?;
            self.chunks.try_reserve(1).map_err(|_| NoMemory)?;
            self.chunks.push(Chunk { slots: Vec::new(), free: u64::MAX, prev: NONE, next: NONE });
            number
        } else {
            let number = self.vacant;
            self.vacant = self.chunk_mut(number).ok_or(NoMemory)?.next;
            number
        };
        let chunk = self.chunk_mut(number).ok_or(NoMemory)?;
        chunk.slots = slots;
        self.open_again(number);
        Ok(())
    }

    /// Adds a chunk at the head of the list `open`.
    fn open_again(&mut self, number: u32) {
        let head = self.open;
        if let Some(head) = self.chunk_mut(head) {
            head.prev = number;
        }
        if let Some(chunk) = self.chunk_mut(number) {
            (chunk.prev, chunk.next) = (NONE, head);
        }
        self.open = number;
    }

    /// Removes a chunk from the list `open`.
    fn close(&mut self, number: u32) {
        let Some(chunk) = self.chunk_mut(number) else { return };
        let (prev, next) = (chunk.prev, chunk.next);
        match self.chunk_mut(prev) {
            Some(before) => before.next = next,
            None => self.open = next,
        }
        if let Some(after) = self.chunk_mut(next) {
            after.prev = prev;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;
    use alloc::collections::BTreeMap;

    #[test]
    fn a_million_operations_agree_with_a_map() {
        let (mut slab, mut map, mut random) = (Slab::new(), BTreeMap::new(), 1_u64);
        for round in 0..300_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Grows for a while, then shrinks.
            let grow = (round / 30_000) % 2 == 0;
            if (random >> 60) < if grow { 11 } else { 5 } {
                let id = slab.insert(round).unwrap();
                assert_eq!(map.insert(id, round), None);
            } else {
                let id = u32::try_from(random >> 40).unwrap() % 20_000;
                let id = map.range(id..).next().map_or(id, |(id, _)| *id);
                assert_eq!(slab.remove(id), map.remove(&id));
                assert_eq!(slab.remove(id), None);
            }
            assert_eq!(usize::try_from(slab.len()).unwrap(), map.len());
        }
        assert!(slab.iter().map(|(id, thing)| (id, *thing)).eq(map.clone()));
        for (id, thing) in map {
            assert_eq!(slab.get(id), Some(&thing));
            assert_eq!(slab.remove(id), Some(thing));
        }
        assert!(slab.is_empty());
    }

    #[test]
    fn memory_comes_back() {
        let mut slab = Slab::new();
        let ids: Vec<u32> = (0..100_000_u32).map(|n| slab.insert([n; 16]).unwrap()).collect();
        let full = slab.memory();
        assert!(full < 100_000 * (64 + 6), "{full}");
        ids.into_iter().for_each(|id| assert!(slab.remove(id).is_some()));
        // One chunk and the list of chunks remain.
        assert!(slab.memory() < full / 50, "{} of {full}", slab.memory());
        // Numbers start low again.
        assert!(slab.insert([0; 16]).unwrap() < 100_000);
    }

    #[test]
    fn one_at_the_edge_does_not_allocate_each_time() {
        let mut slab = Slab::new();
        (0..64).for_each(|n| assert_eq!(slab.insert(n), Ok(n)));
        let id = slab.insert(64).unwrap();
        let memory = slab.memory();
        for _ in 0..10 {
            slab.remove(id);
            assert_eq!((slab.memory(), slab.insert(64)), (memory, Ok(id)));
        }
    }
}
