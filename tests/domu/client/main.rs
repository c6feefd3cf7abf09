//! The clients as a program for dom0: their traffic crosses netback and nothing else.
//!
//! ```text
//!   client tcp-echo ADDRESS:PORT BYTES
//!   client udp-echo ADDRESS:PORT BYTES           every size from 0 to BYTES
//!   client udp-echo-same ADDRESS:PORT BYTES COUNT    none of them sent twice
//!   client http ADDRESS:PORT PATH BATCHES REQUESTS-OF-A-BATCH PADDING BODY-BYTES
//!   client keep ADDRESS:PORT PATH FILE           one connection; FILE has the number of replies, FILE.end ends it
//! ```
#![forbid(unsafe_code)]
#![allow(dead_code, unreachable_pub, reason = "of the modules, which the tests use too, only a part")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

#[path = "../src/echo.rs"]
mod echo;
#[path = "../src/http/client.rs"]
mod http;
#[path = "../src/pattern.rs"]
mod pattern;

pub const SOON: Duration = Duration::from_secs(20);
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("client {}: {error}", arguments.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Outcome {
    match arguments {
        ["tcp-echo", to, bytes] => {
            let took = echo::tcp(to.parse()?, bytes.parse()?)?;
            println!("{}", took.as_secs_f64());
            Ok(())
        }
        ["udp-echo", to, most] => {
            println!("{}", echo::udp(to.parse()?, 0..=most.parse()?)?);
            Ok(())
        }
        ["udp-echo-same", to, bytes, count] => {
            let (to, bytes) = (to.parse()?, bytes.parse()?);
            for _ in 0..count.parse::<u64>()? {
                if echo::udp(to, bytes..=bytes)? > 0 {
                    return Err("a datagram had to be sent again".into());
                }
            }
            Ok(())
        }
        ["http", to, path, batches, requests, padding, body] => {
            let (requests, body) = (requests.parse()?, body.parse()?);
            let batch = http::request(path, padding.parse()?).repeat(requests);
            let mut connection = http::Connection::open(to.parse()?)?;
            for _ in 0..batches.parse::<u32>()? {
                connection.pipeline(&batch, requests, body)?;
            }
            Ok(())
        }
        ["keep", to, path, file] => keep(to, path, file),
        _ => Err("wrong arguments: see the head of client/main.rs".into()),
    }
}

/// Requests of a connection that is kept: more than a long test needs.
const REQUESTS: u64 = 100_000;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest that the guest may be away: a save and a restore on a busy machine.
const AWAY: Duration = Duration::from_secs(300);

fn keep(to: &str, path: &str, file: &str) -> Outcome {
    let mut connection = http::Connection::open(to.parse()?)?;
    connection.timeout(AWAY)?;
    let end = format!("{file}.end");
    for replies in 1..=REQUESTS {
        let status = connection.get(path)?.status;
        if status != 200 {
            return Err(format!("reply {replies} is {status}").into());
        }
        // In one step: a reader finds a whole number.
        let new = format!("{file}.new");
        std::fs::write(&new, replies.to_string())?;
        std::fs::rename(&new, file)?;
        if Path::new(&end).exists() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err("the end was never asked for".into())
}
