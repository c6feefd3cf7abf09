//! The protocol of the host and the agent in dom0.
//!
//! One TCP connection carries one request. A frame is a tag (1 byte), a length (4 bytes, big endian) and that
//! many bytes. The host opens with a [`Tag::Request`] frame that holds the operation and its arguments; what
//! follows depends on the operation:
//!
//! | operation | arguments | host sends then | agent answers |
//! |---|---|---|---|
//! | `ping` | | | `End` |
//! | `exec` | timeout in ms, script | `Data`…, `End` (standard input) | `Stdout`/`Stderr`…, `End` with the outcome |
//! | `put` | path, octal mode | `Data`…, `End` | `End` |
//! | `get` | path | | `Data`…, `End` |
//! | `follow` | path | | `Data`… until the host hangs up |
//!
//! An operation that fails is answered by one `Error` frame with the reason.

use std::io::{self, Read, Write};

/// Longest payload of a frame; a longer one means that the two ends lost step.
pub const MAX_FRAME: usize = 16 << 20;

/// Bytes in one `Data` frame of a transfer.
pub const CHUNK: usize = 256 << 10;

/// The port on which the agent listens in dom0.
pub const PORT: u16 = 7000;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// The operation and its arguments.
    Request,
    /// Bytes of a file or of standard input.
    Data,
    /// Bytes a command wrote to its standard output.
    Stdout,
    /// Bytes a command wrote to its standard error.
    Stderr,
    /// The end; for `exec` with the outcome: an exit status, `signal N` or `timeout`.
    End,
    /// The operation failed, and why.
    Error,
}

impl Tag {
    const ALL: [(Self, u8); 6] = [
        (Self::Request, b'R'),
        (Self::Data, b'D'),
        (Self::Stdout, b'O'),
        (Self::Stderr, b'E'),
        (Self::End, b'.'),
        (Self::Error, b'!'),
    ];

    fn to_byte(self) -> u8 {
        Self::ALL.iter().find(|(tag, _)| *tag == self).map_or(b'!', |(_, byte)| *byte)
    }

    fn from_byte(byte: u8) -> io::Result<Self> {
        let known = Self::ALL.iter().find(|(_, known)| *known == byte);
        known.map(|(tag, _)| *tag).ok_or_else(|| invalid("a frame with an unknown tag"))
    }
}

/// Writes one frame.
///
/// # Errors
/// When the payload is longer than [`MAX_FRAME`] or the writer fails.
pub fn write_frame(to: &mut impl Write, tag: Tag, payload: &[u8]) -> io::Result<()> {
    let len = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_FRAME);
    let len = len.ok_or_else(|| invalid("a frame that is too long"))?;
    let mut frame = Vec::with_capacity(payload.len() + 5);
    frame.push(tag.to_byte());
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(payload);
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one frame; `None` when the other side hung up between two frames.
///
/// # Errors
/// When the connection fails or ends inside a frame, or the frame breaks the rules above.
pub fn read_frame(from: &mut impl Read) -> io::Result<Option<(Tag, Vec<u8>)>> {
    let mut tag = [0; 1];
    if from.read(&mut tag)? == 0 {
        return Ok(None);
    }
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
    if len > MAX_FRAME {
        return Err(invalid("a frame that is too long"));
    }
    let mut payload = vec![0; len];
    from.read_exact(&mut payload)?;
    let [tag] = tag;
    Ok(Some((Tag::from_byte(tag)?, payload)))
}

/// Packs the operation and its arguments into the payload of a request.
///
/// Arguments are separated by NUL: neither a path nor a script can contain one.
#[must_use]
pub fn pack(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// Unpacks what [`pack`] packed.
#[must_use]
pub fn unpack(payload: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(payload).split('\0').map(str::to_owned).collect()
}

/// An error that says that the other side broke the protocol.
#[must_use]
pub fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
