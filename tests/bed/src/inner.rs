//! What a machine and its domains share: the machine, and running commands in its dom0.

use crate::agent::{Agent, Output};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::machine::Machine;
use crate::paths;
use crate::qemu;
use crate::vifs::Vifs;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// What a machine and its domains share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) machine: Machine,
    pub(crate) image: Image,
    pub(crate) vifs: Vifs,
    /// Files already in dom0: from a key of the host's file to the path in dom0.
    pub(crate) uploads: Mutex<HashMap<String, String>>,
}

impl Inner {
    pub(crate) const fn agent(&self) -> Agent {
        self.machine.agent
    }

    pub(crate) fn alive(&self) -> bool {
        self.machine.qemu.alive()
    }

    /// Runs a script in dom0; an error of the agent's says so if QEMU itself has ended.
    pub(crate) fn exec(&self, script: &str, stdin: &[u8], limit: Duration) -> Result<Output> {
        let result = self.machine.agent.exec(script, stdin, limit);
        result.map_err(|error| if self.alive() { error } else { self.ended(error) })
    }

    /// Runs a script that must succeed, and returns its output.
    pub(crate) fn run(&self, script: &str, limit: Duration) -> Result<String> {
        let output = self.exec(script, b"", limit)?;
        if output.success() {
            return Ok(output.stdout);
        }
        let status = output.status.map_or_else(|| "a signal".to_owned(), |status| format!("status {status}"));
        Err(Error::new(Kind::Command, format!("`{}` in dom0 ended with {status}", script.trim()))
            .because(format!("{}{}", output.stdout, output.stderr)))
    }

    fn ended(&self, error: Error) -> Error {
        let xen = qemu::tail(&self.machine.qemu.xen_log(), 20);
        let said = self.machine.qemu.complaints();
        error.because(format!("QEMU has ended. {said}\nXen's console ends with:\n{xen}"))
    }

    /// The output of Xen and dom0 on the serial port.
    pub(crate) fn hypervisor_log(&self) -> Result<String> {
        let bytes = paths::read(&self.machine.qemu.xen_log())?;
        Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
    }

    /// QEMU's error output.
    pub(crate) fn complaints(&self) -> String {
        self.machine.qemu.complaints()
    }
}
