//! The receiving half of an iteration: each frame goes to its receiver, within a budget.

use nic::{Checksum, Nic};

use crate::base::counters::{DropReason, FrameKind};
use crate::base::observer::Show;
use crate::frame::classify::{Class, classify};
use crate::frame::reassembly::Fragment;
use crate::turn::frame::Frame;
use crate::turn::icmp::Trouble;
use crate::turn::state::State;

/// Headers within headers that are followed: a tag, extension headers, fragments.
const DEPTH: u8 = 4;

impl State {
    /// Handles received frames up to the budget. `true`: there are more.
    pub(super) fn receive<N: Nic>(&mut self, nic: &mut N) -> bool {
        for _ in 0..self.limits.rx_budget.max(1) {
            let Some(received) = nic.peek() else { return false };
            Show::new(&self.observer, self.now).frame(received.frame);
            let verify = received.checksum == Checksum::Unknown;
            match classify(received.frame, &self.me, verify) {
                // Nearly all, as a rule: it goes a short way.
                Class::Tcp(segment) => self.tcp_frame(nic, Frame::InPlace, &segment),
                other => self.frame(nic, Frame::InPlace, other, 0),
            }
        }
        let more = nic.peek().is_some();
        if more {
            self.counters.rx_budget_hits.bump();
        }
        more
    }

    /// Handles a classified frame. A separate function, so that the setup for rare frames costs nothing in
    /// each iteration.
    #[inline(never)]
    fn frame<N: Nic>(&mut self, nic: &mut N, frame: Frame<'_>, class: Class, depth: u8) {
        match class {
            Class::Drop(DropReason::EtherType) if matches!(frame, Frame::InPlace) && self.feed_tap(nic) => {}
            Class::Drop(reason) => {
                self.drops.bump(reason);
                frame.discard(nic);
            }
            Class::Arp(message) => {
                frame.discard(nic);
                self.arp_frame(nic, &message);
            }
            Class::Udp(datagram) => self.udp_frame(nic, frame, &datagram),
            Class::Echo(message) => self.echo(nic, frame, &message),
            Class::Neighbour(what) => {
                self.counters.received(FrameKind::Neighbour);
                self.neighbour_frame(nic, frame, what);
            }
            Class::Tcp(segment) => self.tcp_frame(nic, frame, &segment),
            Class::TooBig(big) => {
                self.counters.received(FrameKind::Icmp);
                frame.discard(nic);
                self.too_big(&big);
            }
            Class::Fragment(fragment) => {
                self.counters.received(FrameKind::Fragment);
                let whole = self.reassemble(nic, frame, &fragment);
                frame.discard(nic);
                self.again(nic, whole, depth);
            }
            Class::Rebuilt(bytes) => {
                frame.discard(nic);
                self.again(nic, Some(bytes), depth);
            }
            Class::Unknown(_) => {
                self.counters.received(FrameKind::Other);
                self.refuse(nic, frame, Trouble::Protocol, true);
            }
        }
    }

    fn reassemble<N: Nic>(
        &mut self,
        nic: &mut N,
        frame: Frame<'_>,
        fragment: &Fragment,
    ) -> Option<alloc::vec::Vec<u8>> {
        match self.reassembly.add(fragment, frame.bytes(nic)?, self.now) {
            Ok(Some(whole)) => {
                self.counters.reassembled.bump();
                Some(whole)
            }
            Ok(None) => None,
            Err(reason) => {
                self.drops.bump(reason);
                None
            }
        }
    }

    /// Handles a frame that was rebuilt.
    fn again<N: Nic>(&mut self, nic: &mut N, bytes: Option<alloc::vec::Vec<u8>>, depth: u8) {
        let Some(bytes) = bytes else { return };
        if depth >= DEPTH {
            self.drops.bump(DropReason::Nested);
            return;
        }
        let class = classify(&bytes, &self.me, true);
        self.frame(nic, Frame::Rebuilt(&bytes), class, depth.saturating_add(1));
    }
}
