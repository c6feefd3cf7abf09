//! Numbers that are hard to guess from outside but keep no secret: ports to start from, hash keys, seeds.
//!
//! Initial sequence numbers are smoltcp's (see [`crate::tcp::open`]).

/// SplitMix64.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// All ephemeral ports (RFC 6335: 49152 to 65535) once, from a random one on.
    pub(crate) fn ephemeral_ports(&mut self) -> impl Iterator<Item = u16> + use<> {
        const FIRST: u16 = 49152;
        const COUNT: u16 = 16384;
        let start = u16::try_from(self.next() >> 48).unwrap_or(0) % COUNT;
        (0..COUNT).map(move |step| FIRST.wrapping_add(start.wrapping_add(step) % COUNT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn each_ephemeral_port_comes_once() {
        let ports: BTreeSet<u16> = Rng::new(7).ephemeral_ports().collect();
        assert_eq!((ports.len(), ports.first(), ports.last()), (16384, Some(&49152), Some(&65535)));
    }
}
