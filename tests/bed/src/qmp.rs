//! QEMU's machine protocol, on QEMU's standard input and output: no socket, no port, no path.

use crate::error::{Error, Kind, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long QEMU may take to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection to QEMU.
#[derive(Debug)]
pub(crate) struct Qmp {
    to: ChildStdin,
    from: Receiver<Value>,
}

impl Qmp {
    /// Greets QEMU.
    pub(crate) fn connect(to: ChildStdin, from: ChildStdout) -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(std::result::Result::ok) {
                if let Ok(message) = serde_json::from_str(&line)
                    && sender.send(message).is_err()
                {
                    break;
                }
            }
        });
        let mut qmp = Self { to, from: receiver };
        qmp.receive("greeting", |message| message.get("QMP").is_some())?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Gives an order and returns the answer.
    pub(crate) fn execute(&mut self, order: &str, arguments: Value) -> Result<Value> {
        let mut line = json!({ "execute": order, "arguments": arguments }).to_string();
        line.push('\n');
        let sent = self.to.write_all(line.as_bytes()).and_then(|()| self.to.flush());
        sent.map_err(|error| Error::new(Kind::Machine, format!("telling QEMU {order}")).because(error))?;
        // Events come in between; they are not used.
        let is_answer = |message: &Value| message.get("return").is_some() || message.get("error").is_some();
        let mut answer = self.receive(order, is_answer)?;
        if let Some(error) = answer.get("error") {
            let why = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
            return Err(Error::new(Kind::Machine, format!("QEMU refuses {order}")).because(why));
        }
        Ok(answer.get_mut("return").map(Value::take).unwrap_or_default())
    }

    /// Runs a command of the human monitor, for operations that the protocol lacks, and returns its output.
    pub(crate) fn monitor(&mut self, line: &str) -> Result<String> {
        let answer = self.execute("human-monitor-command", json!({ "command-line": line }))?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    fn receive(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.from.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(message) if wanted(&message) => return Ok(message),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Error::timeout(format!("QEMU's {what}"), LIMIT));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(Kind::Machine, format!("QEMU ended before it answered {what}")));
                }
            }
        }
    }
}
