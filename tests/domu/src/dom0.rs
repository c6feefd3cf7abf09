//! The clients run in dom0: see `client/main.rs`.

use crate::{BOOT, Outcome, SOON};
use bed::Bed;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

const CLIENT: &str = concat!(env!("OUT_DIR"), "/client");

/// The program that resumes a domain in place, for dom0; see `dom0/resume.c`.
pub const RESUME: &str = concat!(env!("OUT_DIR"), "/resume");

/// The program that floods a guest with connections, for dom0; see `dom0/flood.c`.
pub const FLOOD: &str = concat!(env!("OUT_DIR"), "/flood");

/// The hostile clients, for dom0; see `dom0/attack.c`.
pub const ATTACK: &str = concat!(env!("OUT_DIR"), "/attack");

/// Gives dom0 an address in the IPv6 network whose prefix the test bed's router advertises, and one in
/// `fd00:6d69::/64`.
///
/// # Errors
/// When dom0 does not take them.
pub fn speak_ipv6(bed: &Bed) -> Outcome {
    let output = bed.dom0(bed::SPEAK_IPV6)?;
    if output.success() { Ok(()) } else { Err(format!("no IPv6 in dom0: {output:?}").into()) }
}

/// Prints how many answers to pings dom0's kernel has got, by IPv4 and by IPv6.
const ANSWERS: &str = "awk '/^Icmp:/ { if (!names) names = split($0, name); else for (i = 1; i <= names; i++)
        if (name[i] == \"InEchoReps\") sum += $i }
    $1 == \"Icmp6InEchoReplies\" { sum += $2 }
    END { print sum }' /proc/net/snmp /proc/net/snmp6";

/// Pings from dom0: all `count` answers must come. Its kernel counts them; busybox's ping has room for ten, and loses
/// what arrives at once after the machine was paused.
///
/// # Errors
/// When an answer is missing.
pub fn ping(bed: &Bed, count: u32, arguments: &str) -> Outcome {
    let output = bed.dom0_within(&format!("{ANSWERS}; ping -q -c {count} -W 5 {arguments}"), BOOT)?;
    let before: u64 = output.stdout.lines().next().unwrap_or_default().parse()?;
    let sent = output.stdout.contains(&format!("{count} packets transmitted"));
    let began = Instant::now();
    loop {
        let answers = bed.dom0(ANSWERS)?.stdout.trim().parse::<u64>()? - before;
        if sent && answers >= u64::from(count) {
            return Ok(());
        }
        if !sent || began.elapsed() > SOON {
            return Err(format!("ping {arguments}: {answers} answers, {output:?}").into());
        }
        sleep(Duration::from_millis(100));
    }
}

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

    /// This many datagrams of `bytes` to an echo service and back, one after the other, compared.
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

    /// Opens a connection to a web server, and requests `path` on it until it is told to end.
    ///
    /// # Errors
    /// When it does not begin.
    pub fn keep(&self, to: SocketAddr, path: &str) -> Outcome<Kept<'a>> {
        let kept = Kept { bed: self.bed, place: format!("/var/kept-{}", to.port()) };
        let place = &kept.place;
        let script = format!("({PLACE} keep {to} {path} {place} >{place}.said 2>&1; true) >/dev/null 2>&1 &");
        self.bed.dom0(&script)?;
        kept.goes_on("at first")?;
        Ok(kept)
    }
}

/// A connection from dom0 that is kept, and in use.
#[derive(Debug)]
pub struct Kept<'a> {
    bed: &'a Bed,
    place: String,
}

impl Kept<'_> {
    /// Replies so far.
    fn replies(&self) -> Outcome<u64> {
        let output = self.bed.dom0(&format!("cat {0} {0}.said 2>/dev/null", self.place))?;
        let text = output.stdout.trim();
        if text.is_empty() {
            Ok(0)
        } else {
            Ok(text.parse().map_err(|_| format!("kept connection: {text}"))?)
        }
    }

    /// Waits until two more replies came, on the same connection.
    ///
    /// # Errors
    /// When none come, or the connection broke.
    pub fn goes_on(&self, when: &str) -> Outcome {
        let (from, began) = (self.replies().map_err(|error| format!("{when}: {error}"))?, Instant::now());
        loop {
            let now = self.replies().map_err(|error| format!("{when}: {error}"))?;
            if now >= from + 2 {
                return Ok(());
            }
            if began.elapsed() > BOOT {
                return Err(format!("{when}: the kept connection stands at {now} replies").into());
            }
            sleep(Duration::from_millis(100));
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// When dom0 does not answer.
    pub fn end(self) -> Outcome {
        self.goes_on("at the end")?;
        self.bed.dom0(&format!("touch {}.end", self.place))?;
        Ok(())
    }
}
