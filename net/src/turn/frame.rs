//! A received frame while it is handled: shown by the interface, or rebuilt.

use nic::Nic;

/// A frame that is being handled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Frame<'a> {
    /// The one that the interface shows next.
    InPlace,
    /// One that was rebuilt; the interface has given the frame that it came from.
    Rebuilt(&'a [u8]),
}

impl<'a> Frame<'a> {
    /// The whole frame.
    pub(super) fn bytes<'b, N: Nic>(self, nic: &'b mut N) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        match self {
            Self::InPlace => nic.peek().map(|received| received.frame),
            Self::Rebuilt(bytes) => Some(bytes),
        }
    }

    /// The frame has been dealt with.
    pub(super) fn discard<N: Nic>(self, nic: &mut N) {
        if matches!(self, Self::InPlace) {
            nic.discard();
        }
    }
}
