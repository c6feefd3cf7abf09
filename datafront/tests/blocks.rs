//! Blocks: every rule broken once, every cut tried.

#![allow(
    clippy::cognitive_complexity,
    clippy::too_many_lines,
    reason = "a test follows one story from its beginning to its end"
)]

mod support;

use datafront::block::wire::Malformed;
use datafront::block::{Fault, Receiver, Status};
use support::frames::{
    ACK, Answer, BLOCK, ERROR, HELLO, Recorder, STOP, WELCOME, answers, block, crc, ended, head, hello,
};
use support::pattern;

/// Feeds bytes on a fresh connection of a fresh receiver.
fn feed(bytes: &[u8]) -> (Recorder, Vec<Answer>, Result<(), Fault>) {
    let (mut receiver, mut recorder, mut out) = (Receiver::new(9), Recorder::default(), Vec::new());
    let result = receiver.feed(bytes, &mut recorder, &mut out);
    receiver.reset(&mut recorder);
    (recorder, answers(&out), result)
}

fn after_hello(parts: &[&[u8]]) -> (Recorder, Vec<Answer>, Result<(), Fault>) {
    feed(&[&[hello(1, 0).as_slice()], parts].concat().concat())
}

/// A fault delivers nothing beyond the blocks before it, and is reported to the sender.
fn refused(parts: &[&[u8]], delivered: usize) -> Fault {
    let (recorder, out, result) = after_hello(parts);
    let fault = result.unwrap_err();
    assert_eq!(recorder.blocks.len(), delivered);
    assert_eq!(out.last(), Some(&(ERROR, delivered as u64, 0, fault.code())));
    fault
}

#[test]
fn blocks_of_all_sizes_arrive_whole_and_in_order() {
    let contents: Vec<Vec<u8>> =
        [0, 1, 7, 31, 32, 33, 255, 4096].iter().map(|len| pattern(*len, *len as usize)).collect();
    let mut bytes = hello(1, 0);
    for (i, content) in contents.iter().enumerate() {
        bytes.extend(block(i as u64 + 1, &"n".repeat(i * 36), content));
    }
    for piece in [1, 2, 3, 31, 32, 33, 100, 4095, 65_536] {
        let (mut receiver, mut recorder, mut out) = (Receiver::new(9), Recorder::default(), Vec::new());
        for part in bytes.chunks(piece) {
            receiver.feed(part, &mut recorder, &mut out).unwrap();
        }
        let got: Vec<&[u8]> = recorder.blocks.iter().map(|(_, _, content)| content.as_slice()).collect();
        assert_eq!(got, contents.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(recorder.blocks[7].1.len(), 252);
        let out = answers(&out);
        assert_eq!(out[0], (WELCOME, 0, 9, 16));
        assert_eq!(out[8], (ACK, 8, 4096, 0));
    }
}

#[test]
fn h69_a_sender_that_dies_at_any_byte_delivers_once() {
    let contents = [pattern(1, 50), Vec::new(), pattern(3, 9)];
    let all: Vec<u8> =
        contents.iter().enumerate().flat_map(|(i, content)| block(i as u64 + 1, "b", content)).collect();
    let first = [hello(1, 1), all.clone()].concat();
    for cut in 0..=first.len() {
        let (mut receiver, mut recorder, mut out) = (Receiver::new(9), Recorder::default(), Vec::new());
        receiver.feed(&first[..cut], &mut recorder, &mut out).unwrap();
        receiver.reset(&mut recorder);
        // Not one acknowledgement was heard: everything is sent again.
        out.clear();
        receiver.feed(&[hello(1, 1), all.clone()].concat(), &mut recorder, &mut out).unwrap();
        let got: Vec<&[u8]> = recorder.blocks.iter().map(|(_, _, content)| content.as_slice()).collect();
        assert_eq!(got, contents.iter().map(Vec::as_slice).collect::<Vec<_>>(), "cut at {cut}");
        let out = answers(&out);
        let completed = out[0].1;
        assert!(out[0].0 == WELCOME && out[1..=completed as usize].iter().all(|answer| answer.0 == ACK));
        assert_eq!(
            out.len(),
            4 + completed as usize,
            "late acknowledgements, and one for each block sent again"
        );
    }
}

#[test]
fn h70_a_length_that_lies_is_noticed() {
    let content = pattern(1, 100);
    let long =
        [head(BLOCK, 1, 140, 0, b"x"), content.clone(), crc(&[&content]).to_le_bytes().to_vec(), vec![0; 4]]
            .concat();
    let next = block(2, "y", &pattern(2, 40));
    assert_eq!(refused(&[&long, &next], 0), Fault::BlockCheck(1));
    let short =
        [head(BLOCK, 1, 60, 0, b"x"), content.clone(), crc(&[&content]).to_le_bytes().to_vec(), vec![0; 4]]
            .concat();
    let fault = refused(&[&short, &next], 0);
    assert!(matches!(fault, Fault::BlockCheck(1) | Fault::Fate), "{fault:?}");
    // A trailer that fits its bytes, and more bytes behind it: they are no frame.
    let overlap = [block(1, "x", &content), content].concat();
    assert_eq!(refused(&[&overlap], 1), Fault::Malformed(Malformed::Magic));
}

#[test]
fn d14_what_is_no_frame_ends_the_connection() {
    let good = block(1, "x", b"abc");
    let bad = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        refused(&[&bytes], 0)
    };
    assert_eq!(bad(0, b'X'), Fault::Malformed(Malformed::Magic));
    assert_eq!(bad(4, 2), Fault::Malformed(Malformed::Version(2)));
    assert_eq!(bad(5, 77), Fault::Malformed(Malformed::Kind(77)));
    assert_eq!(bad(7, 1), Fault::Malformed(Malformed::NameLength(257)));
    assert_eq!(bad(9, 1), Fault::Malformed(Malformed::Check));
    assert_eq!(bad(32, b'y'), Fault::Malformed(Malformed::Check));
}

#[test]
fn d15_a_block_before_hello() {
    let (recorder, out, result) = feed(&block(1, "x", b"abc"));
    assert_eq!(result, Err(Fault::NoHello));
    assert_eq!((recorder.blocks.len(), out), (0, vec![(ERROR, 0, 0, 2)]));
}

#[test]
fn d16_a_second_hello() {
    assert_eq!(refused(&[&hello(2, 0)], 0), Fault::SecondHello);
}

#[test]
fn d17_frames_that_only_a_receiver_sends() {
    for kind in [WELCOME, ACK, ERROR] {
        assert_eq!(refused(&[&head(kind, 1, 0, 0, b"")], 0), Fault::NotForUs);
    }
    assert_eq!(refused(&[&head(HELLO, 1, 0, 0, b"name")], 0), Fault::Malformed(Malformed::NameLength(4)));
}

#[test]
fn d18_blocks_that_are_missing() {
    assert_eq!(refused(&[&block(1, "x", b""), &block(3, "x", b"")], 1), Fault::Gap { seq: 3, completed: 1 });
    let (mut receiver, mut recorder, mut out) = (Receiver::new(9), Recorder::default(), Vec::new());
    receiver.feed(&hello(1, 5), &mut recorder, &mut out).unwrap();
    receiver.reset(&mut recorder);
    assert_eq!(
        receiver.feed(&hello(1, 6), &mut recorder, &mut out),
        Err(Fault::Gap { seq: 6, completed: 4 })
    );
}

#[test]
fn d19_a_block_that_is_too_long_or_has_no_number() {
    assert_eq!(refused(&[&head(BLOCK, 1, (1 << 30) + 1, 0, b"x")], 0), Fault::TooLong((1 << 30) + 1));
    assert_eq!(refused(&[&head(BLOCK, 1, u64::MAX, 0, b"x")], 0), Fault::TooLong(u64::MAX));
    assert_eq!(refused(&[&block(0, "x", b"")], 0), Fault::Number);
    assert_eq!(refused(&[&block(u64::MAX, "x", b"")], 0), Fault::Number);
}

#[test]
fn d20_a_name_that_is_no_text() {
    assert_eq!(refused(&[&head(BLOCK, 1, 0, 0, &[0xff, 0xfe])], 0), Fault::Name);
}

#[test]
fn d21_a_check_or_a_fate_that_is_wrong() {
    assert_eq!(refused(&[&ended(1, "x", b"abc", 1, 0)], 0), Fault::BlockCheck(1));
    assert_eq!(refused(&[&ended(1, "x", b"abc", crc(&[b"abc"]), 2)], 0), Fault::Fate);
}

#[test]
fn d22_a_block_that_was_given_up_is_not_delivered() {
    let given_up = ended(1, "x", b"abc", crc(&[b"abc"]), 1);
    let (recorder, out, result) = after_hello(&[&given_up, &block(2, "y", b"d")]);
    assert_eq!(result, Ok(()));
    assert_eq!((recorder.abandoned, recorder.blocks.len()), (1, 1));
    assert_eq!(out[1..], [(ACK, 1, 0, Status::ABORTED.0), (ACK, 2, 1, 0)]);
}

#[test]
fn d23_a_refusal_is_acknowledged_with_the_applications_word() {
    let (mut receiver, mut out) = (Receiver::new(9), Vec::new());
    let mut recorder = Recorder { refuse: Some("bad"), most: Some(10), ..Recorder::default() };
    let bytes =
        [hello(1, 0), block(1, "bad", &[1; 99]), block(2, "big", &[2; 99]), block(3, "ok", &[3; 9])].concat();
    for part in bytes.chunks(7) {
        receiver.feed(part, &mut recorder, &mut out).unwrap();
    }
    let words: Vec<u32> = answers(&out)[1..].iter().map(|answer| answer.3).collect();
    assert_eq!(words, [Status::BAD_NAME.0, Status::TOO_LARGE.0, 0]);
    assert_eq!(recorder.blocks.len(), 1);
    // Asked again, the answer is the same.
    receiver.reset(&mut recorder);
    out.clear();
    receiver.feed(&hello(1, 1), &mut recorder, &mut out).unwrap();
    let words: Vec<u32> = answers(&out)[1..].iter().map(|answer| answer.3).collect();
    assert_eq!(words, [Status::BAD_NAME.0, Status::TOO_LARGE.0, 0]);
}

#[test]
fn d24_a_form_that_nobody_knows_is_refused_by_status() {
    // Secrets (8) and what is appended (16) are never an archive nor in parts.
    for aux in [9, 10, 12, 14, 17, 18, 20, 24, 32, 1 << 31] {
        let bytes = [head(BLOCK, 1, 0, aux, b"x"), crc(&[]).to_le_bytes().to_vec(), vec![0; 4]].concat();
        let (recorder, out, result) = after_hello(&[&bytes]);
        let refused = (ACK, 1, 0, Status::BAD_FORM.0);
        assert_eq!((recorder.blocks.len(), out[1], result), (0, refused, Ok(())), "{aux}");
    }
}

#[test]
fn d25_more_streams_than_are_remembered_take_bounded_memory() {
    let (mut receiver, mut recorder, mut out) = (Receiver::new(9), Recorder::default(), Vec::new());
    for id in 0..100 {
        out.clear();
        receiver.feed(&[hello(id, 0), block(1, "x", b"")].concat(), &mut recorder, &mut out).unwrap();
        receiver.reset(&mut recorder);
    }
    let completed = |receiver: &mut Receiver, id| {
        let (mut recorder, mut out) = (Recorder::default(), Vec::new());
        receiver.feed(&hello(id, 0), &mut recorder, &mut out).unwrap();
        receiver.reset(&mut recorder);
        answers(&out)[0].1
    };
    assert_eq!(completed(&mut receiver, 99), 1);
    assert_eq!(completed(&mut receiver, 84), 1);
    assert_eq!(completed(&mut receiver, 0), 0, "forgotten");
}

#[test]
fn d26_a_hello_from_long_ago_gets_a_bounded_answer() {
    let (mut receiver, mut recorder, mut out) = (Receiver::new(9), Recorder::default(), Vec::new());
    receiver.feed(&hello(1, 0), &mut recorder, &mut out).unwrap();
    for seq in 1..=1000 {
        receiver.feed(&block(seq, "", b""), &mut recorder, &mut out).unwrap();
    }
    receiver.reset(&mut recorder);
    out.clear();
    receiver.feed(&hello(1, 1), &mut recorder, &mut out).unwrap();
    assert_eq!(answers(&out).len(), 33);
}

#[test]
fn random_bytes_and_bits_never_do_harm() {
    let mut dice = support::Dice(7);
    let good = [hello(1, 0), block(1, "x", &pattern(1, 300)), block(2, "y", &pattern(2, 20))].concat();
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        }
        bytes.truncate(dice.below(bytes.len()) + 1);
        let (recorder, _, _) = feed(&bytes);
        for (seq, _, content) in &recorder.blocks {
            let expected = if *seq == 1 { pattern(1, 300) } else { pattern(2, 20) };
            assert_eq!(*content, expected, "a changed block is never delivered");
        }
    }
}

#[test]
fn d36_a_sender_that_takes_stop_need_not_send_what_is_refused() {
    const LEN: u64 = 2 << 20;
    let content = vec![5; LEN as usize];
    let refused = head(BLOCK, 1, LEN, 0, b"refused");
    let rest = [content.as_slice(), &crc(&[&content]).to_le_bytes(), &[0; 4]].concat();
    let status = Status::BAD_NAME.0;
    let welcome = |completed| (WELCOME, completed, 9, 16);
    // Told at the head, completed at once; the next connection goes on behind it.
    let (mut receiver, mut recorder) = (Receiver::new(9), Recorder::default());
    recorder.refuse = Some("refused");
    let mut out = Vec::new();
    receiver.feed(&head(HELLO, 1, 7, 1, b""), &mut recorder, &mut out).unwrap();
    receiver.feed(&refused, &mut recorder, &mut out).unwrap();
    receiver.feed(&rest[..1000], &mut recorder, &mut out).unwrap();
    assert_eq!(answers(&out), [welcome(0), (STOP, 1, 0, status)]);
    receiver.reset(&mut recorder);
    out.clear();
    receiver.feed(&head(HELLO, 1, 7, 1, b""), &mut recorder, &mut out).unwrap();
    assert_eq!(answers(&out), [welcome(1), (ACK, 1, 0, status)]);
    assert_eq!((receiver.stats().counts.refused.get(), receiver.stats().last_seq), (1, 1));
    // One that sends all the same gets its acknowledgement at the end, once.
    let again = head(BLOCK, 2, LEN, 0, b"refused");
    out.clear();
    receiver.feed(&[again, rest.clone()].concat(), &mut recorder, &mut out).unwrap();
    assert_eq!(answers(&out), [(STOP, 2, 0, status), (ACK, 2, 0, status)]);
    assert_eq!((receiver.stats().counts.refused.get(), receiver.stats().counts.duplicates.get()), (2, 0));
    // One that does not take it hears nothing before the end, and so does a short block's.
    for (aux, len) in [(0, LEN as usize), (1, 1000)] {
        let mut receiver = Receiver::new(9);
        let content = vec![5; len];
        out.clear();
        receiver.feed(&head(HELLO, 1, 7, aux, b""), &mut recorder, &mut out).unwrap();
        receiver.feed(&block(1, "refused", &content), &mut recorder, &mut out).unwrap();
        assert_eq!(answers(&out), [welcome(0), (ACK, 1, 0, status)]);
    }
    assert!(recorder.blocks.is_empty());
}
