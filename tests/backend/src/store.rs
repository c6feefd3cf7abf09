//! Xenstore from dom0, over `/dev/xen/xenbus`: requests one at a time, and watch events in between.

use crate::Outcome;
use crate::sys;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use xen::abi::io_xs_wire::{XENSTORE_PAYLOAD_MAX, XsdSockmsg, XsdSockmsgType};
use zerocopy::{FromZeros, IntoBytes};

#[derive(Debug)]
pub struct Store {
    file: File,
    /// Tokens of watches that fired.
    events: VecDeque<String>,
    /// Bytes that were read and make no whole message yet.
    input: Vec<u8>,
}

impl Store {
    pub fn open() -> Outcome<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/xen/xenbus")?;
        Ok(Self { file, events: VecDeque::new(), input: Vec::new() })
    }

    pub fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// The value of a node.
    pub fn read(&mut self, path: &str) -> Option<String> {
        let bytes = self.ask(XsdSockmsgType::Read, &[path.as_bytes(), b"\0"]).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub fn number(&mut self, path: &str) -> Option<u32> {
        self.read(path)?.parse().ok()
    }

    pub fn write(&mut self, path: &str, value: &str) -> Outcome {
        self.ask(XsdSockmsgType::Write, &[path.as_bytes(), b"\0", value.as_bytes()]).map(drop)
    }

    pub fn remove(&mut self, path: &str) -> Outcome {
        self.ask(XsdSockmsgType::Rm, &[path.as_bytes(), b"\0"]).map(drop)
    }

    /// The names of a node's children.
    pub fn list(&mut self, path: &str) -> Vec<String> {
        let bytes = self.ask(XsdSockmsgType::Directory, &[path.as_bytes(), b"\0"]).unwrap_or_default();
        let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// Watches a path; the path is the token.
    pub fn watch(&mut self, path: &str) -> Outcome {
        self.ask(XsdSockmsgType::Watch, &[path.as_bytes(), b"\0", path.as_bytes(), b"\0"]).map(drop)
    }

    pub fn unwatch(&mut self, path: &str) {
        let _ = self.ask(XsdSockmsgType::Unwatch, &[path.as_bytes(), b"\0", path.as_bytes(), b"\0"]);
    }

    /// The watch that fired next.
    pub fn event(&mut self) -> Outcome<Option<String>> {
        if self.events.is_empty() {
            self.fill()?;
            while let Some((header, payload)) = self.message() {
                self.note(&header, &payload);
            }
        }
        Ok(self.events.pop_front())
    }

    fn ask(&mut self, kind: XsdSockmsgType, parts: &[&[u8]]) -> Outcome<Vec<u8>> {
        let payload = parts.concat();
        let header = XsdSockmsg { kind: kind.into(), len: payload.len() as u32, ..XsdSockmsg::new_zeroed() };
        self.file.write_all(&[header.as_bytes(), &payload].concat())?;
        loop {
            while let Some((header, payload)) = self.message() {
                if self.note(&header, &payload) {
                    continue;
                }
                if header.kind == u32::from(XsdSockmsgType::Error) {
                    let what = parts.first().map(|path| String::from_utf8_lossy(path).into_owned());
                    let why = String::from_utf8_lossy(&payload);
                    return Err(format!(
                        "{kind:?} {}: {}",
                        what.unwrap_or_default(),
                        why.trim_end_matches('\0')
                    )
                    .into());
                }
                return Ok(payload);
            }
            if !self.fill()? {
                sys::wait(&[self.file.as_raw_fd()], 1000);
            }
        }
    }

    /// Keeps a watch's event; whether it was one.
    fn note(&mut self, header: &XsdSockmsg, payload: &[u8]) -> bool {
        let event = header.kind == u32::from(XsdSockmsgType::WatchEvent);
        if event {
            let token = payload.split(|byte| *byte == 0).nth(1).unwrap_or_default();
            self.events.push_back(String::from_utf8_lossy(token).into_owned());
        }
        event
    }

    /// Reads pending data. Returns whether there was any.
    fn fill(&mut self) -> Outcome<bool> {
        let mut buffer = [0; XENSTORE_PAYLOAD_MAX + size_of::<XsdSockmsg>()];
        match self.file.read(&mut buffer) {
            Ok(len) => {
                self.input.extend_from_slice(buffer.get(..len).unwrap_or_default());
                Ok(len > 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The next whole message.
    fn message(&mut self) -> Option<(XsdSockmsg, Vec<u8>)> {
        let mut header = XsdSockmsg::new_zeroed();
        let whole = size_of::<XsdSockmsg>();
        header.as_mut_bytes().copy_from_slice(self.input.get(..whole)?);
        let end = whole + header.len as usize;
        let payload = self.input.get(whole..end)?.to_vec();
        self.input.drain(..end);
        Some((header, payload))
    }
}
