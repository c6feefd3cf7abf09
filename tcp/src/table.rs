//! From a keyed hash to a number: extendible hashing, 8 bytes a slot, which grows a page at a time.
//!
//! ```text
//!   hash (32 bits)   top `depth` bits ─► directory ─► segment of 64 to 768 slots
//!                    low 16 bits ──────────────────► first slot; then the next one, until a free one
//!   slot             hash, id                         the caller compares the names of items
//! ```
//!
//! A full segment grows. At 768 slots it is split in two by the next bit of the hash, so that no insertion moves more than
//! 768 slots. The largest allocation beside a segment is the directory (4 bytes for some 400 items). A segment that
//! empties shrinks. The hash must be keyed ([`crate::tuple::Key`]), so that peers cannot make segments overflow. At a
//! million items a slot costs from 9.1 to 13.7 bytes.

use alloc::vec::Vec;

use crate::list::NONE;
use crate::slab::NoMemory;

/// The smallest and the largest number of slots of a segment.
const SIZES: [usize; 5] = [64, 128, 256, 512, 768];
/// Bits of the directory at most: the others choose the slot.
const MAX_DEPTH: u8 = 16;

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    id: u32,
}

const FREE: Slot = Slot { hash: 0, id: NONE };

#[derive(Debug, Default)]
struct Segment {
    slots: Vec<Slot>,
    used: usize,
    /// The number of hash bits that all its items have in common.
    depth: u8,
}

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    /// The number of a segment for the top bits of a hash. Empty before the first item.
    directory: Vec<u32>,
    segments: Vec<Segment>,
    depth: u8,
    len: u32,
}

impl Table {
    /// An empty table, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { directory: Vec::new(), segments: Vec::new(), depth: 0, len: 0 }
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
        let slots: usize = self.segments.iter().map(|segment| segment.slots.capacity()).sum();
        let slots = slots.saturating_mul(size_of::<Slot>());
        let segments = self.segments.capacity().saturating_mul(size_of::<Segment>());
        slots.saturating_add(segments).saturating_add(self.directory.capacity().saturating_mul(4))
    }

    /// The item with this hash for which `is_it` holds.
    #[inline]
    pub fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let segment = self.segments.get(usize::try_from(self.segment_of(hash)?).ok()?)?;
        let (behind, before) = segment.slots.split_at_checked(segment.first_slot(hash))?;
        for part in [before, behind] {
            for slot in part {
                if slot.id == NONE {
                    return None;
                }
                if slot.hash == hash && is_it(slot.id) {
                    return Some(slot.id);
                }
            }
        }
        None
    }

    /// Adds `id` under `hash`. The pair must not be in the table.
    ///
    /// # Errors
    /// [`NoMemory`]: nothing changed.
    pub fn insert(&mut self, hash: u32, id: u32) -> Result<(), NoMemory> {
        if id == NONE {
            return Err(NoMemory);
        }
        if self.directory.is_empty() {
            self.directory.try_reserve_exact(1).map_err(|_| NoMemory)?;
            self.segments.try_reserve_exact(1).map_err(|_| NoMemory)?;
            self.segments.push(Segment::default());
            self.directory.push(0);
        }
        // Each pass makes room, or uses one more hash bit for the segment.
        loop {
            let number = self.segment_of(hash).ok_or(NoMemory)?;
            let segment = self.segment_mut(number).ok_or(NoMemory)?;
            if segment.used < most(segment.slots.len()) {
                segment.put(hash, id);
                self.len = self.len.saturating_add(1);
                return Ok(());
            }
            match SIZES.iter().find(|size| **size > segment.slots.len()) {
                Some(size) => segment.resize(*size)?,
                None => self.split(number)?,
            }
        }
    }

    /// Removes the pair. Returns whether it was in the table.
    pub fn remove(&mut self, hash: u32, id: u32) -> bool {
        let Some(segment) = self.segment_of(hash).and_then(|number| self.segment_mut(number)) else {
            return false;
        };
        let removed = segment.take(hash, id);
        if removed {
            segment.shrink();
            self.len = self.len.saturating_sub(1);
        }
        removed
    }

    /// Number of the segment for a hash.
    #[inline]
    fn segment_of(&self, hash: u32) -> Option<u32> {
        let index = hash.checked_shr(32_u32.saturating_sub(u32::from(self.depth))).unwrap_or(0);
        self.directory.get(usize::try_from(index).ok()?).copied()
    }

    fn segment_mut(&mut self, number: u32) -> Option<&mut Segment> {
        self.segments.get_mut(usize::try_from(number).ok()?)
    }

    /// Divides a segment by the next bit of the hash.
    fn split(&mut self, number: u32) -> Result<(), NoMemory> {
        let depth = self.segment_mut(number).ok_or(NoMemory)?.depth;
        if depth >= MAX_DEPTH {
            return Err(NoMemory);
        }
        if depth == self.depth {
            self.double_directory()?;
        }
        let added = u32::try_from(self.segments.len()).map_err(|_| NoMemory)?;
        self.segments.try_reserve(1).map_err(|_| NoMemory)?;
        let bit = 0x8000_0000_u32.wrapping_shr(u32::from(depth));
        let depth = depth.saturating_add(1);
        let segment = self.segment_mut(number).ok_or(NoMemory)?;
        let ones = segment.things().filter(|slot| slot.hash & bit != 0).count();
        let mut zero = Segment::with_room(segment.used.saturating_sub(ones), depth)?;
        let mut one = Segment::with_room(ones, depth)?;
        for slot in segment.things() {
            let half = if slot.hash & bit == 0 { &mut zero } else { &mut one };
            half.put(slot.hash, slot.id);
        }
        *segment = zero;
        self.segments.push(one);
        // The second half of the segment's range in the directory leads to the new segment.
        let width = usize::from(self.depth.saturating_sub(depth));
        let half = 1_usize << width;
        let places = self.directory.chunks_exact_mut(half).filter(|places| places.first() == Some(&number));
        places.skip(1).for_each(|places| places.fill(added));
        Ok(())
    }

    /// Doubles the directory.
    fn double_directory(&mut self) -> Result<(), NoMemory> {
        let mut doubled = Vec::new();
        doubled.try_reserve_exact(self.directory.len().saturating_mul(2)).map_err(|_| NoMemory)?;
        doubled.extend(self.directory.iter().flat_map(|number| [*number, *number]));
        self.directory = doubled;
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }
}

/// The number of items in a segment of `slots` slots at most: seven eighths.
const fn most(slots: usize) -> usize {
    slots.saturating_sub(slots.div_ceil(8))
}

impl Segment {
    /// An empty segment with room for at least `count` items.
    fn with_room(count: usize, depth: u8) -> Result<Self, NoMemory> {
        let size = SIZES.iter().find(|size| count < most(**size)).or(SIZES.last()).copied().unwrap_or(0);
        Ok(Self { slots: free_slots(size)?, used: 0, depth })
    }

    /// The first slot of the search for a hash.
    #[inline]
    fn first_slot(&self, hash: u32) -> usize {
        let share = usize::try_from(hash & 0xffff).unwrap_or(0);
        share.saturating_mul(self.slots.len()) >> 16
    }

    fn things(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.id != NONE)
    }

    /// The slot after `index`, with wrap-around.
    const fn next(&self, index: usize) -> usize {
        let next = index.saturating_add(1);
        if next >= self.slots.len() { 0 } else { next }
    }

    /// Puts a pair into the first free slot, which exists.
    fn put(&mut self, hash: u32, id: u32) {
        let mut index = self.first_slot(hash);
        while self.slots.get(index).is_some_and(|slot| slot.id != NONE) {
            index = self.next(index);
        }
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot { hash, id };
            self.used = self.used.saturating_add(1);
        }
    }

    /// Removes a pair, and moves back pairs that it displaced.
    fn take(&mut self, hash: u32, id: u32) -> bool {
        let mut hole = self.first_slot(hash);
        loop {
            match self.slots.get(hole) {
                Some(slot) if slot.id == id && slot.hash == hash => break,
                Some(slot) if slot.id != NONE => hole = self.next(hole),
                _ => return false,
            }
        }
        let mut index = self.next(hole);
        while let Some(slot) = self.slots.get(index).copied().filter(|slot| slot.id != NONE) {
            let first = self.first_slot(slot.hash);
            // It may move if the hole is between its first slot and its place, with wrap-around.
            if self.distance(first, index) >= self.distance(hole, index) {
                if let Some(place) = self.slots.get_mut(hole) {
                    *place = slot;
                }
                hole = index;
            }
            index = self.next(index);
        }
        if let Some(place) = self.slots.get_mut(hole) {
            *place = FREE;
        }
        self.used = self.used.saturating_sub(1);
        true
    }

    /// The number of steps from one slot to another, with wrap-around.
    const fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from {
            to.saturating_sub(from)
        } else {
            self.slots.len().saturating_sub(from).saturating_add(to)
        }
    }

    /// Shrinks the segment when less than a quarter is used, and frees it when it is empty. Without memory it stays.
    fn shrink(&mut self) {
        if self.used == 0 {
            self.slots = Vec::new();
        } else if self.used < self.slots.len() / 4 {
            let smaller = SIZES.iter().rev().find(|size| **size < self.slots.len());
            let _stays = smaller.map(|size| self.resize(*size));
        }
    }

    /// Moves all items into `size` slots.
    fn resize(&mut self, size: usize) -> Result<(), NoMemory> {
        let old = core::mem::replace(&mut self.slots, free_slots(size)?);
        self.used = 0;
        old.into_iter().filter(|slot| slot.id != NONE).for_each(|slot| self.put(slot.hash, slot.id));
        Ok(())
    }
}

fn free_slots(count: usize) -> Result<Vec<Slot>, NoMemory> {
    let mut slots = Vec::new();
    slots.try_reserve_exact(count).map_err(|_| NoMemory)?;
    slots.resize(count, FREE);
    Ok(slots)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "tests compute with numbers of their own")]
    use super::*;
    use crate::tuple::Key;
    use alloc::collections::{BTreeMap, BTreeSet};

    fn hash(id: u32) -> u32 {
        crate::tuple::low32(Key::new([9; 16]).hash_bytes(&id.to_le_bytes()))
    }

    #[test]
    fn every_operation_agrees_with_a_map() {
        let (mut table, mut model, mut random) = (Table::new(), BTreeSet::new(), 1_u64);
        for round in 0..200_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let id = u32::try_from(random >> 50).unwrap();
            let grow = (round / 20_000) % 2 == 0;
            if (random >> 40) & 15 < if grow { 11 } else { 4 } {
                if model.insert(id) {
                    table.insert(hash(id), id).unwrap();
                }
            } else {
                assert_eq!(table.remove(hash(id), id), model.remove(&id));
            }
            let other = u32::try_from((random >> 20) & 0x3fff).unwrap();
            assert_eq!(table.find(hash(other), |id| id == other).is_some(), model.contains(&other));
        }
        assert_eq!(usize::try_from(table.len()).unwrap(), model.len());
        for id in model {
            assert!(table.remove(hash(id), id));
        }
        assert!(table.is_empty());
    }

    #[test]
    fn names_with_one_hash_are_told_apart() {
        let mut table = Table::new();
        let names = BTreeMap::from([(1, "a"), (2, "b"), (3, "c")]);
        names.keys().for_each(|id| table.insert(0xffff_ffff, *id).unwrap());
        for (id, name) in &names {
            assert_eq!(table.find(0xffff_ffff, |id| names[&id] == *name), Some(*id));
        }
        assert_eq!(table.find(0xffff_ffff, |id| names[&id] == "d"), None);
        assert!(table.remove(0xffff_ffff, 1));
        assert_eq!(table.find(0xffff_ffff, |id| id == 3), Some(3));
    }

    #[test]
    fn hashes_that_are_all_the_same_are_refused() {
        // It takes the key to bring that about; the answer is a refusal and not a loop.
        let mut table = Table::new();
        let taken = (0..2000).take_while(|id| table.insert(0x1234_5678, *id).is_ok()).count();
        assert_eq!(taken, most(768));
        assert!((0..672).all(|id| table.find(0x1234_5678, |found| found == id) == Some(id)));
    }

    #[test]
    fn many_things_take_14_bytes_each() {
        let mut table = Table::new();
        for id in 0..400_000 {
            table.insert(hash(id), id).unwrap();
            if id > 50_000 && id % 10_000 == 0 {
                let each = table.memory() / usize::try_from(id).unwrap();
                assert!(each <= 14, "{each} bytes at {id}");
            }
        }
        let full = table.memory();
        (0..400_000).for_each(|id| assert_eq!(table.find(hash(id), |found| found == id), Some(id)));
        (0..400_000).for_each(|id| assert!(table.remove(hash(id), id)));
        assert!(table.memory() < full / 50, "{} of {full}", table.memory());
    }
}
