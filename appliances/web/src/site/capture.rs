//! A capture of the guest's frames on demand, `debug/pcap?seconds=10&bytes=96`: a file in libpcap's format, as Wireshark and
//! tcpdump read it.
//!
//! ```text
//!   file:    magic u32 │ version 2 × u16 │ zone i32, accuracy u32: 0 │ bytes kept at most u32 │ link type u32
//!   record:  seconds u32 │ microseconds u32 │ bytes kept u32 │ bytes of the frame u32 │ the bytes kept
//! ```
//!
//! The file grows in the memory for replies, to half of it. When a frame does not fit, the capture ends.

use crate::content::Content;
use crate::http::reply::Deferred;
use crate::http::{Code, Moment, Refusal, Reply};
use crate::memory::Memory;
use alloc::format;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::str::from_utf8;
use core::task::{Context, Poll, Waker};
use kernel::net::Observer;
use kernel::xen::SystemTime;

/// The interface whose frames can be observed.
pub trait Frames {
    /// Shows every frame to `observer` from now on; `None`: to nobody.
    fn observe(&self, observer: Option<Rc<dyn Observer>>);

    /// The wall clock less the time since boot, microseconds; 0 if it is unknown.
    fn boot_unix_us(&self) -> u64;
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    seconds: u64,
    /// Bytes of a frame that are kept.
    bytes: usize,
}

/// Seconds of a capture at most.
const MOST_SECONDS: u64 = 60;
/// The longest frame.
const MOST_BYTES: usize = 65_535;
/// An Ethernet header with IPv4 and TCP headers: what is of use.
const LEAST_BYTES: usize = 54;
/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;

impl Wish {
    /// Reads the query; whole frames for 10 s if nothing else is said.
    ///
    /// # Errors
    /// A key that is not known, or a value outside of its limits.
    pub fn parse(query: &[u8]) -> Result<Self, Refusal> {
        let mut wish = Self { seconds: 10, bytes: MOST_BYTES };
        for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let (key, value) = from_utf8(pair).ok().and_then(|pair| pair.split_once('=')).ok_or(UNKNOWN)?;
            // A sign is no digit.
            let value = Some(value).filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
            let value: usize = value.and_then(|value| value.parse().ok()).ok_or(UNKNOWN)?;
            match key {
                "seconds" => {
                    let seconds =
                        u64::try_from(value).ok().filter(|value| (1..=MOST_SECONDS).contains(value));
                    wish.seconds = seconds.ok_or(UNKNOWN)?;
                }
                "bytes" if (LEAST_BYTES..=MOST_BYTES).contains(&value) => wish.bytes = value,
                _ => return Err(UNKNOWN),
            }
        }
        Ok(wish)
    }
}

const UNKNOWN: Refusal = Refusal::bad("seconds= is a number from 1 to 60, bytes= one from 54 to 65535");
const BUSY: Refusal = Refusal::new(Code::ServiceUnavailable, "another capture is in progress");
const NO_ROOM: Refusal = Refusal::new(Code::ServiceUnavailable, "memory is short");

/// The file while it grows.
struct File {
    /// `None`: it did not begin, or was taken.
    content: RefCell<Option<Content>>,
    /// Bytes of the file at most, and of a frame.
    most: usize,
    bytes: usize,
    boot_unix_us: u64,
    frames: Cell<u64>,
    /// Frames after the one with which it was full.
    missed: Cell<u64>,
    reader: RefCell<Option<Waker>>,
}

impl File {
    /// A file with its head.
    fn new(memory: &Rc<Memory>, bytes: usize, boot_unix_us: u64) -> Option<Self> {
        let mut content = Content::new(memory);
        let most = memory.limit() / 2;
        let kept = u32::try_from(bytes).unwrap_or(u32::MAX);
        let head = [
            0xa1b2_c3d4_u32.to_le_bytes(),
            // Version 2.4.
            [2, 0, 4, 0],
            [0; 4],
            [0; 4],
            kept.to_le_bytes(),
            ETHERNET.to_le_bytes(),
        ];
        content.append(&[head.as_flattened()]).ok()?;
        let content = RefCell::new(Some(content));
        let (frames, missed, reader) = (Cell::new(0), Cell::new(0), RefCell::new(None));
        Some(Self { content, most, bytes, boot_unix_us, frames, missed, reader })
    }

    /// Appends a frame, if there is room for it.
    fn append(&self, at: SystemTime, frame: &[u8]) -> Option<()> {
        const MILLION: u64 = 1_000_000;
        let mut content = self.content.borrow_mut();
        let content = content.as_mut()?;
        let kept = frame.get(..self.bytes).unwrap_or(frame);
        let us = self.boot_unix_us.saturating_add(at.0 / 1000);
        // The format's seconds end in 2106.
        let word = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        let len = |bytes: &[u8]| word(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let head = [word(us / MILLION), word(us % MILLION), len(kept), len(frame)];
        let head = head.as_flattened();
        let after = content.len().saturating_add(head.len()).saturating_add(kept.len());
        if after > self.most {
            return None;
        }
        content.append(&[head, kept]).ok()
    }
}

impl Observer for File {
    fn frame(&self, at: SystemTime, frame: &[u8]) {
        // Full once, full for ever: no hole in the middle.
        if self.missed.get() == 0 && self.append(at, frame).is_some() {
            self.frames.set(self.frames.get().saturating_add(1));
        } else {
            self.missed.set(self.missed.get().saturating_add(1));
            self.reader.borrow_mut().take().into_iter().for_each(Waker::wake);
        }
    }
}

/// A capture that a request has asked for. It begins when it is first waited for, and ends when it is dropped at the latest.
pub(crate) struct Capture {
    wish: Wish,
    network: Rc<dyn Frames>,
    memory: Rc<Memory>,
    /// Of all captures: one is in progress.
    busy: Rc<Cell<bool>>,
    begun: RefCell<Option<Result<Rc<File>, Refusal>>>,
}

impl Capture {
    pub(crate) fn new(wish: Wish, network: Rc<dyn Frames>, memory: Rc<Memory>, busy: Rc<Cell<bool>>) -> Self {
        Self { wish, network, memory, busy, begun: RefCell::new(None) }
    }

    fn begin(&self) -> Result<Rc<File>, Refusal> {
        if self.busy.get() {
            return Err(BUSY);
        }
        let file = File::new(&self.memory, self.wish.bytes, self.network.boot_unix_us());
        let file = Rc::new(file.ok_or(NO_ROOM)?);
        self.busy.set(true);
        let observer: Rc<dyn Observer> = Rc::<File>::clone(&file);
        self.network.observe(Some(observer));
        Ok(file)
    }

    /// Ends it; the file.
    fn end(&self) -> Result<Rc<File>, Refusal> {
        let file = self.begun.borrow_mut().take().unwrap_or(Err(NO_ROOM))?;
        self.network.observe(None);
        self.busy.set(false);
        Ok(file)
    }
}

impl Deferred for Capture {
    fn seconds(&self) -> u64 {
        self.wish.seconds
    }

    fn poll_ready(&self, cx: &Context<'_>) -> Poll<()> {
        let mut begun = self.begun.borrow_mut();
        match begun.get_or_insert_with(|| self.begin()) {
            Ok(file) if file.missed.get() == 0 => {
                *file.reader.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn reply(&self, now: &Moment) -> Rc<Reply> {
        let file = match self.end() {
            Ok(file) => file,
            Err(refusal) => return Rc::new(Reply::refusal(refusal, now)),
        };
        let Some(content) = file.content.borrow_mut().take() else { return Rc::new(Reply::no_memory()) };
        let headers = format!(
            "Cache-Control: no-store\r\nContent-Disposition: attachment; filename=\"guest.pcap\"\r\n\
             X-Frames: {}\r\nX-Frames-Missed: {}\r\n",
            file.frames.get(),
            file.missed.get()
        );
        let (content, len) = (content.sealed(), file.most);
        let len = content.len().min(len);
        Rc::new(Reply::shared(Code::Ok, "application/vnd.tcpdump.pcap", &headers, (&content, 0..len), now))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // One that was not waited for to its end.
        let _ = self.end();
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("wish", &self.wish).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_has_limits_and_no_other_keys() {
        let wish = |query: &str| Wish::parse(query.as_bytes()).ok().map(|wish| (wish.seconds, wish.bytes));
        assert_eq!(wish(""), Some((10, 65_535)));
        assert_eq!(wish("seconds=3&bytes=96"), Some((3, 96)));
        for bad in ["seconds=0", "seconds=61", "seconds=+3", "seconds", "bytes=53", "bytes=65536", "port=80"]
        {
            assert_eq!(wish(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_file_ends_with_the_last_frame_that_fits() {
        let memory = Rc::new(Memory::limited(1 << 10));
        let file = File::new(&memory, 60, 5_000_000);
        assert!(file.is_none(), "not even a first piece");
        let memory = Rc::new(Memory::limited(16 << 10));
        let file = File::new(&memory, 60, 5_000_000).unwrap();
        for n in 0..200 {
            file.frame(SystemTime(1_500_000_000), &[n; 100]);
        }
        // 24 bytes of head and 76 a frame, to half of the memory.
        let most = (8 * 1024 - 24) / 76;
        assert_eq!((file.frames.get(), file.missed.get()), (most, 200 - most));
        let content = file.content.borrow_mut().take().unwrap();
        let text = content.copy(0..content.len()).unwrap();
        assert_eq!(text.len() as u64, 24 + 76 * most);
        assert_eq!(text[24..40], [6, 0, 0, 0, 0x20, 0xa1, 7, 0, 60, 0, 0, 0, 100, 0, 0, 0]);
        assert_eq!(text[40..100], [0; 60]);
    }
}
