//! A guest on the test bed.

use crate::console::{Console, Pattern};
use crate::error::{Error, Kind, Result};
use crate::inner::Inner;
use crate::vifs::MacLease;
use crate::xl::{self, DomainState, DomainStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long xl may take for an order.
const XL: Duration = Duration::from_secs(120);

/// While a line is awaited, how often the guest is looked at: one that has ended will not print it.
const CHECK: Duration = Duration::from_secs(3);

/// A domain that [`Bed::create`](crate::Bed::create) made. Destroyed when dropped, except while a test panics: then
/// it stays for [`run_test`](crate::run_test) to collect its traces.
#[derive(Debug)]
pub struct Domain {
    bed: Arc<Inner>,
    name: String,
    domid: u32,
    console: Console,
    vifs: Vec<MacLease>,
    /// Where [`Domain::wait_for_next`] goes on.
    cursor: AtomicUsize,
}

impl Domain {
    pub(crate) const fn new(
        bed: Arc<Inner>,
        name: String,
        domid: u32,
        console: Console,
        vifs: Vec<MacLease>,
    ) -> Self {
        Self { bed, name, domid, console, vifs, cursor: AtomicUsize::new(0) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    #[must_use]
    pub const fn domid(&self) -> u32 {
        self.domid
    }

    /// The addresses that the test bed gave to its vifs.
    #[must_use]
    pub fn macs(&self) -> Vec<String> {
        self.vifs.iter().map(MacLease::mac).collect()
    }

    /// Everything it printed on its serial console so far.
    #[must_use]
    pub fn console(&self) -> String {
        self.console.text()
    }

    /// Its output to port 0xE9, before it had a console.
    ///
    /// # Errors
    /// When Xen's log cannot be read.
    pub fn early_output(&self) -> Result<String> {
        let prefix = format!("(d{}) ", self.domid);
        let log = self.bed.hypervisor_log()?;
        let lines = log.lines().filter_map(|line| line.split_once(&prefix).map(|(_, text)| text));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Waits for a line on its console, and returns it; lines printed before this call count too.
    ///
    /// # Errors
    /// When there is none within `limit`, or the guest has ended without it. The message has the console's end.
    pub fn wait_for(&self, pattern: impl Into<Pattern>, limit: Duration) -> Result<String> {
        self.wait_from(&pattern.into(), 0, limit).map(|(line, _)| line)
    }

    /// As [`Domain::wait_for`], but begins after the line that the last such call found, so that lines are awaited in
    /// their order.
    ///
    /// # Errors
    /// As [`Domain::wait_for`].
    pub fn wait_for_next(&self, pattern: impl Into<Pattern>, limit: Duration) -> Result<String> {
        let (line, next) = self.wait_from(&pattern.into(), self.cursor.load(Ordering::Relaxed), limit)?;
        self.cursor.store(next, Ordering::Relaxed);
        Ok(line)
    }

    fn wait_from(&self, pattern: &Pattern, from: usize, limit: Duration) -> Result<(String, usize)> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(found) = self.console.find(pattern, from, left.min(CHECK)) {
                return Ok(found);
            }
            let what = format!("{} on {}'s console", pattern.describe(), self.name);
            if left.is_zero() {
                return Err(Error::timeout(what, limit).because(self.report()));
            }
            let status = self.state()?;
            if matches!(status.state, DomainState::Gone | DomainState::Crashed | DomainState::Shutdown) {
                self.drain()?;
                // Its last words may have come since.
                return self.console.find(pattern, from, Duration::ZERO).ok_or_else(|| {
                    Error::new(Kind::GuestEnded, format!("no {what}: the guest is {status}"))
                        .because(self.report())
                });
            }
        }
    }

    /// The end of the console, for a message.
    fn report(&self) -> String {
        let text = self.console();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(25)..).unwrap_or_default().join("\n");
        let early = if lines.is_empty() { self.early_output().unwrap_or_default() } else { String::new() };
        format!("its console ends with:\n{tail}{early}")
    }

    /// Its output from byte `from` on; waits at most `limit` for more.
    #[must_use]
    pub fn console_after(&self, from: usize, limit: Duration) -> Vec<u8> {
        self.console.after(from, limit)
    }

    /// Types a line on its console.
    ///
    /// # Errors
    /// When the guest has no console any more.
    pub fn send_line(&self, line: &str) -> Result<()> {
        self.send(format!("{line}\n").as_bytes())
    }

    /// Types bytes on its console.
    ///
    /// # Errors
    /// When the guest has no console any more.
    pub fn send(&self, bytes: &[u8]) -> Result<()> {
        let script = format!("cat >\"$(xenstore-read /local/domain/{}/console/tty)\"", self.domid);
        let output = self.bed.exec(&script, bytes, XL)?;
        if output.success() {
            return Ok(());
        }
        Err(Error::new(Kind::GuestEnded, format!("typing on {}'s console", self.name)).because(output.stderr))
    }

    /// Its state, as `xl list -v` shows it; [`DomainState::Gone`] if it is not listed.
    ///
    /// # Errors
    /// When dom0 does not answer.
    pub fn state(&self) -> Result<DomainStatus> {
        let list = xl::parse_list(&self.bed.run("xl list -v", XL)?);
        let gone = || DomainStatus {
            name: self.name.clone(),
            domid: self.domid,
            memory_mib: 0,
            state: DomainState::Gone,
            seconds: 0.0,
            reason: None,
        };
        Ok(list.into_iter().find(|domain| domain.domid == self.domid).unwrap_or_else(gone))
    }

    /// The reason that it gave when it shut down, also if it is gone: 0 poweroff, 1 reboot, 2 suspend, 3 crash.
    ///
    /// # Errors
    /// When dom0 does not answer.
    pub fn shutdown_reason(&self) -> Result<Option<u32>> {
        let log = self.bed.exec(&format!("cat /var/log/xen/xl-{}.log", self.name), b"", XL)?.stdout;
        let text = format!("Domain {} has shut down, reason code ", self.domid);
        let after = log.lines().find_map(|line| line.split_once(&text).map(|(_, after)| after));
        Ok(after.and_then(|after| after.split_whitespace().next()).and_then(|reason| reason.parse().ok()))
    }

    /// Waits until it has powered off, crashed or is gone, and returns its state then.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub fn wait_ended(&self, limit: Duration) -> Result<DomainStatus> {
        self.wait_state("its end", limit, |state| {
            matches!(state, DomainState::Gone | DomainState::Crashed | DomainState::Shutdown)
        })
    }

    /// Waits until it is not listed any more.
    ///
    /// # Errors
    /// When it is still there after `limit`.
    pub fn wait_gone(&self, limit: Duration) -> Result<()> {
        self.wait_state("its removal", limit, |state| state == DomainState::Gone).map(|_| ())
    }

    fn wait_state(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(DomainState) -> bool,
    ) -> Result<DomainStatus> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.state()?;
            if wanted(status.state) {
                self.drain()?;
                return Ok(status);
            }
            if Instant::now() > deadline {
                let what = format!("{}: {what} (it is {status})", self.name);
                return Err(Error::timeout(what, limit).because(self.report()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the host has all that is in the console's log.
    fn drain(&self) -> Result<()> {
        let script = format!("stat -c %s /var/log/xen/console/guest-{}.log", self.name);
        let size: usize = self.bed.exec(&script, b"", XL)?.stdout.trim().parse().unwrap_or(0);
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.console.len() < size && Instant::now() < deadline {
            let _ = self.console.after(self.console.len(), Duration::from_millis(50));
        }
        Ok(())
    }

    /// Destroys it. It is no error if it is gone already.
    ///
    /// # Errors
    /// When xl fails although the domain exists.
    pub fn destroy(&self) -> Result<()> {
        match self.bed.run(&format!("xl destroy {}", self.domid), XL) {
            Err(error) if self.state()?.state != DomainState::Gone => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        if self.bed.alive() && !std::thread::panicking() {
            let _ = self.bed.exec(&format!("xl destroy {} 2>/dev/null", self.domid), b"", XL);
        }
    }
}
