//! The two directions of a connection, for use at the same time.

use embedded_io_async::{ErrorType, Read, ReadReady, Write, WriteReady};

use crate::base::error::NetError;
use crate::tcp::stream::TcpStream;

/// The receiving direction of a [`TcpStream`].
#[derive(Debug)]
pub struct TcpReader<'a>(&'a TcpStream);

/// The sending direction of a [`TcpStream`].
#[derive(Debug)]
pub struct TcpWriter<'a>(&'a TcpStream);

impl<'a> TcpReader<'a> {
    pub(crate) const fn new(stream: &'a TcpStream) -> Self {
        Self(stream)
    }

    /// As [`TcpStream::read_with`].
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn read_with<R>(&mut self, read: impl FnOnce(&[u8]) -> (usize, R)) -> Result<R, NetError> {
        self.0.take_with(read).await
    }
}

impl<'a> TcpWriter<'a> {
    pub(crate) const fn new(stream: &'a TcpStream) -> Self {
        Self(stream)
    }

    /// As [`TcpStream::write_with`].
    ///
    /// # Errors
    /// Why the connection ended.
    pub async fn write_with<R>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<R, NetError> {
        self.0.put_with(write).await
    }

    /// As [`TcpStream::close`].
    ///
    /// # Errors
    /// Why the connection ended before everything was acknowledged.
    pub async fn close(&mut self) -> Result<(), NetError> {
        self.0.finish().await
    }
}

impl ErrorType for TcpReader<'_> {
    type Error = NetError;
}

impl ErrorType for TcpWriter<'_> {
    type Error = NetError;
}

impl Read for TcpReader<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, NetError> {
        self.0.read_some(buf).await
    }
}

impl ReadReady for TcpReader<'_> {
    fn read_ready(&mut self) -> Result<bool, NetError> {
        Ok(self.0.readable())
    }
}

impl Write for TcpWriter<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, NetError> {
        self.0.write_some(buf).await
    }

    async fn flush(&mut self) -> Result<(), NetError> {
        Ok(())
    }
}

impl WriteReady for TcpWriter<'_> {
    fn write_ready(&mut self) -> Result<bool, NetError> {
        Ok(self.0.writable())
    }
}
