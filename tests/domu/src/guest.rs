//! One of our images as a domU on the test bed.

use crate::{BOOT, Outcome};
use bed::{Bed, Domain, DomainConfig};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The repository's `xen.cfg` with another image, name and command line.
///
/// # Errors
/// When `xen.cfg` cannot be read.
pub fn config(image: &str, name: &str, cmdline: &str) -> Outcome<DomainConfig> {
    let root = bed::repository();
    let kernel = root.join("build").join(format!("{image}.elf"));
    if !kernel.is_file() {
        return Err(format!("{} is not there; make image guests", kernel.display()).into());
    }
    Ok(DomainConfig::from_file(root.join("xen.cfg"))?.kernel(kernel).name(name).cmdline(cmdline))
}

/// A guest with an address that it got by DHCP.
#[derive(Debug)]
pub struct Guest<'a> {
    bed: &'a Bed,
    /// The domain.
    pub domain: Domain,
    /// Its address.
    pub address: Ipv4Addr,
}

impl<'a> Guest<'a> {
    /// Starts an image under its own name, and waits for its address and its service.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(bed: &'a Bed, image: &str, cmdline: &str) -> Outcome<Self> {
        Self::create(bed, &config(image, image, cmdline)?)
    }

    /// As [`Guest::start`], with a whole configuration.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn create(bed: &'a Bed, config: &DomainConfig) -> Outcome<Self> {
        Self::of(bed, bed.create(config)?)
    }

    /// Waits for the address and the service of a domain that was created.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn of(bed: &'a Bed, domain: Domain) -> Outcome<Self> {
        let address = leased(&domain)?;
        domain.wait_for("listening on ", BOOT)?;
        Ok(Self { bed, domain, address })
    }

    /// Waits until the guest has the IPv6 address with the prefix that the test bed's router advertises, and returns
    /// it. Each new address empties the cache of neighbours, which costs a reply to a ping that is sent just then,
    /// and ends a task that waits for it.
    ///
    /// # Errors
    /// When it does not get one in time.
    pub fn wait_for_ipv6(&self) -> Outcome<Ipv6Addr> {
        let line = self.domain.wait_for("IPv6 address fec0:", BOOT)?;
        let address = line.split("IPv6 address ").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.and_then(|address| address.parse().ok());
        Ok(address.ok_or_else(|| format!("no address in {line:?}"))?)
    }

    /// A port of 127.0.0.1 that leads to a TCP port of the guest.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub fn tcp(&self, port: u16) -> Outcome<SocketAddr> {
        Ok(self.bed.forward_tcp(self.address, port)?)
    }
}

/// The address that a guest says it got by DHCP.
///
/// # Errors
/// When it does not say so in time.
pub fn leased(domain: &Domain) -> Outcome<Ipv4Addr> {
    let line = domain.wait_for("net: DHCP lease ", BOOT)?;
    let address = line.split("DHCP lease ").nth(1).and_then(|rest| rest.split('/').next());
    let address = address.and_then(|address| address.parse().ok());
    Ok(address.ok_or_else(|| format!("no address in {line:?}"))?)
}

/// Types a line on a console until it is answered: after a flood of input there may be no room for it, and then it is
/// lost.
///
/// # Errors
/// When it is not answered in time.
pub fn insist(domain: &Domain, line: &str, answer: &str) -> Outcome {
    let began = Instant::now();
    loop {
        domain.send_line(line)?;
        match domain.wait_for_next(answer, Duration::from_secs(5)) {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > BOOT => return Err(error.into()),
            Err(_) => {}
        }
    }
}

/// The verdict of a probe: its last line, in the words of XTF's guests. Lines of its stack about addresses may follow.
///
/// # Errors
/// When the probe reports a failure, or there is no verdict: then it has crashed.
pub fn verdict(domain: &Domain) -> Outcome {
    domain.wait_gone(BOOT)?;
    let console = domain.console();
    let says = |line: &&str| !line.trim().is_empty() && !line.contains("] INFO  net: ");
    let last = console.lines().rfind(says).unwrap_or_default();
    if last == "Test result: SUCCESS" {
        return Ok(());
    }
    Err(format!("{}: its last line is {last:?}\nconsole:\n{console}", domain.name()).into())
}
