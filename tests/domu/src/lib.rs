//! What the tests on real Xen share: the images as domUs, and the clients that talk to them.
//!
//! ```text
//!   tests/*.rs ──► guest: an image as a domU on the bed, its address, its verdict
//!              ──► http: requests over a kept connection          ┐  std's sockets, to ports of 127.0.0.1
//!              ──► echo: patterns there and back by TCP and UDP   ┘  that the bed forwards into the guest
//!              ──► linux: a guest of that kind beside it
//!              ──► dom0: the same clients, running in dom0
//!              ──► capture: what of the guests' frames reached the host
//! ```
//!
//! A test is one bed: what belongs to one theme shares it, because restoring the machine costs seconds. Every wait has
//! an end. The images are those that `make image guests` leaves in `build/`.

#![forbid(unsafe_code)]

pub mod capture;
pub mod dom0;
pub mod echo;
pub mod guest;
pub mod http;
pub mod linux;
pub mod pattern;

use std::time::Duration;

/// From `xl create` to a guest's last line of start-up: it takes 2 seconds, unless the host is busy.
pub const BOOT: Duration = Duration::from_secs(120);

/// An answer on the network or from xl, on a busy host too.
pub const SOON: Duration = Duration::from_secs(60);

/// What a test returns: any error fails it with its words.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
