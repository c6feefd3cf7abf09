//! Simulated machines that serve many inputs: booting one takes longer than most inputs do.
//!
//! ```text
//!   input ─► the machine of its kind, booted and connected ─► records ─► healed by a new connection ─► as new? kept
//!                         ▲                                                                             │
//!                         └── a new one, when the last was not as new, and after INPUTS of them ◄───────┘
//! ```
//!
//! An input meets the state after a boot, except for the order of pages in pools and the numbers of ports.
//! For reproduction, a panic leaves all inputs since the last boot, numbered, in
//! `artifacts/history-PID`; they are given to the target in that order: `rx artifacts/history-PID/*`.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};

/// Inputs after which every machine is booted again.
const INPUTS: usize = 250;

/// Inputs since machines were booted.
static HISTORY: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// Machines of `N` kinds.
#[derive(Debug)]
pub struct Machines<M, const N: usize>(RefCell<[Option<M>; N]>);

impl<M, const N: usize> Default for Machines<M, N> {
    fn default() -> Self {
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                keep_history();
                next(info);
            }));
        });
        Self(RefCell::new([const { None }; N]))
    }
}

impl<M, const N: usize> Machines<M, N> {
    /// Runs an input on the machine of a kind; `run` returns whether the machine is as new.
    pub fn run(&self, input: &[u8], kind: u8, boot: impl FnOnce() -> M, run: impl FnOnce(&mut M) -> bool) {
        let mut machines = self.0.borrow_mut();
        {
            let mut history = HISTORY.lock().unwrap_or_else(PoisonError::into_inner);
            if history.len() >= INPUTS {
                history.clear();
                machines.iter_mut().for_each(|machine| *machine = None);
            }
            history.push(input.to_vec());
        }
        let slot = &mut machines[usize::from(kind) % N];
        let machine = slot.get_or_insert_with(boot);
        if !run(machine) {
            *slot = None;
        }
    }
}

fn keep_history() {
    let folder = PathBuf::from(format!("artifacts/history-{}", std::process::id()));
    let history = HISTORY.lock().unwrap_or_else(PoisonError::into_inner);
    if std::fs::create_dir_all(&folder).is_err() {
        return;
    }
    for (number, input) in history.iter().enumerate() {
        let _ = std::fs::write(folder.join(format!("{number:03}")), input);
    }
    eprintln!("the {} inputs since the last boot are in {}", history.len(), folder.display());
}
