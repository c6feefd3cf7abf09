//! The tasks of the access log: batches go out a second after their first line, counters every ten seconds.
//!
//! ```text
//!   requests ─► AccessLog ─ a second ─► Outbox: access.log (appended)          ══► pull --out DIR
//!   counters ─────────────── ten ─────► Outbox: counters/<run>.json (the newest)
//! ```

use crate::guest::WebServer;
use alloc::format;
use alloc::rc::Rc;
use kernel::datafront::block::{Form, OutgoingBlock, WhenFull};
use kernel::ledger::Consumer;
use kernel::{SendSettings, System};
use web::access_log::{AccessLog, counters};
use web::options::Options;

const SECOND_NS: u64 = 1_000_000_000;
/// Between two blocks of counters.
const COUNTERS_NS: u64 = 10_000_000_000;
const MS_NS: u64 = 1_000_000;
/// The name of the channel.
const PORT: &str = "pull";

/// The log, if the command line wants one. Its blocks are offered to dom0 from now on.
pub(crate) fn open(system: &System, options: &Options) -> Option<Rc<AccessLog>> {
    let when_full: WhenFull = options.log?;
    let limit = options.log_kib.saturating_mul(1024);
    let outbox = system.send_blocks(PORT, SendSettings { limit, when_full });
    let log = Rc::new(AccessLog::new(outbox, &system.ledger().open(Consumer::Outgoing)));
    system.spawn(flush(system.clone(), Rc::clone(&log)));
    Some(log)
}

/// Hands over each batch a second after its first line. While nobody takes it, it fills up.
async fn flush(system: System, log: Rc<AccessLog>) {
    loop {
        log.begun().await;
        while !log.outbox().is_connected() {
            log.outbox().connection_changes().await;
        }
        system.sleep(SECOND_NS).await;
        log.flush();
    }
}

/// Hands over the counters while they change, of which only the newest wait.
pub(crate) async fn count(system: System, log: Rc<AccessLog>, server: Rc<WebServer>) {
    let run = system.random_u64();
    let name: Rc<str> = format!("counters/{run:016x}.json").into();
    let mut last = None;
    loop {
        let (http, lines) = (server.counts(), log.lines());
        if last.replace((http, lines)) != Some((http, lines)) {
            let unix_ms = system.xen().machine.unix_time_ns().unwrap_or(0) / MS_NS;
            let times = (unix_ms, system.since_boot() / MS_NS);
            let bytes = counters(run, times, &http, lines, &log.outbox().stats()).into_bytes();
            let block = OutgoingBlock { name: Rc::clone(&name), form: Form::Bytes, bytes, records: 0 };
            log.outbox().put_latest(block);
        }
        system.sleep(COUNTERS_NS).await;
    }
}
