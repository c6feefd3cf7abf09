//! Chromium without a window, led over its pipe for programs (the DevTools protocol): what it says about a page while it loads.
//!
//! ```text
//!   commands ─► FIFO ─► 3 │ chromium │ 4 ─► FIFO ─► answers and events; each is JSON, and ends with a byte 0
//! ```

use crate::{Namespace, Outcome};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A page with everything that belongs to it, from a guest under emulation.
const PAGE: Duration = Duration::from_secs(120);
/// After the page has loaded: what its scripts say late is heard too.
const LATE: Duration = Duration::from_millis(500);

/// What happened while a page was loaded.
#[derive(Debug, Default)]
pub struct Visit {
    /// The title of the page, as its script left it.
    pub title: String,
    /// Each reply: its URL, status and protocol over TLS.
    pub replies: Vec<(String, i64, String)>,
    /// Lines of the console of the kinds warning and error, exceptions, and what could not be loaded.
    pub complaints: Vec<String>,
}

/// A running browser with one tab.
#[derive(Debug)]
pub struct Chromium {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    session: String,
    last_id: i64,
}

impl Chromium {
    /// Starts it in a namespace, with a profile in `folder` that trusts the authority `trusted`. `host` is at `address`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(
        namespace: &Namespace,
        folder: &Path,
        trusted: &Path,
        (host, address): (&str, &str),
    ) -> Outcome<Self> {
        let home = folder.join("home");
        std::fs::create_dir_all(home.join(".pki/nssdb"))?;
        let at = folder.display();
        let script = format!(
            "set -e
             database=sql:{at}/home/.pki/nssdb
             certutil -d $database -N --empty-password
             certutil -d $database -A -t C,, -n authority -i {}
             mkfifo {at}/commands {at}/messages",
            trusted.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output()?;
        if !output.status.success() {
            return Err(format!("{output:?}").into());
        }
        let script = format!(
            "HOME={at}/home exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
             --disable-background-networking --disable-component-update --disable-sync --disable-default-apps \
             --user-data-dir={at}/profile --host-resolver-rules='MAP {host} {address}' --remote-debugging-pipe \
             about:blank 3<>{at}/commands 4<>{at}/messages >{at}/chromium.log 2>&1"
        );
        let child = namespace.spawn(&script)?;
        // Both ways at once: opening does not wait for the other side.
        let open = |name: &str| File::options().read(true).write(true).open(folder.join(name));
        let (commands, messages) = (open("commands")?, read(open("messages")?));
        let mut own = Self { child, commands, messages, session: String::new(), last_id: 0 };
        let target = own.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = own.call("Target.attachToTarget", target)?;
        own.session = session["sessionId"].as_str().ok_or("no session")?.to_owned();
        for domain in ["Page", "Network", "Runtime", "Log"] {
            own.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(own)
    }

    /// Loads a page, and returns when it has loaded.
    ///
    /// # Errors
    /// When it does not load at all.
    pub fn visit(&mut self, url: &str) -> Outcome<Visit> {
        let mut visit = Visit::default();
        let id = self.send("Page.navigate", json!({ "url": url }))?;
        let (began, mut loaded) = (Instant::now(), None);
        while loaded.is_none_or(|at: Instant| at.elapsed() < LATE) {
            let left = if loaded.is_some() { LATE } else { PAGE.saturating_sub(began.elapsed()) };
            let Ok(message) = self.messages.recv_timeout(left) else {
                if loaded.is_some() {
                    break;
                }
                return Err(format!("{url} does not load: {visit:?}").into());
            };
            if message["id"] == id && message["result"]["errorText"].is_string() {
                return Err(format!("{url}: {}", message["result"]["errorText"]).into());
            }
            visit.hear(&message);
            if message["method"] == "Page.loadEventFired" {
                loaded = Some(Instant::now());
            }
        }
        // A page may have a promise of what its scripts do after it has loaded.
        let title = "Promise.resolve(window.ready).then(() => document.title)";
        let title = self.call("Runtime.evaluate", json!({ "expression": title, "awaitPromise": true }))?;
        visit.title = title["result"]["value"].as_str().unwrap_or_default().to_owned();
        Ok(visit)
    }

    /// Sends a command and returns its result.
    fn call(&mut self, method: &str, params: Value) -> Outcome<Value> {
        let id = self.send(method, params)?;
        loop {
            let message = self
                .messages
                .recv_timeout(PAGE)
                .map_err(|error| format!("{method}: {error}: chromium is silent"))?;
            if message["id"] == id {
                let error = &message["error"];
                return if error.is_null() {
                    Ok(message["result"].clone())
                } else {
                    Err(error.to_string().into())
                };
            }
        }
    }

    fn send(&mut self, method: &str, params: Value) -> Outcome<i64> {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": params });
        if !self.session.is_empty() {
            command["sessionId"] = self.session.clone().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes())?;
        Ok(self.last_id)
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // In order, so that its other processes end too; by force if it does not.
        let _ = self.send("Browser.close", json!({}));
        for _ in 0..50 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Visit {
    /// Keeps what an event says.
    fn hear(&mut self, message: &Value) {
        let params = &message["params"];
        let quiet = |level: &Value| !matches!(level.as_str(), Some("error" | "warning" | "assert"));
        match message["method"].as_str().unwrap_or_default() {
            "Network.responseReceived" => {
                let reply = &params["response"];
                let url = reply["url"].as_str().unwrap_or_default().to_owned();
                let protocol = reply["securityDetails"]["protocol"].as_str().unwrap_or_default().to_owned();
                self.replies.push((url, reply["status"].as_i64().unwrap_or(0), protocol));
            }
            "Runtime.consoleAPICalled" if quiet(&params["type"]) => {}
            "Log.entryAdded" if quiet(&params["entry"]["level"]) => {}
            "Network.loadingFailed"
            | "Log.entryAdded"
            | "Runtime.consoleAPICalled"
            | "Runtime.exceptionThrown" => self.complaints.push(message.to_string()),
            _ => {}
        }
    }
}

/// The messages of a pipe, each ended by a byte 0.
fn read(pipe: File) -> Receiver<Value> {
    let (sender, messages) = channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut text = Vec::new();
        while pipe.read_until(0, &mut text).is_ok_and(|len| len > 0) {
            let message = serde_json::from_slice(text.strip_suffix(b"\0").unwrap_or(&text));
            if message.is_ok_and(|message| sender.send(message).is_err()) {
                break;
            }
            text.clear();
        }
    });
    messages
}
