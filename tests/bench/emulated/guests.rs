//! The guests that are measured, one at a time.

use crate::Work;
use crate::machine::{self, Outcome};
use bed::device_model::Card;
use bed::linux_domu::Linux;
use bed::{Bed, Domain};
use std::process::Command;
use std::time::Duration;

/// The addresses of our two images, and of Linux.
const OURS: [&str; 2] = ["10.0.2.31", "10.0.2.32"];
const LINUX: &str = "10.0.2.33";
/// Where Linux takes blocks; the guest `probe` takes them at 80.
const TAKE_PORT: u16 = 8000;

const TAKE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/take"));
/// Linux's programs: nginx and its libraries.
const SERVERS: [&str; 6] = ["nginx", "libc6", "libcrypt1", "libpcre2-8-0", "libssl3", "zlib1g"];
/// As in the other benchmark: the cheapest that nginx can do.
const NGINX: &str = "
worker_processes 1;
error_log stderr;
pid /tmp/nginx.pid;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 3600;
    open_file_cache max=16 inactive=3600s;
    server { listen 80; root /www; }
}
";
/// Serves, and runs what is typed.
const SCRIPT: &str = "mkdir -p /var/log/nginx /var/lib/nginx /etc/nginx
    head -c 1024 /dev/zero | tr '\\0' x > /www/1k
    echo 'nobody:x:65534:65534:nobody:/:/bin/false' > /etc/passwd
    echo 'nogroup:x:65534:' > /etc/group
    take 8000 &
    /usr/sbin/nginx -c /etc/bench.conf && echo \"bench: serving by $(readlink /sys/class/net/eth0/device/driver)\"
    while read -r line; do sh -c \"$line\"; done";
/// A register that is read: STATUS of e1000; of the rtl8139 the first bytes of its address. Both change nothing.
const REGISTERS: [(Card, u32); 2] = [(Card::E1000, 8), (Card::Rtl8139, 0)];
const LONG: Duration = Duration::from_secs(600);

/// Whose figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Linux(Card),
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Ours, Self::Linux(Card::Netfront), Self::Linux(Card::E1000), Self::Linux(Card::Rtl8139)];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Linux(card) => card.name(),
        }
    }
}

/// A guest, paused between works.
pub(crate) struct Guest {
    pub(crate) domain: Domain,
    pub(crate) address: &'static str,
    kind: Kind,
    /// Where it takes blocks, if it does.
    pub(crate) put_port: Option<u16>,
    serves: bool,
}

impl Guest {
    /// The guests of a kind. Ours are two images, one after the other; they are destroyed when the list is.
    pub(crate) fn start(bed: &Bed, kind: Kind) -> Outcome<Vec<Self>> {
        let Kind::Linux(card) = kind else { return ours(bed) };
        let guest = Linux::new(card.name()).address(LINUX).word("mitigations=off").script(SCRIPT).hvm(card);
        // A register of a card that has a driver may be read by a program too.
        let guest = guest.word("iomem=relaxed");
        let guest = SERVERS.iter().fold(guest, |guest, name| guest.package(name));
        let guest = guest
            .file("etc/bench.conf", 0o644, NGINX)
            .file("www/index.html", 0o644, "Linux\n")
            .file("bin/take", 0o755, TAKE)
            .file("bin/registers", 0o755, registers()?);
        let config = guest.config(bed)?;
        let domain = machine::start(bed, &config, "bench: serving by")?;
        Ok(vec![Self { domain, address: LINUX, kind, put_port: Some(TAKE_PORT), serves: true }])
    }

    /// Whether it does that work.
    pub(crate) fn has(&self, work: Work) -> bool {
        match work {
            Work::Http(_) => self.serves,
            Work::Put(..) => self.put_port.is_some(),
            Work::Registers => self.register().is_some(),
        }
    }

    fn register(&self) -> Option<u32> {
        REGISTERS.into_iter().find(|(card, _)| self.kind == Kind::Linux(*card)).map(|(_, offset)| offset)
    }

    /// Lets it read a register of its card so many times.
    pub(crate) fn read_registers(&self, count: u32) -> Outcome {
        let offset = self.register().ok_or("a guest without an emulated card")?;
        self.domain.send_line(&format!("registers {offset} {count}"))?;
        let said = self.domain.wait_for_next("registers: ", LONG)?;
        if said.contains("registers: read") { Ok(()) } else { Err(said.into()) }
    }
}

fn ours(bed: &Bed) -> Outcome<Vec<Guest>> {
    let [web, put] = OURS;
    let start = |image, name, more: &str, address| -> Outcome<Domain> {
        let config = machine::ours(image, name, &format!("{more}ip={address}/24 gw=10.0.2.2"))?;
        machine::start(bed, &config, "listening on ")
    };
    let kind = Kind::Ours;
    let domain = start("web", "web", "", web)?;
    let web = Guest { domain, address: web, kind, put_port: None, serves: true };
    let domain = start("probe", "put", "app.do=put ", put)?;
    Ok(vec![web, Guest { domain, address: put, kind, put_port: Some(80), serves: false }])
}

/// The program that reads registers, linked statically: the guest need not have its libraries.
fn registers() -> Outcome<Vec<u8>> {
    let program = bed::repository().join("build/bench/registers");
    let source = bed::repository().join("tests/bench/emulated/registers.c");
    let output = Command::new("cc").args(["-O2", "-static", "-o"]).args([&program, &source]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(std::fs::read(program)?)
}
