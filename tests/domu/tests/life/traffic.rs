//! Connections that are in use while the toolstack has its way: a download without end, and one that says nothing.

use bed::Bed;
use domu_tests::guest::Guest;
use domu_tests::http::{Connection, request};
use domu_tests::{Outcome, pattern};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// Bytes of a download. It takes part of a second, a hundred times as long as from a request to the head of its reply:
/// an event in between nearly always meets a reply that has begun. (With an eighth of it one save of four met none.)
const LEN: usize = 2 << 20;
/// For the guest's command line: connections may be silent for as long as anything here takes on a busy host; the guest's own
/// pages stay on port 80 when something is published.
pub(crate) const SILENCE: &str = "app.idle=900 app.admin=path:/-/";
/// The longest pause of a download: a migration of a busy guest under emulation.
const TIMEOUT: Duration = Duration::from_secs(150);

/// Has dom0 push the content of the downloads into the guest.
pub(crate) fn publish(bed: &Bed, name: &str) -> Outcome {
    let file = bed.folder().join("blob.bin");
    fs::write(&file, pattern::bytes(1, LEN))?;
    bed.put_file(&file, "/var/blob.bin")?;
    bed.put_file(bed::repository().join("build/push"), "/usr/bin/push")?;
    let output = bed.dom0(&format!("push /var/blob.bin --domain {name}"))?;
    if output.success() { Ok(()) } else { Err(format!("push: {output:?}").into()) }
}

#[derive(Debug, Default)]
struct Progress {
    bytes: AtomicU64,
    /// A reply has begun and not ended.
    within: AtomicBool,
    stop: AtomicBool,
}

/// Downloads the same file again and again over one connection, and compares every byte.
#[derive(Debug)]
pub(crate) struct Download {
    progress: Arc<Progress>,
    thread: JoinHandle<Result<u64, String>>,
}

impl Download {
    /// Begins.
    pub(crate) fn start(to: SocketAddr) -> Self {
        let progress = Arc::new(Progress::default());
        let shared = Arc::clone(&progress);
        let thread = std::thread::spawn(move || run(to, &shared).map_err(|error| error.to_string()));
        Self { progress, thread }
    }

    /// Bytes of content so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.progress.bytes.load(Relaxed)
    }

    /// Whether a reply has begun and not ended.
    pub(crate) fn is_within(&self) -> bool {
        self.progress.within.load(Relaxed)
    }

    /// Waits until at least two replies' worth of bytes came from now on, on the same connection.
    pub(crate) fn goes_on(&self, when: &str) -> Outcome {
        let (from, began) = (self.bytes(), Instant::now());
        while self.bytes() < from + 2 * LEN as u64 {
            if self.thread.is_finished() || began.elapsed() > TIMEOUT {
                return Err(format!("{when}: the download stands at {}", self.bytes()).into());
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends after the reply that is under way; how many there were.
    pub(crate) fn end(self) -> Outcome<u64> {
        self.progress.stop.store(true, Relaxed);
        let outcome = self.thread.join().map_err(|_| "the download panicked")?;
        Ok(outcome?)
    }
}

fn run(to: SocketAddr, progress: &Progress) -> Outcome<u64> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut stream = BufReader::new(stream);
    let (expected, mut piece) = (pattern::bytes(1, LEN), vec![0; 16 << 10]);
    let mut replies = 0;
    while !progress.stop.load(Relaxed) {
        stream.get_mut().write_all(request("/blob.bin", 0).as_bytes())?;
        let head = head(&mut stream)?;
        let whole = head.starts_with("HTTP/1.1 200 ") && head.contains(&format!("content-length: {LEN}\r\n"));
        if !whole {
            return Err(format!("reply {replies}: {head:?}").into());
        }
        progress.within.store(true, Relaxed);
        for wanted in expected.chunks(piece.len()) {
            let got = piece.get_mut(..wanted.len()).ok_or("a piece too long")?;
            stream.read_exact(got)?;
            if got != wanted {
                return Err(format!("reply {replies} differs").into());
            }
            progress.bytes.fetch_add(wanted.len() as u64, Relaxed);
        }
        progress.within.store(false, Relaxed);
        replies += 1;
    }
    Ok(replies)
}

fn head(stream: &mut impl BufRead) -> Outcome<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.take(4096).read_line(&mut head)? == 0 || head.len() > 8 << 10 {
            return Err(format!("no head: {head:?}").into());
        }
    }
    Ok(head.to_ascii_lowercase().replacen("http/1.1", "HTTP/1.1", 1))
}

/// A guest with a download under way and a second connection that is silent from now on.
#[derive(Debug)]
pub(crate) struct Busy {
    pub(crate) download: Download,
    idle: Connection,
    to: SocketAddr,
}

impl Busy {
    /// Starts when the guest has all its addresses: the task that waits for them has ended, and later counts of tasks
    /// include the same ones.
    pub(crate) fn start(bed: &Bed, guest: &Guest<'_>) -> Outcome<Self> {
        guest.wait_for_ipv6()?;
        publish(bed, guest.domain.name())?;
        let to = guest.tcp(80)?;
        let mut idle = Connection::open(to)?;
        assert_eq!(idle.own("healthz")?.status, 200);
        let download = Download::start(to);
        download.goes_on("at first")?;
        Ok(Self { download, idle, to })
    }

    /// The download goes on, and the connection that was silent since the last time speaks again.
    pub(crate) fn goes_on(&mut self, when: &str) -> Outcome {
        self.download.goes_on(when)?;
        let reply =
            self.idle.own("healthz").map_err(|error| format!("{when}, on the silent one: {error}"))?;
        if reply.status == 200 { Ok(()) } else { Err(format!("{when}: {}", reply.status).into()) }
    }

    /// Ends the download. A new connection is accepted too.
    pub(crate) fn end(mut self) -> Outcome {
        self.goes_on("at the end")?;
        assert!(self.download.end()? > 0);
        assert_eq!(Connection::open(self.to)?.own("healthz")?.status, 200, "on a new connection");
        Ok(())
    }
}
