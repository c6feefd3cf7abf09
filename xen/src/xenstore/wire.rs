//! Xenstore's messages as bytes: put together, taken apart.
//!
//! ```text
//!   | kind u32 | req_id u32 | tx_id u32 | len u32 | payload, len <= 4096 bytes |
//! ```
//!
//! [`Assembler`] turns a stream, cut anywhere, into messages; it keeps at most one message and allocates no more than
//! the limit allows. What a payload must look like depends on the request: the functions at the end check that, and
//! none of them can panic, whatever the bytes.

use crate::abi::io_xs_wire::{XENSTORE_PAYLOAD_MAX, XsdSockmsg, XsdSockmsgType};
use crate::ring::byte_ring::to_usize;
use alloc::vec::Vec;
use zerocopy::{FromBytes, IntoBytes};

/// Bytes of a header.
const HEADER: usize = size_of::<XsdSockmsg>();

/// A whole message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) header: XsdSockmsg,
    pub(super) payload: Vec<u8>,
}

/// Puts messages together from a stream.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// The header of the message under way, once it is whole.
    header: Option<XsdSockmsg>,
    /// The received part of the header, and then of the payload.
    partial: Vec<u8>,
}

impl Assembler {
    /// Takes bytes off the front of `bytes` up to the end of a message. `None`: all bytes are taken and the message
    /// is not whole yet.
    ///
    /// # Errors
    /// The length that a header claims, when no message can be that long: the start of the next message is then
    /// unknown.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<Message>, u32> {
        let header = match self.header {
            Some(header) => header,
            None => {
                fill(&mut self.partial, HEADER, bytes);
                // Fails while there are fewer bytes than a header has.
                let Ok(header) = XsdSockmsg::read_from_bytes(&self.partial) else { return Ok(None) };
                if to_usize(header.len) > XENSTORE_PAYLOAD_MAX {
                    return Err(header.len);
                }
                self.partial.clear();
                *self.header.insert(header)
            }
        };
        let len = to_usize(header.len);
        fill(&mut self.partial, len, bytes);
        if self.partial.len() < len {
            return Ok(None);
        }
        self.header = None;
        Ok(Some(Message { header, payload: core::mem::take(&mut self.partial) }))
    }

    /// Whether a message is under way.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.header.is_none() && self.partial.is_empty()
    }
}

/// Moves bytes from the front of `bytes` into `partial` until that has `upto`.
fn fill(partial: &mut Vec<u8>, upto: usize, bytes: &mut &[u8]) {
    let missing = upto.saturating_sub(partial.len()).min(bytes.len());
    let (now, rest) = bytes.split_at_checked(missing).unwrap_or_default();
    partial.extend_from_slice(now);
    *bytes = rest;
}

/// A request in its wire format; the payload is `parts`, one after the other.
///
/// # Errors
/// The length of the payload, when it is more than a message can hold.
pub(super) fn encode(
    kind: XsdSockmsgType,
    req_id: u32,
    tx_id: u32,
    parts: &[&[u8]],
) -> Result<Vec<u8>, usize> {
    let len = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    let Some(wire_len) = u32::try_from(len).ok().filter(|_| len <= XENSTORE_PAYLOAD_MAX) else {
        return Err(len);
    };
    let header = XsdSockmsg { kind: kind.raw(), req_id, tx_id, len: wire_len };
    let mut bytes = Vec::with_capacity(HEADER.saturating_add(len));
    bytes.extend_from_slice(header.as_bytes());
    for part in parts {
        bytes.extend_from_slice(part);
    }
    Ok(bytes)
}

/// Splits a payload of zero-terminated strings; `None` if the last one has no end.
pub(super) fn strings(payload: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let (last, most) = payload.split_last().unwrap_or((&0, &[]));
    let count = if payload.is_empty() { 0 } else { usize::MAX };
    (*last == 0).then(|| most.split(|byte| *byte == 0).take(count))
}

/// The only string of a payload, whose terminating zero may be missing; `None` if there is a zero within.
pub(super) fn string(payload: &[u8]) -> Option<&[u8]> {
    let text = payload.strip_suffix(&[0]).unwrap_or(payload);
    (!text.contains(&0)).then_some(text)
}

/// Path and token of a watch event; `None` unless there are exactly these two.
pub(super) fn watch_event(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut strings = strings(payload)?;
    let event = (strings.next()?, strings.next()?);
    strings.next().is_none().then_some(event)
}
