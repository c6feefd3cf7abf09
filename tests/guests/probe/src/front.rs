//! datafront's guest side for tests: blocks that are counted and dropped, and raw channels in both roles.
//!
//! | `app.do=` | action until the guest is destroyed |
//! |---|---|
//! | `sink` | takes blocks of any length and keeps only a checksum over them; prints a line for each connection |
//! | `source` | sends blocks for dom0's `pull`, `app.count=` of them: each a line with its number and filling; or, with `app.bytes=`, a file of that length |
//! | `vchan-server` | returns received bytes, one client after another |
//! | `vchan-client` | the same as a client of dom0's server |
//!
//! `app.left=` and `app.right=` are the orders of the server's rings, `app.port=` the last part of the path.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use core::fmt::Display;
use embedded_io_async::{Read, Write};
use kernel::datafront::block::{
    Application, BlockHead, Form, OutgoingBlock, Receiver, Status, WhenFull, serve,
};
use kernel::datafront::vchan::{ChannelError, Order, ServerError, Sizes};
use kernel::{SendSettings, System, log};

/// Read at once.
const BUFFER_BYTES: usize = 32 << 10;
/// After a failure that may heal.
const PAUSE_NS: u64 = 200_000_000;

/// Takes every block and drops it.
struct Drain;

impl Application for Drain {
    fn begin(&mut self, _head: &BlockHead<'_>) -> Result<(), Status> {
        Ok(())
    }
    fn data(&mut self, _bytes: &[u8]) -> Result<(), Status> {
        Ok(())
    }
    fn finish(&mut self) -> Status {
        Status::ACCEPTED
    }
    fn abandon(&mut self) {}
}

fn port(system: &System) -> &str {
    system.config().app("port").unwrap_or("push")
}

fn sizes(system: &System) -> Result<Sizes, String> {
    let order = |name: &str, default: u16| {
        let number = system.config().app(name).map_or(Ok(default), str::parse);
        number.ok().and_then(Order::new).ok_or_else(|| format!("app.{name}= is no order, 10 to 20"))
    };
    let (left, right) = (order("left", 18)?, order("right", 12)?);
    Sizes::new(left, right).ok_or_else(|| "app.left= and app.right= do not go together".to_string())
}

fn failed(error: impl Display) -> String {
    error.to_string()
}

/// Blocks, dropped.
pub(crate) async fn sink(system: &System) -> Result<(), String> {
    let mut receiver = Receiver::new(system.random_u64());
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let mut server = system.data_channel(port(system), sizes(system)?).await.map_err(failed)?;
        log::info!("sink: at {}", server.path().as_str());
        loop {
            let result = match server.accept().await {
                Ok(mut channel) => serve(&mut channel, &mut receiver, &mut Drain, &mut buffer).await,
                // After a restore: a new path.
                Err(ServerError::Moved) => break,
                Err(error) => {
                    log::warn!("sink: {error}");
                    system.sleep(PAUSE_NS).await;
                    continue;
                }
            };
            let (stats, events) = (receiver.stats(), server.stats().events);
            let hypercalls: u64 = system.stats().hypercalls.iter().map(|(_, _, count)| count).sum();
            let pages = system.data_pages().map_err(failed)?;
            log::info!(
                "sink: accepted {} bytes {} chain {} duplicates {} cut {} events {events} end {result:?} pages {} mapped {} hypercalls {hypercalls}",
                stats.counts.accepted,
                stats.counts.bytes,
                stats.chain,
                stats.counts.duplicates,
                stats.counts.cut_off,
                pages.total,
                pages.quarantined
            );
        }
    }
}

/// Bytes of memory for blocks that dom0 does not have yet: few, so that dom0 sets the pace.
const SOURCE_BYTES: usize = 64 << 10;
/// The same with `app.bytes=`, at most.
const FILES_BYTES: usize = 8 << 20;
/// Bytes of a line, less than.
const LINE_BYTES: usize = 3000;

/// Blocks for dom0.
pub(crate) async fn source(system: &System) -> Result<(), String> {
    let count: usize = system.config().app("count").and_then(|text| text.parse().ok()).ok_or("app.count=")?;
    if let Some(bytes) = system.config().app("bytes") {
        return files(system, count, bytes.parse().map_err(|_| "app.bytes=")?).await;
    }
    let settings = SendSettings { limit: SOURCE_BYTES, when_full: WhenFull::Wait };
    let outbox = system.send_blocks("pull", settings);
    let name: Rc<str> = "lines".into();
    for n in 1..=count {
        outbox.room(LINE_BYTES).await;
        let filling = "x".repeat(n.wrapping_mul(n).wrapping_mul(7919) % (LINE_BYTES - 100));
        let bytes = format!("{n} {filling}\n").into_bytes();
        outbox.put(OutgoingBlock { name: Rc::clone(&name), form: Form::Append, bytes, records: 1 });
    }
    while !outbox.is_empty() {
        system.sleep(PAUSE_NS).await;
    }
    log::info!("source: sent {:?}", outbox.stats());
    core::future::pending().await
}

/// Blocks of one length for dom0, each in place of the one before.
async fn files(system: &System, count: usize, bytes: usize) -> Result<(), String> {
    // As many as may be under way, twice: half of the memory is for blocks that are not sent.
    let limit = bytes.saturating_mul(32).clamp(SOURCE_BYTES, FILES_BYTES);
    let outbox = system.send_blocks("pull", SendSettings { limit, when_full: WhenFull::Wait });
    let name: Rc<str> = "block".into();
    for _ in 0..count {
        outbox.room(bytes).await;
        let block =
            OutgoingBlock { name: Rc::clone(&name), form: Form::Bytes, bytes: vec![7; bytes], records: 1 };
        outbox.put(block);
    }
    core::future::pending().await
}

/// Returns received bytes until the other side closes.
async fn echo(
    channel: &mut (impl Read<Error = ChannelError> + Write<Error = ChannelError>),
) -> (u64, Result<(), ChannelError>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut total = 0_u64;
    loop {
        let len = match channel.read(&mut buffer).await {
            Ok(0) => return (total, Ok(())),
            Ok(len) => len,
            Err(error) => return (total, Err(error)),
        };
        if let Err(error) = channel.write_all(buffer.get(..len).unwrap_or_default()).await {
            return (total, Err(error));
        }
        total = total.wrapping_add(u64::try_from(len).unwrap_or(0));
    }
}

fn tell(role: &str, (bytes, result): (u64, Result<(), ChannelError>)) {
    match result {
        Ok(()) => log::info!("{role}: echoed {bytes}, the peer left"),
        Err(error) => log::info!("{role}: echoed {bytes}, {error}"),
    }
}

/// A raw server.
pub(crate) async fn server(system: &System) -> Result<(), String> {
    let mut server = system.data_channel(port(system), sizes(system)?).await.map_err(failed)?;
    log::info!("vchan-server: at {}", server.path().as_str());
    loop {
        match server.accept().await {
            Ok(mut channel) => tell("vchan-server", echo(&mut channel).await),
            Err(error) => {
                log::warn!("vchan-server: {error}");
                system.sleep(PAUSE_NS).await;
            }
        }
    }
}

/// A raw client of dom0's server.
pub(crate) async fn client(system: &System) -> Result<(), String> {
    let client = system.data_client(port(system)).await.map_err(failed)?;
    log::info!("vchan-client: waiting");
    loop {
        match client.connect().await {
            Ok(mut connection) => tell("vchan-client", echo(&mut connection).await),
            Err(error) => {
                log::warn!("vchan-client: {error}");
                system.sleep(PAUSE_NS).await;
            }
        }
    }
}
