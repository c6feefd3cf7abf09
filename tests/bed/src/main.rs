//! The command `bed`: looks at the host, builds, runs a guest, runs a command in dom0.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]

mod run;

use bed::{Bed, Options, Progress, Result, doctor};
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use std::time::Duration;

/// Real Xen on any Debian machine: builds it, keeps it ready, and runs guests on it.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Order,
}

#[derive(Subcommand)]
enum Order {
    /// Lists what the host lacks, and how to install it
    Doctor,
    /// Fetches and builds Xen and dom0, and makes the snapshot that every start restores
    Build,
    /// Creates a guest and shows its console; Ctrl-C ends everything
    Run(run::Run),
    /// Starts Xen, runs a command in dom0, prints its output
    Exec {
        /// The longest time that the command may take, in seconds
        #[arg(long, default_value_t = 60)]
        timeout: u64,
        /// The command, for dom0's shell: `bed exec -- xl info`
        #[arg(required = true, last = true)]
        words: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Order::Doctor => return examine(),
        Order::Build => build(),
        Order::Run(order) => order.run(),
        Order::Exec { timeout, words } => exec(&words.join(" "), Duration::from_secs(timeout)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("[bed] error: {error}");
        ExitCode::FAILURE
    })
}

fn examine() -> ExitCode {
    let findings = doctor::examine();
    findings.iter().for_each(|finding| println!("{finding}"));
    println!("way      {}", doctor::acceleration());
    if findings.iter().all(|finding| finding.trouble.is_none()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn build() -> Result<ExitCode> {
    let mut progress = Progress::new(5);
    let bed = Bed::start_with(&Options::default(), &mut progress)?;
    progress.note(&format!("ready in {}", bed.image().folder().display()));
    Ok(ExitCode::SUCCESS)
}

fn exec(script: &str, limit: Duration) -> Result<ExitCode> {
    let bed = Bed::start(Options::default())?;
    let output = bed.dom0_within(script, limit)?;
    print!("{}", output.stdout);
    eprint!("{}", output.stderr);
    let code = output.status.and_then(|status| u8::try_from(status).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
