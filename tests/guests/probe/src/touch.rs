//! Touches memory at given addresses.

use crate::faults;
use alloc::format;
use alloc::string::String;
use kernel::System;

const PATTERN: u64 = 0x6d69_6c6c_706f_6e64;

/// Writes to the words at `app.at=`, hexadecimal addresses with commas between, and reads them back.
pub(crate) fn touch(system: &System) -> Result<(), String> {
    for at in system.config().app("at").unwrap_or_default().split(',') {
        let address = usize::from_str_radix(at, 16).map_err(|error| format!("app.at={at}: {error}"))?;
        let read = faults::write_and_read(address, PATTERN);
        if read != PATTERN {
            return Err(format!("{address:#x} holds {read:#x}"));
        }
    }
    Ok(())
}
