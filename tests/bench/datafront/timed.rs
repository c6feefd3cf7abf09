//! Runs a command in dom0 and prints `1 seconds`, the time until it has ended well.
#![forbid(unsafe_code)]

use std::io::{Error, Result};
use std::process::{Command, Stdio};
use std::time::Instant;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [program, arguments @ ..] = words.as_slice() else { return Err(Error::other("timed COMMAND ARGUMENT…")) };
    let begun = Instant::now();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status()?;
    if !status.success() {
        return Err(Error::other(format!("{program} ended with {status}")));
    }
    println!("1 {:.9}", begun.elapsed().as_secs_f64());
    Ok(())
}
