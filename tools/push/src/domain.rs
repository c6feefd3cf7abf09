//! The guest: its number, and whether it listens. Asked by Xen's own tools, as a person would.

use crate::dial::{Dial, Proxy, Way};
use crate::error::Error;
use crate::pusher::Options;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

/// A domain that exists.
#[derive(Clone, Debug)]
pub struct Domain {
    name: String,
    domid: u16,
}

impl Domain {
    /// Finds a domain by name or number, and waits until it offers a channel of this name.
    ///
    /// # Errors
    /// If there is no such domain, or it offers none for [`Options::appear`].
    pub fn find(name: &str, options: &Options) -> Result<Self, Error> {
        let domid = number(name)?.ok_or_else(|| Error::NoSuchDomain(name.to_owned()))?;
        let domain = Self { name: name.to_owned(), domid };
        let path = domain.path(&options.port);
        let deadline = Instant::now() + options.appear;
        while answer("xenstore-read", &[&format!("{path}/ring-ref")])?.is_none() {
            if Instant::now() >= deadline {
                return Err(Error::NoDatafront { domain: domain.name, path });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(domain)
    }

    /// Where its channel of this name for dom0 is.
    #[must_use]
    pub fn path(&self, port: &str) -> String {
        format!("/local/domain/{}/data/vchan/0/{port}", self.domid)
    }

    /// Its number.
    #[must_use]
    pub const fn domid(&self) -> u16 {
        self.domid
    }

    /// A way to its channel of this name.
    #[must_use]
    pub fn dialer(&self, options: &Options) -> Redial {
        Redial { domain: self.clone(), options: options.clone() }
    }
}

/// A way to a domain by its name, with any domid: a restored domain has another one.
#[derive(Clone, Debug)]
pub struct Redial {
    domain: Domain,
    options: Options,
}

impl Redial {
    /// The number of the domain at the last dial.
    #[must_use]
    pub const fn domid(&self) -> u16 {
        self.domain.domid
    }

    /// The number that the domain of this name has now, if there is one.
    #[must_use]
    pub fn find(&self) -> Option<u16> {
        number(&self.domain.name).ok().flatten()
    }

    /// By libxenvchan: retries until the guest is there and no other client is.
    #[cfg(feature = "libxenvchan")]
    fn direct(&self, path: &str, deadline: Instant) -> io::Result<Box<dyn Way>> {
        loop {
            if let Some(way) = vchan::libxenvchan::connect(self.domain.domid, path)? {
                return Ok(way);
            }
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[cfg(not(feature = "libxenvchan"))]
    fn direct(&self, path: &str, _deadline: Instant) -> io::Result<Box<dyn Way>> {
        Proxy::new(self.domain.domid, path).dial()
    }
}

impl Dial for Redial {
    fn dial(&mut self) -> io::Result<Box<dyn Way>> {
        let deadline = Instant::now() + self.options.timeout;
        while !self.is_alive() {
            match Domain::find(&self.domain.name, &self.options) {
                Ok(domain) => self.domain = domain,
                Err(error) if Instant::now() >= deadline => {
                    return Err(match error {
                        Error::NoSuchDomain(name) => io::Error::new(io::ErrorKind::HostUnreachable, name),
                        other => io::Error::other(other.to_string()),
                    });
                }
                // Between save and restore there is none.
                Err(_) => std::thread::sleep(Duration::from_millis(500)),
            }
        }
        let path = self.domain.path(&self.options.port);
        if self.options.proxy {
            return Proxy::new(self.domain.domid, &path).dial();
        }
        self.direct(&path, deadline)
    }

    fn is_alive(&mut self) -> bool {
        let node = format!("/local/domain/{}/domid", self.domain.domid);
        // A tool that fails says nothing about the domain.
        !matches!(answer("xenstore-read", &[&node]), Ok(None))
    }
}

/// The domains that offer dom0 a channel of this name, by name, in the order of their numbers.
///
/// # Errors
/// If there is none, or a tool is missing.
pub fn offering(port: &str) -> Result<Vec<String>, Error> {
    let mut domids: Vec<u16> = answer("xenstore-list", &["/local/domain"])?
        .map(|list| list.lines().filter_map(|line| line.trim().parse().ok()).collect())
        .unwrap_or_default();
    domids.sort_unstable();
    let mut domains = Vec::new();
    for domid in domids {
        let node = format!("/local/domain/{domid}/data/vchan/0/{port}/ring-ref");
        if answer("xenstore-read", &[&node])?.is_none() {
            continue;
        }
        let name = answer("xenstore-read", &[&format!("/local/domain/{domid}/name")])?;
        let name = name.map(|name| name.trim().to_owned());
        // By name it is found again under the number that it has after a restore. A number is no name.
        let name = name.filter(|name| !name.is_empty() && name.parse::<u16>().is_err());
        domains.push(name.unwrap_or_else(|| domid.to_string()));
    }
    if domains.is_empty() { Err(Error::NobodyOffers(port.to_owned())) } else { Ok(domains) }
}

/// The number of a domain that exists.
fn number(name: &str) -> Result<Option<u16>, Error> {
    Ok(match name.parse::<u16>() {
        Ok(domid) => answer("xenstore-read", &[&format!("/local/domain/{domid}/domid")])?.map(|_| domid),
        Err(_) => answer("xl", &["domid", name])?.and_then(|text| text.trim().parse().ok()),
    })
}

/// What a tool prints, if it succeeds.
fn answer(tool: &str, arguments: &[&str]) -> Result<Option<String>, Error> {
    let output = Command::new(tool).args(arguments).output();
    let output = output.map_err(|error| Error::Tool(tool.to_owned(), error))?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}
