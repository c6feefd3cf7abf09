//! Ethernet frames over a pipe: two bytes of length, then the frame. A frame of no bytes says that the sender is ready.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Writes a frame.
pub(crate) fn write(to: &mut impl Write, frame: &[u8]) -> std::io::Result<()> {
    let len = u16::try_from(frame.len()).expect("a frame of the TAP device");
    to.write_all(&[&len.to_be_bytes(), frame].concat())?;
    to.flush()
}

/// Reads frames in a thread, until the pipe is closed.
pub(crate) fn reader(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut len = [0; 2];
        while from.read_exact(&mut len).is_ok() {
            let mut frame = vec![0; usize::from(u16::from_be_bytes(len))];
            if from.read_exact(&mut frame).is_err() || sender.send(frame).is_err() {
                return;
            }
        }
    });
    receiver
}
