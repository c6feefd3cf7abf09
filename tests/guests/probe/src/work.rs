//! Works without end, in pieces as long as an HTTP request, and prints the number of pieces and of events.

use crate::yield_now;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;
use core::hint::black_box;
use kernel::System;

/// Rounds of a loop of four instructions: about the work of the web appliance for a request.
const ITERATIONS: u32 = 2000;

/// Obeys lines typed on the console: `work`, `rest` (the vCPU sleeps then), and anything else is answered with a count.
pub(crate) async fn work(system: &System) -> Result<(), String> {
    let (pieces, works) = (Rc::new(Cell::new(0_u64)), Rc::new(Cell::new(false)));
    system.console().write(b"ready to work\n");
    loop {
        let line = system.console().read_line().await;
        match line.as_str() {
            "work" if !works.replace(true) => {
                let (pieces, works) = (Rc::clone(&pieces), Rc::clone(&works));
                system.spawn(async move {
                    while works.get() {
                        for iteration in 0..ITERATIONS {
                            black_box(iteration);
                        }
                        pieces.set(pieces.get().wrapping_add(1));
                        yield_now().await;
                    }
                });
            }
            "rest" => works.set(false),
            _ => {}
        }
        system.console().write(
            format!("{} events, {} pieces\n", system.xen().events.stats().received, pieces.get()).as_bytes(),
        );
    }
}
