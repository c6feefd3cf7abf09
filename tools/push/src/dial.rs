//! How the guest is reached: a byte stream each way, of which no call waits but the one that says so.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use vchan::streams::Streams;

pub use vchan::Way;

/// Makes ways to a guest; called again when one has ended.
pub trait Dial {
    /// Opens a way. Whether the guest is there shows when it answers.
    ///
    /// # Errors
    /// What is in the way; `HostUnreachable` with a domain's name if there is no such domain any more.
    fn dial(&mut self) -> io::Result<Box<dyn Way>>;

    /// Whether the guest of the last way is still there. Asked when nothing has moved for a while: a domain that was saved
    /// or destroyed closes nothing.
    fn is_alive(&mut self) -> bool {
        true
    }
}

/// `vchan-socket-proxy` in its role of client, with its standard streams as the channel's.
///
/// It waits by itself until the guest shows its channel in xenstore.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The program, found by `PATH` unless it has a slash.
    pub program: String,
    /// The guest.
    pub domid: u16,
    /// Where its channel is.
    pub path: String,
}

/// Where Debian and others keep it, besides `PATH`.
const PLACES: [&str; 3] = ["/usr/sbin", "/usr/lib/xen-common/bin", "/usr/lib/xen/bin"];

impl Proxy {
    /// Debian's.
    #[must_use]
    pub fn new(domid: u16, path: &str) -> Self {
        let name = "vchan-socket-proxy";
        let in_path = std::env::var_os("PATH").unwrap_or_default();
        let found =
            std::env::split_paths(&in_path).chain(PLACES.map(Into::into)).map(|folder| folder.join(name));
        let versioned = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
        let versioned = versioned.map(|entry| entry.path().join("bin").join(name));
        let program = found.chain(versioned).find(|program| program.is_file());
        let program =
            program.map_or_else(|| name.to_owned(), |program| program.to_string_lossy().into_owned());
        Self { program, domid, path: path.to_owned() }
    }
}

impl Dial for Proxy {
    fn dial(&mut self) -> io::Result<Box<dyn Way>> {
        let mut child = Command::new(&self.program)
            .args(["-m", "client", &self.domid.to_string(), &self.path, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.program)))?;
        let missing = || io::Error::other("a standard stream is missing");
        let from_guest = child.stdout.take().ok_or_else(missing)?;
        let to_guest = child.stdin.take().ok_or_else(missing)?;
        let said = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            let said = Arc::clone(&said);
            std::thread::spawn(move || listen(OwnedFd::from(stderr).into(), &said));
        }
        let streams = Streams::new(from_guest.into(), to_guest.into())?;
        Ok(Box::new(Proxied { streams, said, _child: Held(child) }))
    }
}

/// The proxy's standard streams, and what it says.
struct Proxied {
    streams: Streams,
    said: Arc<Mutex<String>>,
    _child: Held,
}

impl Way for Proxied {
    fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        self.streams.read(into)
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.streams.write(from)
    }

    fn wait(&mut self, for_room: bool, limit: Duration) -> io::Result<()> {
        self.streams.wait(for_room, limit)
    }

    fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps the last lines of a child's standard error.
fn listen(mut stderr: File, said: &Mutex<String>) {
    let mut buffer = [0; 512];
    while let Ok(len @ 1..) = stderr.read(&mut buffer) {
        let text = String::from_utf8_lossy(buffer.get(..len).unwrap_or_default()).trim().to_owned();
        *said.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// A child that ends with its owner.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
