//! One source into several guests at the same time, each with lines of its own and a result.
//!
//! ```text
//!   source ─┬─► job for web1 ─► result ─┐
//!           ├─► job for web2 ─► result ─┼─► one line for all, and the exit code of the first that failed
//!           └─► …                       ┘
//! ```

use crate::screen::Screen;
use crate::{Arguments, finish, job, sources};

/// The exit code of a job that ended without one.
const PANICKED: u8 = 1;

/// Pushes to all of these guests, and waits for each, also behind one that failed. The exit code.
pub(crate) fn run(arguments: &Arguments, domains: &[String]) -> u8 {
    if sources::is_stream(&arguments.source) {
        eprintln!("push: a stream can be read once: name one --domain, or push a file");
        return 2;
    }
    let one = |domain: &String| {
        let mut screen = Screen::new(arguments.json, Some(domain.clone()));
        let result = job::run(arguments, domain, &mut screen);
        finish(result, &mut screen)
    };
    let codes: Vec<u8> = std::thread::scope(|scope| {
        let running: Vec<_> = domains.iter().map(|domain| scope.spawn(|| one(domain))).collect();
        running.into_iter().map(|job| job.join().unwrap_or(PANICKED)).collect()
    });
    let results: Vec<(&str, u8)> = domains.iter().map(String::as_str).zip(codes).collect();
    Screen::new(arguments.json, None).all_ended(&results);
    results.iter().map(|(_, code)| *code).find(|code| *code != 0).unwrap_or(0)
}
