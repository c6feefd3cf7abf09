//! A way over two file descriptors: pipes, or a socket twice.

use crate::way::Way;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Two file descriptors that never make their user wait.
#[derive(Debug)]
pub struct Streams {
    incoming: OwnedFd,
    outgoing: OwnedFd,
}

impl Streams {
    /// Over these two, from which on no call waits: what they are shared with hears of that too.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(incoming: OwnedFd, outgoing: OwnedFd) -> io::Result<Self> {
        for fd in [&incoming, &outgoing] {
            fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { incoming, outgoing })
    }
}

impl Way for Streams {
    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::io::read(&self.incoming, into) {
            Ok(len) => Ok(Some(len)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match rustix::io::write(&self.outgoing, from) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            other => Ok(other?),
        }
    }

    fn wait(&mut self, for_room: bool, limit: Duration) -> io::Result<()> {
        let read = PollFd::new(&self.incoming, PollFlags::IN);
        let write = PollFd::new(&self.outgoing, PollFlags::OUT);
        let mut both = [read, write];
        wait_for(both.get_mut(..if for_room { 2 } else { 1 }).unwrap_or_default(), limit).map(drop)
    }
}

/// Whether one of these is ready before the time is over. A signal ends it early.
pub(crate) fn wait_for(fds: &mut [PollFd<'_>], limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    match poll(fds, Some(&limit)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
