//! `bed run`: a guest on Xen, its console on the terminal, its port on 127.0.0.1.

use bed::{Bed, Domain, DomainConfig, DomainState, Error, Options, Progress, Result};
use std::io::{BufRead, IsTerminal, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The address that the first guest gets by DHCP.
const FIRST_LEASE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// A page is requested from a guest that listens on this port.
const HTTP: u16 = 80;

/// Arguments of `bed run`.
#[derive(clap::Args)]
pub(crate) struct Run {
    /// The guest's configuration, as xl takes it
    #[arg(long)]
    cfg: PathBuf,
    /// Another name than the configuration's
    #[arg(long)]
    name: Option<String>,
    /// Another kernel than the configuration's
    #[arg(long)]
    kernel: Option<PathBuf>,
    /// Another command line than the configuration's
    #[arg(long)]
    cmdline: Option<String>,
    /// A port of 127.0.0.1 that leads to a port of the guest: 8080:80
    #[arg(long, value_parser = parse_forward)]
    forward: Vec<(u16, u16)>,
    /// The guest's address, if it is not the first that DHCP gives
    #[arg(long)]
    guest_ip: Option<Ipv4Addr>,
    /// The machine's memory in MiB
    #[arg(long)]
    memory: Option<u32>,
}

fn parse_forward(text: &str) -> std::result::Result<(u16, u16), String> {
    let parse = |(host, guest): (&str, &str)| Some((host.parse().ok()?, guest.parse().ok()?));
    text.split_once(':')
        .and_then(parse)
        .ok_or_else(|| "must be HOST-PORT:GUEST-PORT, as in 8080:80".to_owned())
}

impl Run {
    /// Runs until the guest ends or the reader presses Ctrl-C, which ends this process and QEMU with it.
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let config = self.config()?;
        let mut progress = Progress::new(5);
        let options = self.memory.map_or_else(Options::default, |mib| Options::default().memory_mib(mib));
        let bed = Bed::start_with(&options, &mut progress)?;
        let guest_ip = self.guest_ip.or_else(|| static_address(&config)).unwrap_or(FIRST_LEASE);
        let mut addresses = Vec::new();
        for (host, guest) in &self.forward {
            addresses.push((bed.forward_tcp_from(*host, guest_ip, *guest)?, *guest));
        }
        progress.step("xl create");
        let domain = Arc::new(bed.create(&config)?);
        drop(progress);
        say(&format!("{} is domain {}; its console follows (Ctrl-C ends)", domain.name(), domain.domid()));
        for (address, port) in addresses {
            say(&format!("{address} leads to {guest_ip}:{port}"));
            if port == HTTP {
                std::thread::spawn(move || report_http(address));
            }
        }
        type_lines(&domain);
        show_console(&domain)
    }

    fn config(&self) -> Result<DomainConfig> {
        let mut config = DomainConfig::from_file(&self.cfg)?;
        if let Some(name) = &self.name {
            config = config.name(name);
        }
        if let Some(kernel) = &self.kernel {
            let kernel =
                std::path::absolute(kernel).map_err(|error| Error::host("--kernel").because(error))?;
            config = config.kernel(kernel);
        }
        if let Some(line) = &self.cmdline {
            config = config.cmdline(line);
        }
        Ok(config)
    }
}

fn say(line: &str) {
    eprintln!("[bed] {line}");
}

/// The address in `ip=ADDRESS[/LENGTH]` of the guest's command line.
fn static_address(config: &DomainConfig) -> Option<Ipv4Addr> {
    let line = config.text("cmdline").or_else(|| config.text("extra"))?;
    let value = line.split_whitespace().find_map(|word| word.strip_prefix("ip="))?;
    value.split(['/', ':']).next()?.parse().ok()
}

/// Shows the console until the guest has ended.
fn show_console(domain: &Domain) -> Result<ExitCode> {
    let mut shown = 0;
    let mut quiet = 0;
    loop {
        let bytes = domain.console_after(shown, Duration::from_secs(1));
        shown += bytes.len();
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&bytes).and_then(|()| out.flush());
        quiet = if bytes.is_empty() { quiet + 1 } else { 0 };
        // The state of the guest is checked when it has been silent: the check costs dom0 time.
        if quiet == 0 || quiet % 5 != 0 {
            continue;
        }
        let status = domain.state()?;
        if matches!(status.state, DomainState::Gone | DomainState::Shutdown | DomainState::Crashed) {
            let reason = domain.shutdown_reason()?;
            say(&format!("{} is {status}{}", domain.name(), reason.map_or("", describe)));
            return Ok(if reason == Some(0) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
}

const fn describe(reason: u32) -> &'static str {
    match reason {
        0 => ": it powered off",
        1 => ": it asked for a reboot",
        3 => ": it crashed",
        _ => "",
    }
}

/// Passes lines that are typed on a terminal on to the guest's console.
fn type_lines(domain: &Arc<Domain>) {
    if !std::io::stdin().is_terminal() {
        return;
    }
    let domain = Arc::clone(domain);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            if let Err(error) = domain.send_line(&line) {
                say(&error.to_string());
            }
        }
    });
}

/// Prints a line when HTTP is first answered on a forwarded port.
fn report_http(address: SocketAddr) {
    loop {
        if let Some(status) = http_status(address) {
            say(&format!("http://{address}/ answers: {status}"));
            return;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// The status line of the answer to one request. QEMU takes the connection before the guest does, so all that counts
/// is an answer.
fn http_status(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut buffer = [0; 256];
    let len = stream.read(&mut buffer).ok()?;
    let text = String::from_utf8_lossy(buffer.get(..len)?).into_owned();
    let line = text.lines().next()?.to_owned();
    line.starts_with("HTTP/").then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forward_is_two_ports() {
        assert_eq!(parse_forward("8080:80"), Ok((8080, 80)));
        assert!(parse_forward("8080").is_err() && parse_forward("a:80").is_err());
    }

    #[test]
    fn static_address_is_read_from_the_command_line() {
        let config = DomainConfig::pvh("a", "b");
        let address = |line: &str| static_address(&config.clone().cmdline(line));
        assert_eq!(address("log=info ip=10.0.2.20/24 gw=10.0.2.2"), Some(Ipv4Addr::new(10, 0, 2, 20)));
        assert_eq!(address("ip=dhcp"), None);
    }
}
