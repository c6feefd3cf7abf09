//! Doubly linked lists of numbered items: 8 bytes an item, each operation in constant time.
//!
//! ```text
//!   List{ head, tail } ──► Links{ prev, next } in each item, found by a trait
//! ```
//!
//! A list in the order of use begins with the item that is idle for the longest time. A list in the order of arrival is
//! the queue of a fixed timeout.

/// No item.
pub const NONE: u32 = u32::MAX;

/// The neighbours of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Links {
    prev: u32,
    next: u32,
}

impl Links {
    /// In no list.
    pub const UNLINKED: Self = Self { prev: NONE, next: NONE };

    /// The next thing in the list.
    #[must_use]
    pub fn next(self) -> Option<u32> {
        (self.next != NONE).then_some(self.next)
    }
}

/// Finds the links of an item.
pub trait Linked {
    /// The links of item `id`. `None` if there is no such item.
    fn links(&mut self, id: u32) -> Option<&mut Links>;
}

/// A list. It does not own its items: an item must be unlinked before it is dropped.
#[derive(Debug, Clone, Copy)]
pub struct List {
    head: u32,
    tail: u32,
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl List {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: NONE, tail: NONE }
    }

    /// The first item.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    /// Whether `id` is in this list.
    pub fn has(&self, things: &mut impl Linked, id: u32) -> bool {
        things.links(id).is_some_and(|links| links.prev != NONE || self.head == id)
    }

    /// Appends `id`, which must be in no list.
    pub fn push_back(&mut self, things: &mut impl Linked, id: u32) {
        let tail = self.tail;
        let Some(links) = things.links(id) else { return };
        *links = Links { prev: tail, next: NONE };
        match things.links(tail) {
            Some(last) => last.next = id,
            None => self.head = id,
        }
        self.tail = id;
    }

    /// Removes `id`, if it is in this list.
    pub fn remove(&mut self, things: &mut impl Linked, id: u32) {
        let Some(links) = things.links(id) else { return };
        let Links { prev, next } = *links;
        if prev == NONE && self.head != id {
            return;
        }
        *links = Links::UNLINKED;
        match things.links(prev) {
            Some(before) => before.next = next,
            None => self.head = next,
        }
        match things.links(next) {
            Some(after) => after.prev = prev,
            None => self.tail = prev,
        }
    }

    /// Moves `id` to the end of this list.
    pub fn move_to_back(&mut self, things: &mut impl Linked, id: u32) {
        if self.tail != id {
            self.remove(things, id);
            self.push_back(things, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;

    impl Linked for Vec<Links> {
        fn links(&mut self, id: u32) -> Option<&mut Links> {
            self.get_mut(usize::try_from(id).unwrap())
        }
    }

    fn ids(list: &List, things: &mut Vec<Links>) -> VecDeque<u32> {
        let mut found = VecDeque::new();
        let mut id = list.head;
        while let Some(links) = things.links(id).copied() {
            assert_eq!(links.prev, found.back().copied().unwrap_or(NONE));
            found.push_back(id);
            id = links.next;
        }
        assert_eq!(list.tail, found.back().copied().unwrap_or(NONE));
        found
    }

    #[test]
    fn every_operation_agrees_with_a_queue() {
        let mut things = alloc::vec![Links::UNLINKED; 8];
        let (mut list, mut model, mut random) = (List::new(), VecDeque::new(), 1_u64);
        for _ in 0..5000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let id = u32::try_from(random >> 61).unwrap();
            let known = model.iter().position(|other| *other == id);
            match (random >> 58) & 3 {
                0 => {
                    list.remove(&mut things, id);
                    known.and_then(|place| model.remove(place));
                }
                _ => {
                    list.move_to_back(&mut things, id);
                    known.and_then(|place| model.remove(place));
                    model.push_back(id);
                }
            }
            assert_eq!(ids(&list, &mut things), model);
            assert_eq!(list.first(), model.front().copied());
        }
    }

    #[test]
    fn a_number_without_a_thing_changes_nothing() {
        let mut things = alloc::vec![Links::UNLINKED; 2];
        let mut list = List::new();
        list.push_back(&mut things, 7);
        list.remove(&mut things, 7);
        assert_eq!(list.first(), None);
        list.push_back(&mut things, 1);
        list.remove(&mut things, 0);
        assert_eq!(list.first(), Some(1));
    }
}
