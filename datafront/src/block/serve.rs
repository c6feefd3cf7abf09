//! A receiver on an async stream: one connection from its first byte to its last.

use super::application::Application;
use super::fault::Fault;
use super::receiver::Receiver;
use alloc::vec::Vec;
use core::fmt;
use embedded_io_async::{Read, Write};

/// Why a connection ended other than by the sender's leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServeError<E> {
    /// The stream failed.
    Stream(E),
    /// The sender broke a rule; it was told which.
    Sender(Fault),
}

impl<E: fmt::Display> fmt::Display for ServeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Sender(fault) => fault.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for ServeError<E> {}

/// Serves a sender until it leaves. `buffer` is what is read at once; the receiver must not be fed by anybody else.
///
/// # Errors
/// What the stream says, or the rule that the sender broke.
pub async fn serve<T: Read + Write>(
    stream: &mut T,
    receiver: &mut Receiver,
    application: &mut impl Application,
    buffer: &mut [u8],
) -> Result<(), ServeError<T::Error>> {
    receiver.reset(application);
    let result = talk(stream, receiver, application, buffer).await;
    receiver.reset(application);
    result
}

async fn talk<T: Read + Write>(
    stream: &mut T,
    receiver: &mut Receiver,
    application: &mut impl Application,
    buffer: &mut [u8],
) -> Result<(), ServeError<T::Error>> {
    let mut answers = Vec::new();
    loop {
        let len = stream.read(buffer).await.map_err(ServeError::Stream)?;
        if len == 0 {
            return Ok(());
        }
        let fed = receiver.feed(buffer.get(..len).unwrap_or_default(), application, &mut answers);
        if receiver.take_secret() {
            buffer.fill(0);
        }
        let mut rest = answers.as_slice();
        while !rest.is_empty() {
            let len = stream.write(rest).await.map_err(ServeError::Stream)?;
            if len == 0 {
                return Ok(());
            }
            rest = rest.get(len..).unwrap_or_default();
        }
        answers.clear();
        fed.map_err(ServeError::Sender)?;
    }
}
