//! A byte stream each way, of which no call waits but the one that says so.

use std::io;
use std::time::Duration;

/// A way to the other domain. Dropping it ends the connection.
pub trait Way {
    /// Reads what is there: `None` if there is nothing yet, 0 at the end.
    ///
    /// # Errors
    /// The connection is broken, which counts as its end.
    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>>;

    /// Writes as many bytes as there is room for: 0 if there is none.
    ///
    /// # Errors
    /// The other side has gone.
    fn write(&mut self, from: &[u8]) -> io::Result<usize>;

    /// Waits until there may be something to read, or room to write if that is wanted, and not longer than `limit`.
    ///
    /// # Errors
    /// What the system says.
    fn wait(&mut self, for_room: bool, limit: Duration) -> io::Result<()>;

    /// What the way itself said last, for an error.
    fn said(&self) -> String {
        String::new()
    }
}
