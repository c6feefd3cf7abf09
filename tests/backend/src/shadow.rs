//! The bytes that granted pages may contain: any other byte is a leak.
//!
//! ```text
//!   page of a frame:   the bytes of frames, at their offsets, or zero where they were cleared
//!   page of a ring:    slots, and zero around them
//!   any other page:    zero
//! ```
//!
//! A frame that was built and not shown, or not taken, when the connection ended was meant for us as well.
//!
//! A page may move from one pool of the guest's to the other, so one book is kept for both directions.

use crate::Outcome;
use crate::sys::{Access, Gntdev, PAGE};
use std::collections::{BTreeMap, BTreeSet};

/// The references that every guest has from birth: its console and its xenstore ring.
const RESERVED: u32 = 2;
/// The scan ends after this many references in a row that are not granted.
const GAP: u32 = 600;

/// A page's bytes as they were last sent, and which of them may be anything.
#[derive(Debug)]
struct Known {
    bytes: Box<[u8; PAGE]>,
    wild: bool,
}

#[derive(Debug, Default)]
pub struct Shadow {
    pages: BTreeMap<u32, Known>,
    /// Rings of former connections that were kept mapped: the guest cannot take them back. Once they are unmapped it
    /// does, and their references belong to a pool from the first frame on.
    former_rings: BTreeSet<u32>,
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Scan {
    /// Pages that are granted.
    pub granted: u32,
    /// Those of them over which frames went.
    pub used: u32,
    pub foreign: Vec<String>,
}

impl Shadow {
    /// The guest sent these bytes from that page, or we wrote them there.
    pub fn carried(&mut self, gref: u32, offset: usize, bytes: &[u8]) {
        self.former_rings.remove(&gref);
        if let Some(to) = self.page(gref).bytes.get_mut(offset..offset + bytes.len()) {
            to.copy_from_slice(bytes);
        }
    }

    /// A thread writes to that page, so its contents are not predictable.
    pub fn wild(&mut self, gref: u32) {
        self.page(gref).wild = true;
    }

    /// The pages of these rings stay mapped when the connection is over.
    pub fn kept_rings(&mut self, rings: &[u32]) {
        self.former_rings.extend(rings);
    }

    fn page(&mut self, gref: u32) -> &mut Known {
        self.pages.entry(gref).or_insert_with(|| Known { bytes: Box::new([0; PAGE]), wild: false })
    }

    /// Searches every granted page. `rings` are the references of the rings' pages, `others` those of pages with other
    /// contents for dom0.
    pub fn scan(&self, gntdev: &Gntdev, mac: [u8; 6], rings: &[u32], others: &[u32]) -> Outcome<Scan> {
        let mut scan = Scan::default();
        let (mut gref, mut missing) = (RESERVED, 0);
        while missing < GAP {
            match gntdev.map(gref, Access::Read) {
                Ok(mapping) => {
                    missing = 0;
                    let mut bytes = [0; PAGE];
                    mapping.page().read_bytes(0, &mut bytes);
                    scan.granted += 1;
                    if !others.contains(&gref) {
                        self.look(&mut scan, gref, &bytes, rings, mac);
                    }
                }
                Err(_) => missing += 1,
            }
            gref += 1;
        }
        Ok(scan)
    }

    fn look(&self, scan: &mut Scan, gref: u32, bytes: &[u8; PAGE], rings: &[u32], mac: [u8; 6]) {
        let unsent = unsent_frame(bytes, mac);
        // A reference may have been a page's before it was a ring's; a former ring's may now be that of a pool's page.
        let ring = rings.contains(&gref) || (self.former_rings.contains(&gref) && unsent == 0);
        let bad = if ring {
            // The header's padding; the slots belong to the protocol, and after them everything is zero.
            let used = 64 + 256 * 12;
            let padding = bytes.iter().take(64).skip(16).any(|byte| *byte != 0).then_some(16);
            let rest = bytes.iter().skip(used).position(|byte| *byte != 0);
            padding.or(rest.map(|at| used + at))
        } else if let Some(known) = self.pages.get(&gref) {
            scan.used += 1;
            let foreign = |(at, (found, carried)): (usize, (&u8, &u8))| {
                *found != 0 && found != carried && !known.wild && at >= unsent
            };
            bytes.iter().zip(known.bytes.iter()).enumerate().position(foreign)
        } else {
            bytes.iter().enumerate().position(|(at, byte)| *byte != 0 && at >= unsent)
        };
        if let Some(at) = bad {
            let end = (at + 16).min(PAGE);
            let context = bytes.get(at..end).unwrap_or_default();
            scan.foreign.push(format!("gref {gref} byte {at}: {context:02x?}"));
        }
    }
}

/// Bytes of a frame of the guest's at the start of a page; 0 if there is none.
fn unsent_frame(bytes: &[u8; PAGE], mac: [u8; 6]) -> usize {
    let word = |at: usize| {
        bytes.get(at..at + 2).map_or(0, |word| {
            usize::from(word.first().copied().unwrap_or_default()) << 8
                | usize::from(word.last().copied().unwrap_or_default())
        })
    };
    if bytes.get(6..12) != Some(&mac) {
        return 0;
    }
    match word(12) {
        0x0806 => 42,
        0x0800 => 14 + word(16),
        _ => 0,
    }
}
