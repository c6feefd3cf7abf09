//! What connects the guest to the toolstack and its operator.
//!
//! | file | contents |
//! |---|---|
//! | `control` | requests: `control/shutdown`, `control/sysrq`, `memory/target` |
//! | `vifs` | the network interfaces in `device/vif` |
//! | `agent`, `facts` | the guest agent: addresses, system and memory, as tools show them |
//! | `console_shell`, `shell_commands` | commands on `xl console` |
//!
//! Each is a task that waits for xenstore, the console or time; none is on the path of a packet. Values in xenstore are
//! untrusted input. A refused write is logged at debug and is no error.

#[cfg(bare)]
mod agent;
#[cfg(bare)]
mod console_shell;
#[cfg(bare)]
mod control;
#[cfg(any(test, bare))]
mod facts;
#[cfg(any(test, bare))]
mod shell_commands;
#[cfg(bare)]
mod startup;
#[cfg(bare)]
mod vifs;

#[cfg(bare)]
pub(crate) use startup::{prepare, resumed};
