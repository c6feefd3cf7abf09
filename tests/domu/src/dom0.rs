//! The clients run in dom0: see `client/main.rs`.

use crate::Outcome;
use bed::Bed;
use std::net::SocketAddr;
use std::time::Duration;

const CLIENT: &str = concat!(env!("OUT_DIR"), "/client");

/// The program that resumes a domain in place, for dom0; see `dom0/resume.c`.
pub const RESUME: &str = concat!(env!("OUT_DIR"), "/resume");

const PLACE: &str = "/var/bed/files/client";

/// The client, in dom0.
#[derive(Debug)]
pub struct Client<'a> {
    bed: &'a Bed,
}

impl<'a> Client<'a> {
    /// Brings it there.
    ///
    /// # Errors
    /// When dom0 does not take it.
    pub fn new(bed: &'a Bed) -> Outcome<Self> {
        bed.put_file(CLIENT, PLACE)?;
        Ok(Self { bed })
    }

    /// `total` bytes to an echo service and back, compared: how long it took.
    ///
    /// # Errors
    /// What [`crate::echo::tcp`] says, or that `limit` was over.
    pub fn echo_tcp(&self, to: SocketAddr, total: u64, limit: Duration) -> Outcome<Duration> {
        let seconds: f64 = self.run(&format!("tcp-echo {to} {total}"), limit)?.trim().parse()?;
        Ok(Duration::from_secs_f64(seconds))
    }

    /// A datagram of each size from none to `most` bytes to an echo service and back; how many had to be sent again.
    ///
    /// # Errors
    /// What [`crate::echo::udp`] says, or that `limit` was over.
    pub fn echo_udp(&self, to: SocketAddr, most: usize, limit: Duration) -> Outcome<usize> {
        Ok(self.run(&format!("udp-echo {to} {most}"), limit)?.trim().parse()?)
    }

    /// So many datagrams of `bytes` to an echo service and back, one after the other, compared.
    ///
    /// # Errors
    /// When one does not come back as it went.
    pub fn echo_datagrams(&self, to: SocketAddr, bytes: usize, count: u32) -> Outcome {
        self.run(&format!("udp-echo-same {to} {bytes} {count}"), Duration::from_secs(60)).map(drop)
    }

    /// Batches of requests for `/1k`, each request made `padding` bytes longer than it need be.
    ///
    /// # Errors
    /// When one is not answered as it should be, or `limit` is over.
    pub fn request(&self, to: SocketAddr, batches: u32, padding: usize, limit: Duration) -> Outcome {
        self.run(&format!("http {to} /1k {batches} 32 {padding} 1024"), limit).map(drop)
    }

    fn run(&self, arguments: &str, limit: Duration) -> Outcome<String> {
        let output = self.bed.dom0_within(&format!("{PLACE} {arguments}"), limit)?;
        if output.success() { Ok(output.stdout) } else { Err(output.stderr.into()) }
    }
}
