//! MAC addresses of the guests' vifs.
//!
//! The DHCP server remembers 16 vifs and assigns addresses from 10.0.2.15 in the order in which it meets them. xl would
//! invent a new MAC address for every guest, and the seventeenth would get no lease. So the test bed gives vifs without
//! an address the lowest free one of sixteen, and takes it back when the guest is gone.

use crate::error::{Error, Kind, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// How many vifs the DHCP server remembers.
const VIFS: usize = 16;

/// The addresses in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vifs(Arc<Mutex<[bool; VIFS]>>);

/// A MAC address, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct MacLease {
    number: usize,
    all: Vifs,
}

impl Vifs {
    fn take(&self) -> Result<MacLease> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = used.iter_mut().enumerate().find(|(_, used)| !**used);
        let (number, slot) = free.ok_or_else(|| {
            Error::new(Kind::Config, format!("all {VIFS} vifs of the test bed are in use"))
                .next("destroy a guest, or give the vif an address and the guest a static one")
        })?;
        *slot = true;
        Ok(MacLease { number, all: self.clone() })
    }

    /// Gives an address to every vif that has none.
    pub(crate) fn assign(&self, vifs: &[String]) -> Result<(Vec<String>, Vec<MacLease>)> {
        let mut taken = Vec::new();
        let mut assigned = Vec::new();
        for vif in vifs {
            if vif.split(',').any(|part| part.trim_start().starts_with("mac=")) {
                assigned.push(vif.clone());
                continue;
            }
            let own = self.take()?;
            let separator = if vif.is_empty() { "" } else { "," };
            assigned.push(format!("{vif}{separator}mac={}", own.mac()));
            taken.push(own);
        }
        Ok((assigned, taken))
    }
}

impl MacLease {
    /// The address, in the range that is Xen's.
    pub(crate) fn mac(&self) -> String {
        format!("00:16:3e:be:d0:{:02x}", self.number)
    }
}

impl Drop for MacLease {
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
    fn only_vifs_without_address_get_one() {
        let (vifs, own) = Vifs::default()
            .assign(&["bridge=xenbr0".into(), "mac=02:00:00:00:00:01".into(), String::new()])
            .unwrap();
        assert_eq!(
            vifs,
            ["bridge=xenbr0,mac=00:16:3e:be:d0:00", "mac=02:00:00:00:00:01", "mac=00:16:3e:be:d0:01"]
        );
        assert_eq!(own.len(), 2);
    }

    #[test]
    fn addresses_are_used_again() {
        let vifs = Vifs::default();
        let all: Vec<_> = (0..VIFS).map(|_| vifs.take().unwrap()).collect();
        assert!(vifs.take().is_err());
        drop(all);
        assert_eq!(vifs.take().unwrap().mac(), "00:16:3e:be:d0:00");
    }
}
