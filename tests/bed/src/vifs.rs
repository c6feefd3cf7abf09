//! Network addresses of the guests' cards.
//!
//! The DHCP server remembers 16 cards and hands out 10.0.2.15 upwards in the order in which it meets them. xl would
//! invent a new card for every guest, and the seventeenth would get no lease. So the bed gives cards that have no
//! address of their own the lowest free one of sixteen, and takes it back when the guest is gone.

use crate::error::{Error, Kind, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// How many cards the DHCP server remembers.
const CARDS: usize = 16;

/// The addresses in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cards(Arc<Mutex<[bool; CARDS]>>);

/// An address, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Card {
    number: usize,
    all: Cards,
}

impl Cards {
    fn take(&self) -> Result<Card> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = used.iter_mut().enumerate().find(|(_, used)| !**used);
        let (number, slot) = free.ok_or_else(|| {
            Error::new(Kind::Config, format!("all {CARDS} network cards of the bed are in use"))
                .next("destroy a guest, or give the card an address and the guest a static one")
        })?;
        *slot = true;
        Ok(Card { number, all: self.clone() })
    }

    /// Gives an address to every card that has none.
    pub(crate) fn assign(&self, cards: &[String]) -> Result<(Vec<String>, Vec<Card>)> {
        let mut taken = Vec::new();
        let mut assigned = Vec::new();
        for card in cards {
            if card.split(',').any(|part| part.trim_start().starts_with("mac=")) {
                assigned.push(card.clone());
                continue;
            }
            let own = self.take()?;
            let separator = if card.is_empty() { "" } else { "," };
            assigned.push(format!("{card}{separator}mac={}", own.mac()));
            taken.push(own);
        }
        Ok((assigned, taken))
    }
}

impl Card {
    /// The address, in the range that is Xen's.
    pub(crate) fn mac(&self) -> String {
        format!("00:16:3e:be:d0:{:02x}", self.number)
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let mut used = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = used.get_mut(self.number) {
            *slot = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cards_without_address_get_one() {
        let (cards, own) = Cards::default()
            .assign(&["bridge=xenbr0".into(), "mac=02:00:00:00:00:01".into(), String::new()])
            .unwrap();
        assert_eq!(
            cards,
            ["bridge=xenbr0,mac=00:16:3e:be:d0:00", "mac=02:00:00:00:00:01", "mac=00:16:3e:be:d0:01"]
        );
        assert_eq!(own.len(), 2);
    }

    #[test]
    fn addresses_are_used_again() {
        let cards = Cards::default();
        let all: Vec<_> = (0..CARDS).map(|_| cards.take().unwrap()).collect();
        assert!(cards.take().is_err());
        drop(all);
        assert_eq!(cards.take().unwrap().mac(), "00:16:3e:be:d0:00");
    }
}
