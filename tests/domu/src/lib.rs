//! What the tests on real Xen share: images as domUs, and clients.
//!
//! ```text
//!   tests/*.rs ──► guest: an image as a domU on the test bed, its address, its verdict
//!              ──► http: requests over a kept connection          ┐  std's sockets, to ports of 127.0.0.1
//!              ──► tls: certificates, curl and openssl            │
//!              ──► echo: patterns there and back by TCP and UDP   ┘  that the test bed forwards into the guest
//!              ──► linux: a Linux guest
//!              ──► dom0: the same clients, running in dom0
//!              ──► capture: what of the guests' frames reached the host
//! ```
//!
//! Each test has a machine of its own. Tests of one subject are combined, because restoring the machine takes
//! seconds. Every wait has a limit. The images are those of `make image guests` in `build/`.

#![forbid(unsafe_code)]

pub mod capture;
pub mod dom0;
pub mod echo;
pub mod guest;
pub mod http;
pub mod linux;
pub mod pattern;
pub mod tls;

use std::time::Duration;

/// From `xl create` to a guest's last line of start-up: it takes 2 seconds, unless the host is busy.
pub const BOOT: Duration = Duration::from_secs(120);

/// An answer on the network or from xl, on a busy host too.
pub const SOON: Duration = Duration::from_secs(60);

/// What a test returns: any error fails it with its words.
pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
