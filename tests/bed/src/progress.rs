//! Shows long work: a bar or a spinner on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// Prints the progress: `[bed] 2/5 downloading 31 packages`.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    steps: u32,
    step: u32,
}

impl Progress {
    /// Progress of work in this many steps, on standard error.
    #[must_use]
    pub fn new(steps: u32) -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar, steps, step: 0 }
    }

    /// Begins the next step.
    pub fn step(&mut self, what: &str) {
        self.step += 1;
        self.steps = self.steps.max(self.step);
        let line = format!("[bed] {}/{} {what}", self.step, self.steps);
        match &self.bar {
            Some(bar) => {
                bar.set_style(ProgressStyle::default_spinner());
                bar.set_message(line);
            }
            None => eprintln!("{line}"),
        }
    }

    /// Says how many of `total` bytes of this step are done.
    pub fn bytes(&self, done: u64, total: u64) {
        let Some(bar) = &self.bar else { return };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bar:30} {bytes}/{total_bytes}") {
            bar.set_style(style);
        }
        bar.set_length(total);
        bar.set_position(done);
    }

    /// Prints a line that stays.
    pub fn note(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("[bed] {what}")),
            None => eprintln!("[bed] {what}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
