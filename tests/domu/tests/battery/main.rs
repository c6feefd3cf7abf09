//! Hostile clients × memory × content, on real Xen: no client may end the guest, and none may keep it from serving
//! others.
//!
//! ```text
//!   dom0: attack MODE ──┐
//!                       ├──► web, memory 3 … 128 MiB, content 0 … 100 % of its budget
//!   host: honest ───────┘
//!      one kept connection, and a new one for each request
//! ```
//!
//! After each attack the guest runs, and each well-behaved request was answered. After all attacks connections, tasks and
//! heap are back at their former values. A guest that an attack ends is started again, so one run shows every fault of a
//! cell.
//!
//! The short form is one cell with four attacks, and part of `make test`; `make test-battery` runs the whole matrix. `BATTERY=4:50:readers` in the environment
//! narrows the matrix to one memory size, content, attack; each part may be empty.

mod cell;
mod honest;

use bed::{Options, run_test_with};
use cell::{Attack, Cell};
use domu_tests::Outcome;

/// Content, in percent of the web appliance's budget.
const CONTENT: [u64; 3] = [0, 50, 100];

/// Every attack. The numbers exceed what 32 MiB have room for.
const ATTACKS: &[Attack] = &[
    Attack::new("readers", 400),
    Attack::new("trickle", 400),
    Attack::new("writers", 400),
    Attack::new("idle", 1000),
    Attack::new("half-open", 2000),
    Attack::new("zero-window", 400),
    Attack::new("tiny-mss", 50),
    Attack::new("vanish", 400),
    Attack::new("holes", 200),
    Attack::new("half-closed", 400),
    Attack::new("fragments", 5000),
    Attack::new("pings", 5000),
    Attack::new("neighbours", 5000),
];

/// Runs cells on one machine; a failed cell does not stop the others.
fn battery(name: &str, cells: &[Cell], attacks: &[Attack]) {
    run_test_with(name, Options::default(), |bed| -> Outcome {
        let mut faults = Vec::new();
        for cell in cells {
            cell.run(bed, attacks, &mut faults)?;
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(format!("{} faults:\n{}", faults.len(), faults.join("\n")).into())
        }
    });
}

/// The matrix's row of one memory size, as far as `BATTERY` asks for it.
fn row(memory_mib: u32) {
    let filter = std::env::var("BATTERY").unwrap_or_default();
    let part = |index: usize| filter.split(':').nth(index).unwrap_or_default();
    let fits = |part: &str, value: &str| part.is_empty() || part == value;
    let contents = CONTENT.into_iter().filter(|content| fits(part(1), &content.to_string()));
    let cells: Vec<Cell> = contents.map(|content_percent| Cell { memory_mib, content_percent }).collect();
    let attacks: Vec<Attack> = ATTACKS.iter().filter(|attack| fits(part(2), attack.mode)).copied().collect();
    if fits(part(0), &memory_mib.to_string()) {
        battery(&format!("battery_{memory_mib}_mib"), &cells, &attacks);
    }
}

/// The smallest guest with content, under one attack of each kind: connections, frames of TCP, other frames.
#[test]
fn some_hostile_clients_against_a_small_guest() {
    let cells = [Cell { memory_mib: 4, content_percent: 50 }];
    let modes = ["idle", "zero-window", "tiny-mss", "fragments"];
    let attacks: Vec<Attack> =
        ATTACKS.iter().filter(|attack| modes.contains(&attack.mode)).copied().collect();
    battery("some_hostile_clients_against_a_small_guest", &cells, &attacks);
}

macro_rules! rows {
    ($($name:ident: $mib:literal,)+) => {
        $(
            #[test]
            #[ignore = "the whole matrix: make test-battery"]
            fn $name() {
                row($mib);
            }
        )+
    };
}

rows! {
    hostile_clients_against_3_mib: 3,
    hostile_clients_against_4_mib: 4,
    hostile_clients_against_8_mib: 8,
    hostile_clients_against_16_mib: 16,
    hostile_clients_against_32_mib: 32,
    hostile_clients_against_128_mib: 128,
}
