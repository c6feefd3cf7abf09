//! The two sides: our images, and Linux with nginx and the echo service, as domUs of one machine.
//!
//! Only the guest that is measured runs; the others are paused, so that no timer of theirs is counted.

use crate::plugin::Plugin;
use crate::profile::Symbols;
use crate::tls::Site;
use crate::{Outcome, report};
use bed::linux_domu::Linux;
use bed::{Bed, Domain, DomainConfig, Options, Progress, Value};
use domu_tests::dom0::ATTACK;
use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The machine's time is its number of instructions: 2 ns each, and no waiting while nothing runs.
pub(crate) const ICOUNT: &str = "shift=1,sleep=off";
/// Instructions of the whole machine in a second of its time.
pub(crate) const PER_SECOND: f64 = 500e6;
/// From `xl create` to the last line of a start; Linux takes billions of instructions.
const BOOT: Duration = Duration::from_secs(1200);
/// The limit of a command in dom0. A second of the machine's time can take half a minute on a busy host.
pub(crate) const LONG: Duration = Duration::from_secs(600);
/// The generator, as built by `build.rs`.
const LOAD: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bench-load"));
/// dom0's additional programs: wrk and its libraries.
const CLIENTS: &[&str] =
    &["wrk", "libluajit-5.1-2", "libssl3", "openssl", "iperf3", "libiperf0", "libsctp1", "iperf"];
/// The Linux guest's programs: nginx, iperf3 and their libraries.
const SERVERS: &[&str] =
    &["nginx", "libc6", "libcrypt1", "libpcre2-8-0", "libssl3", "zlib1g", "iperf3", "libiperf0", "libsctp1"];
/// Keep-alive without a limit and no log: the cheapest that nginx can do.
const NGINX: &str = "
worker_processes 1;
error_log stderr;
pid /tmp/nginx.pid;
worker_rlimit_nofile 40000;
events { worker_connections 20000; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 3600;
    open_file_cache max=16 inactive=3600s;
    server { listen 80; root /www; SERVER }
}
";

/// The address of the Linux guest.
const LINUX: &str = "10.0.2.23";

/// Whose figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Ours,
    Linux,
}

/// What a workload talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Web,
    Echo,
    Iperf,
    /// The same over IPv6.
    Iperf6,
}

impl Service {
    /// The image of ours that has it.
    const fn image(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Echo => "echo",
            Self::Iperf | Self::Iperf6 => "iperf",
        }
    }
}

/// A running guest.
struct Guest {
    domain: Domain,
    address: &'static str,
}

/// The machine with all guests.
pub(crate) struct Rig {
    bed: Bed,
    /// Our guests, each with the name of its image.
    ours: Vec<Guest>,
    linux: Option<Guest>,
    plugin: Option<Plugin>,
    /// Idle connections that are held to the guest of a side that serves HTTP.
    held: Cell<[u32; 2]>,
}

impl Rig {
    /// Starts the machine and every guest, and leaves the guests paused.
    ///
    /// `refuse`: the features that our guests do without, as on their command line.
    pub(crate) fn start(plugin: Option<Plugin>, ours_only: bool, refuse: &str) -> Outcome<Self> {
        let mut progress = Progress::new(5);
        let bed = machine(plugin.as_ref(), &mut progress)?;
        // One at a time, because each is paused when it is up.
        progress.step("starting our images");
        let refuse = if refuse.is_empty() { String::new() } else { format!(" vif.refuse={refuse}") };
        let mut ours = Vec::new();
        for (image, address, options) in [
            // Connections that are held idle stay.
            ("web", "10.0.2.21", format!("{refuse} app.idle=86400")),
            ("echo", "10.0.2.22", refuse.clone()),
            ("iperf", "10.0.2.24", refuse.clone()),
        ] {
            ours.push(self::ours(&bed, image, address, &options)?);
        }
        let linux = if ours_only {
            None
        } else {
            progress.step("starting Linux with nginx");
            Some(start(&bed, &linux_config(&bed, LINUX)?, LINUX, "bench: serving")?)
        };
        bed.put_file(ATTACK, "/var/attack")?;
        Ok(Self { bed, ours, linux, plugin, held: Cell::new([0; 2]) })
    }

    /// The same with a web appliance and a nginx that have a site and a certificate.
    pub(crate) fn start_tls(plugin: Option<Plugin>, ours_only: bool) -> Outcome<Self> {
        let mut progress = Progress::new(5);
        let bed = machine(plugin.as_ref(), &mut progress)?;
        let site = Site::new()?;
        progress.step("starting our image, and pushing a site and a certificate");
        let web = ours(&bed, "web", "10.0.2.21", " app.tls=on")?;
        run(&bed, "xl unpause web")?;
        site.push(&bed, "web")?;
        run(&bed, "xl pause web")?;
        let linux = if ours_only {
            None
        } else {
            progress.step("starting Linux with nginx");
            Some(start(&bed, &site.linux(&bed, LINUX)?, LINUX, "bench: serving")?)
        };
        Ok(Self { bed, ours: vec![web], linux, plugin, held: Cell::new([0; 2]) })
    }

    /// The sides of this run.
    pub(crate) fn sides(&self) -> Vec<Side> {
        self.linux.iter().fold(vec![Side::Ours], |sides, _| [sides, vec![Side::Linux]].concat())
    }

    /// The guest of a side that has the service.
    fn guest(&self, side: Side, service: Service) -> Outcome<&Guest> {
        if let (Side::Linux, Some(linux)) = (side, &self.linux) {
            return Ok(linux);
        }
        let found = self.ours.iter().find(|guest| guest.domain.name() == service.image());
        found.ok_or_else(|| format!("no guest has the image {}", service.image()).into())
    }

    /// The address of the guest of a side that has the service.
    pub(crate) fn address(&self, side: Side, service: Service) -> Outcome<String> {
        let address = self.guest(side, service)?.address;
        Ok(if service == Service::Iperf6 { six(address) } else { address.to_owned() })
    }

    /// The functions of our guest that has the service.
    pub(crate) fn symbols(&self, service: Service) -> Outcome<Symbols> {
        Symbols::of(&copy_of(self.guest(Side::Ours, service)?.domain.name())?)
    }

    /// The plugin, if it was asked for.
    pub(crate) const fn plugin(&self) -> Option<&Plugin> {
        self.plugin.as_ref()
    }

    /// Runs the guest while `work` runs.
    pub(crate) fn with<T>(
        &self,
        side: Side,
        service: Service,
        work: impl FnOnce() -> Outcome<T>,
    ) -> Outcome<T> {
        let name = self.guest(side, service)?.domain.name();
        self.run(&format!("xl unpause {name}"))?;
        let result = work();
        self.run(&format!("xl pause {name}"))?;
        result
    }

    /// Makes idle connections to port 80 of `address` until `count` are held, from raw frames in dom0: neither their
    /// making nor their end is a socket's. Returns how many were made.
    pub(crate) fn hold(&self, side: Side, address: &str, count: u32) -> Outcome<u32> {
        let mut held = self.held.get();
        let first = std::mem::replace(&mut held[usize::from(side == Side::Linux)], count);
        if first >= count {
            return Ok(0);
        }
        let said = self.run(&format!("/var/attack hold {address} 80 {count} 1 {first}"))?;
        self.held.set(held);
        let made = said.split(' ').next().and_then(|made| made.parse().ok()).unwrap_or(0);
        if made == count - first {
            return Ok(made);
        }
        Err(format!("{made} of {} idle connections were made: {said}", count - first).into())
    }

    /// Runs a command in dom0, which must succeed, and returns its output.
    pub(crate) fn run(&self, script: &str) -> Outcome<String> {
        run(&self.bed, script)
    }
}

/// A machine that counts.
pub(crate) fn options(plugin: Option<&Plugin>) -> Options {
    let options = Options::default().icount(ICOUNT);
    plugin.iter().fold(options, |options, plugin| options.qemu_arg("-plugin").qemu_arg(&plugin.argument()))
}

pub(crate) fn run(bed: &Bed, script: &str) -> Outcome<String> {
    let output = bed.dom0_within(script, LONG)?;
    if output.success() {
        return Ok(output.stdout);
    }
    Err(format!("`{script}` in dom0: {}{}", output.stdout, output.stderr).into())
}

/// Puts the generator into dom0.
pub(crate) fn put_load(bed: &Bed) -> Outcome {
    put(bed, "/usr/bin/bench-load", LOAD)
}

/// Puts a program into dom0.
fn put(bed: &Bed, path: &str, program: &[u8]) -> Outcome {
    let output = bed.dom0_with_input(&format!("cat > {path} && chmod 755 {path}"), program, LONG)?;
    if output.success() { Ok(()) } else { Err(format!("{path} in dom0: {}", output.stderr).into()) }
}

/// Starts the machine that counts, with the clients in its dom0.
fn machine(plugin: Option<&Plugin>, progress: &mut Progress) -> Outcome<Bed> {
    let options = CLIENTS.iter().fold(options(plugin), |options, name| options.extra_package(name));
    let bed = Bed::start_with(&options, progress)?;
    run(&bed, bed::SPEAK_IPV6)?;
    put_load(&bed)?;
    Ok(bed)
}

fn ours(bed: &Bed, image: &str, address: &'static str, options: &str) -> Outcome<Guest> {
    let cmdline = format!("ip={address}/24 gw=10.0.2.2 ip6={}/64{options}", six(address));
    let config = ours_config(image, address)?.cmdline(&cmdline);
    start(bed, &config, address, "listening on ")
}

/// The guest's additional IPv6 address.
fn six(address: &str) -> String {
    format!("fd00:6d69::{}", address.rsplit('.').next().unwrap_or_default())
}

/// The configuration of an image of ours, of which a copy is made.
pub(crate) fn ours_config(image: &str, address: &str) -> Outcome<DomainConfig> {
    let root = bed::repository();
    let kernel = root.join("build").join(format!("{image}.elf"));
    let copy = copy_of(image)?;
    fs::copy(&kernel, &copy).map_err(|error| format!("{}: {error}; run make image", kernel.display()))?;
    let config = DomainConfig::from_file(root.join("xen.cfg"))?
        .kernel(copy)
        .name(image)
        .cmdline(&format!("ip={address}/24 gw=10.0.2.2"));
    Ok(native_tsc(&config))
}

/// The path of the running image: a run takes minutes, in which `make image` may write another one.
pub(crate) fn copy_of(image: &str) -> Outcome<PathBuf> {
    Ok(report::folder()?.join(format!("{image}.elf")))
}

/// The configuration of a Linux guest with nginx.
pub(crate) fn linux_config(bed: &Bed, address: &str) -> Outcome<DomainConfig> {
    configured(bed, address, nginx(address, ""))
}

/// A Linux guest with nginx and these lines more in its server.
pub(crate) fn nginx(address: &str, server: &str) -> Linux {
    let script = "mkdir -p /var/log/nginx /var/lib/nginx /etc/nginx
        head -c 1024 /dev/zero | tr '\\0' x > /www/1k
        head -c 1048576 /dev/zero | tr '\\0' x > /www/1m
        echo 'nobody:x:65534:65534:nobody:/:/bin/false' > /etc/passwd
        echo 'nogroup:x:65534:' > /etc/group
        /usr/bin/iperf3 -s -D
        ip -6 addr add SIX/64 dev eth0
        /usr/sbin/nginx -c /etc/bench.conf && echo 'bench: serving'
        bed-agent echo 7";
    let guest = Linux::new("linux").address(address).script(&script.replace("SIX", &six(address)));
    let guest = SERVERS.iter().fold(guest, |guest, name| guest.package(name));
    guest.file("etc/bench.conf", 0o644, NGINX.replace("SERVER", server)).file(
        "www/index.html",
        0o644,
        "Linux\n",
    )
}

/// The configuration of that guest.
pub(crate) fn configured(bed: &Bed, address: &str, guest: Linux) -> Outcome<DomainConfig> {
    let config = guest.config(bed)?.cmdline(&format!("console=hvc0 quiet mitigations=off address={address}"));
    Ok(native_tsc(&config))
}

/// The emulated processor promises no invariant TSC, so Xen would intercept RDTSC and each reading of the clock would
/// be an exit of thousands of instructions. Machines that people run Xen on have one.
fn native_tsc(config: &DomainConfig) -> DomainConfig {
    config.clone().set("tsc_mode", Value::Text("native".into()))
}

fn start(bed: &Bed, config: &DomainConfig, address: &'static str, ready: &str) -> Outcome<Guest> {
    let domain = bed.create(config)?;
    domain.wait_for(ready, BOOT)?;
    run(bed, &format!("xl pause {}", domain.name()))?;
    Ok(Guest { domain, address })
}
