//! Archives of any headers and records, as a push: no panic; the same outcome in pieces as whole; what is refused changes
//! nothing and gives its memory back; and when an allocation fails, the push is refused, and nothing else happens.
//!
//! ```text
//!   cut fail   0 n name kind m bytes: an entry      1 n: a pax header of records: key, value, right or wrong length
//!   2 n bytes: a pax header of any bytes      3 n bytes: a long name of GNU's      4: zeros      5 at xor: a damaged byte
//! ```

#![no_main]

#[path = "../../../appliances/web/tests/support/tar.rs"]
#[allow(dead_code)]
mod tar;

use datafront::block::{Application as _, BlockHead, Form, Part, Status};
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use std::rc::Rc;
use web::memory::Memory;
use web::publish::{Inbox, Store, StoreOptions};

/// Bytes that may be published.
const BUDGET: usize = 1 << 20;
/// Allocations from this size on may fail: the sizes of smaller ones are not the sender's.
const LARGE: usize = 1024;

const KEYS: [&[u8]; 8] =
    [b"path", b"size", b"mtime", b"linkpath", b"GNU.sparse.major", b"SCHILY.xattr.user.x", b"comment", b""];

fn archive(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..40 {
        if input.is_empty() {
            break;
        }
        match input.byte() % 6 {
            0 => {
                let name_len = usize::from(input.byte()) % 120;
                let name = input.bytes(name_len);
                let kind = input.byte();
                let kind = if kind < 160 { b'0' } else { kind };
                let len = usize::from(input.short()) % 5000;
                bytes.extend(tar::entry(kind, name, input.bytes(len)));
            }
            1 => {
                let mut records = Vec::new();
                for _ in 0..=input.byte() % 4 {
                    let key = KEYS[usize::from(input.byte()) % 8];
                    let len = usize::from(input.byte());
                    let mut record = tar::pax(key, input.bytes(len));
                    if input.byte() > 250 {
                        record[0] ^= 1;
                    }
                    records.extend(record);
                }
                let kind = if input.byte() & 7 == 0 { b'g' } else { b'x' };
                bytes.extend(tar::entry(kind, b"PaxHeaders/x", &records));
            }
            2 => {
                let len = usize::from(input.byte());
                bytes.extend(tar::entry(b'x', b"PaxHeaders/x", input.bytes(len)));
            }
            3 => {
                let len = usize::from(input.byte());
                bytes.extend(tar::entry(b'L', b"././@LongLink", input.bytes(len)));
            }
            4 => bytes.extend([0; 512]),
            _ => {
                let at = usize::from(input.short());
                let by = input.byte();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= by;
                }
            }
        }
    }
    bytes.extend([0; 1024]);
    bytes
}

fn push(store: &Rc<Store>, archive: &[u8], piece: usize) -> Status {
    let mut inbox = Inbox::new(Rc::clone(store), Rc::default());
    let len = archive.len() as u64;
    let head = BlockHead { stream: 1, seq: 1, name: "", len, form: Form::Tree, part: Part::Whole };
    if let Err(status) = inbox.begin(&head) {
        return status;
    }
    for bytes in archive.chunks(piece.max(1)) {
        if let Err(status) = inbox.data(bytes) {
            inbox.abandon();
            return status;
        }
    }
    inbox.finish()
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (piece, fail) = (usize::from(input.short()) % 3000, usize::from(input.byte() % 16));
    let bytes = archive(&mut input);
    let store = || Rc::new(Store::new(Rc::new(Memory::limited(BUDGET)), StoreOptions::default()));
    let (whole, parts) = (store(), store());
    let statuses = (push(&whole, &bytes, bytes.len()), push(&parts, &bytes, piece));
    assert_eq!(statuses.0, statuses.1, "whole, and in pieces");
    let (one, other) = (whole.status(), parts.status());
    assert_eq!((one.files, one.bytes), (other.files, other.bytes), "whole, and in pieces");
    if statuses.0 != Status::ACCEPTED {
        assert_eq!((one.files, one.bytes), (0, 0), "what is refused is not published");
    }
    // Once more, with one allocation that fails.
    let (files, used) = (other.files, parts.status().bytes);
    let (status, failed) = allocation_tests::fail(LARGE, fail, || push(&parts, &bytes, piece));
    if failed && status != Status::ACCEPTED {
        assert_eq!((parts.status().files, parts.status().bytes), (files, used), "a refusal changes nothing");
    }
    if !failed {
        assert_eq!(status, statuses.0);
    }
});
