//! Messages from and to bytes.

use super::stub::Msg;
use crate::abi::io_xs_wire::XsdSockmsgType;
use crate::tests::Random;
use crate::xenstore::wire::{Assembler, Message, encode, string, strings, watch_event};
use alloc::vec;
use alloc::vec::Vec;

fn all(assembler: &mut Assembler, mut bytes: &[u8]) -> Result<Vec<Message>, u32> {
    let mut messages = Vec::new();
    while let Some(message) = assembler.take(&mut bytes)? {
        messages.push(message);
    }
    assert!(bytes.is_empty(), "bytes were left without a message");
    Ok(messages)
}

fn plain(messages: Vec<Message>) -> Vec<Msg> {
    let msg = |m: Message| Msg::new(m.header.kind, m.header.req_id, m.header.tx_id, &m.payload);
    messages.into_iter().map(msg).collect()
}

fn samples() -> Vec<Msg> {
    vec![
        Msg::new(2, 1, 0, b"value"),
        Msg::new(11, 2, 7, b""),
        Msg::new(1, u32::MAX, 0, &[b'x'; 4096]),
        Msg::new(15, 0, 0, b"a/b\0w1\0"),
        Msg::new(11, 3, 0, b""),
    ]
}

#[test]
fn h59_a_stream_cut_anywhere_gives_the_same_messages() {
    let bytes: Vec<u8> = samples().iter().flat_map(Msg::bytes).collect();
    for step in [1, 2, 3, 15, 16, 17, 1024, 5000] {
        let mut assembler = Assembler::default();
        let mut messages = Vec::new();
        for chunk in bytes.chunks(step) {
            messages.extend(all(&mut assembler, chunk).unwrap());
        }
        assert_eq!(plain(messages), samples(), "in steps of {step}");
        assert!(assembler.is_empty());
    }
}

#[test]
fn h59_a_length_that_no_message_has_is_refused_at_the_header() {
    for (len, allowed) in [(4096_u32, true), (4097, false), (u32::MAX, false), (1 << 31, false)] {
        let mut header = Msg::new(2, 1, 0, b"").bytes();
        header[12..].copy_from_slice(&len.to_le_bytes());
        let result = all(&mut Assembler::default(), &header);
        assert_eq!(result, if allowed { Ok(vec![]) } else { Err(len) });
    }
}

#[test]
fn h59_random_streams_neither_panic_nor_grow_nor_lose_a_byte() {
    let mut random = Random(0x5eed);
    for _ in 0..100_000 {
        let mut assembler = Assembler::default();
        let mut given = 0;
        let mut taken = 0;
        for _ in 0..random.below(6) {
            let mut bytes: Vec<u8> = (0..random.below(48)).map(|_| random.next() as u8).collect();
            // A quarter of the streams has lengths that are possible.
            if random.below(4) == 0 {
                for at in (12..bytes.len()).step_by(17) {
                    for byte in bytes.iter_mut().skip(at + 1).take(3) {
                        *byte = 0;
                    }
                }
            }
            given += bytes.len();
            let Ok(messages) = all(&mut assembler, &bytes) else { break };
            for message in messages {
                assert!(message.payload.len() <= 4096);
                assert_eq!(message.payload.len(), message.header.len as usize);
                taken += 16 + message.payload.len();
                // Whatever the payload: these only must not panic.
                let _ = strings(&message.payload).map(Iterator::count);
                let _ = string(&message.payload);
                let _ = watch_event(&message.payload);
            }
        }
        assert!(taken <= given);
    }
}

#[test]
fn a_request_is_put_together_up_to_the_limit_and_no_further() {
    let bytes = encode(XsdSockmsgType::Write, 5, 9, &[b"a", b"\0", b"value"]).unwrap();
    assert_eq!(bytes, Msg::new(11, 5, 9, b"a\0value").bytes());
    assert_eq!(encode(XsdSockmsgType::Write, 5, 9, &[&[1; 4000], &[2; 96]]).unwrap().len(), 16 + 4096);
    assert_eq!(encode(XsdSockmsgType::Write, 5, 9, &[&[1; 4000], &[2; 97]]), Err(4097));
}

#[test]
fn lists_of_strings_end_with_a_zero() {
    let list = |payload: &'static [u8]| strings(payload).map(|all| all.collect::<Vec<_>>());
    assert_eq!(list(b""), Some(vec![]));
    assert_eq!(list(b"\0"), Some(vec![&b""[..]]));
    assert_eq!(list(b"a\0bc\0"), Some(vec![&b"a"[..], b"bc"]));
    assert_eq!(list(b"a\0\0"), Some(vec![&b"a"[..], b""]));
    assert_eq!(list(b"a\0b"), None);
}

#[test]
fn a_single_string_has_no_zero_within() {
    assert_eq!(string(b"12\0"), Some(&b"12"[..]));
    assert_eq!(string(b"12"), Some(&b"12"[..]));
    assert_eq!(string(b"1\x002\0"), None);
    assert_eq!(string(b"12\0\0"), None);
}

#[test]
fn a_watch_event_is_a_path_and_a_token() {
    assert_eq!(watch_event(b"a/b\0w1\0"), Some((&b"a/b"[..], &b"w1"[..])));
    for payload in [&b""[..], b"\0", b"a\0", b"a\0w1", b"a\0w1\0more\0", b"a"] {
        assert_eq!(watch_event(payload), None, "{payload:?}");
    }
}
