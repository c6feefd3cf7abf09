//! An application that embeds the library: blocks of one size into a guest, counted for `make bench-datafront`.
//!
//! Usage: `blocks DOMAIN SIZE COUNT one|many [proxy]`: one at a time, each acknowledged before the next, or as many under
//! way as the guest permits. Prints `blocks seconds`, without the time to connect.
#![forbid(unsafe_code)]
#![allow(clippy::std_instead_of_core, reason = "a host program")]

use push::domain::Domain;
use push::{Error, Options, Pusher, Source};
use std::io;
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<(), Error> {
    let wrong = |what: &str| Error::Source(what.into(), io::Error::other("see the head of blocks.rs"));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [domain, size, count, how, rest @ ..] = arguments.as_slice() else { return Err(wrong("arguments")) };
    let number = |text: &String| text.parse::<usize>().map_err(|_| wrong(text));
    let (size, count) = (number(size)?, number(count)?);
    let options = Options { proxy: rest.iter().any(|word| word == "proxy"), ..Options::default() };
    let domain = Domain::find(domain, &options)?;
    let mut pusher = Pusher::new(domain.dialer(&options), options);
    let (name, bytes): (Arc<str>, Arc<[u8]>) = ("block".into(), vec![7; size].into());
    let mut push = |count: usize| {
        for _ in 0..count {
            pusher.enqueue(Source::bytes(Arc::clone(&name), Arc::clone(&bytes))?);
        }
        pusher.run(&mut |_| {}).map(drop)
    };
    // The first connects.
    push(1)?;
    let begun = Instant::now();
    if how == "one" {
        for _ in 0..count {
            push(1)?;
        }
    } else {
        push(count)?;
    }
    println!("{count} {:.9}", begun.elapsed().as_secs_f64());
    Ok(())
}
