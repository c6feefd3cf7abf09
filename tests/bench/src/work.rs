//! The workloads: dom0's requests to a guest, and the instructions of the machine for a unit.

use crate::guests::{PER_SECOND, Rig, Service, Side};
use crate::plugin::{Plugin, Reading};
use crate::profile::Function;
use crate::report::{self, Row};
use crate::status::{self, Counts};
use crate::wrk::requests_and_seconds;
use crate::{Arguments, Outcome};

/// A request that a guest gets many times.
pub(crate) struct Workload {
    pub(crate) name: String,
    /// The unit.
    unit: &'static str,
    service: Service,
    kind: Kind,
}

enum Kind {
    /// wrk with this many connections, for this many seconds.
    Http { connections: u32, seconds: u32, close: bool, idle: u32 },
    /// wrk over TLS for a file; a unit is a request, or a byte of the file.
    Https { connections: u32, seconds: u32, file: &'static str, bytes: Option<u32> },
    /// Connections over TLS with one request of 1 KiB each, new sessions or the first one again.
    Handshakes { resumed: bool, seconds: u32 },
    /// Datagrams of this many bytes there and back, this many at a time.
    Datagrams { size: u32, count: u32, window: u32 },
    /// This many bytes of a stream there and back.
    Stream { bytes: u32 },
    /// iperf3 with these options; a unit is a byte of a stream, or a datagram that arrived.
    Iperf { options: String, datagrams: bool },
    /// This many pings, each after the reply to the one before.
    Ping { count: u32 },
}

/// One run of a workload on one side.
struct Sample {
    /// Instructions of the whole machine a unit.
    instructions: f64,
    /// The counts of the plugin and of `/status.json`, a unit; only ours has the latter.
    counts: Counts,
    /// The plugin's counts, and the units.
    reading: Option<(Reading, f64)>,
}

/// Every workload that was asked for, in order of value.
pub(crate) fn list(arguments: &Arguments) -> Vec<Workload> {
    let seconds = arguments.seconds;
    let scale = |count: u32| count * seconds;
    let http = |name: String, connections, close, idle| Workload {
        name,
        unit: "request",
        service: Service::Web,
        kind: Kind::Http { connections, seconds, close, idle },
    };
    let kept = [1, 16, 64].map(|connections| http(format!("http_1k_{connections}"), connections, false, 0));
    let closed = http("http_1k_16_close".into(), 16, true, 0);
    // Last, and in order: connections that are held stay.
    let idle = [1000, 10_000].map(|idle| http(format!("http_1k_16_idle_{idle}"), 16, false, idle));
    let datagrams = [(64, 1), (64, 16), (1400, 16)].map(|(size, window)| Workload {
        name: format!("udp_echo_{size}_window_{window}"),
        unit: "datagram",
        service: Service::Echo,
        kind: Kind::Datagrams { size, count: scale(4000), window },
    });
    let stream = Workload {
        name: "tcp_echo_bulk".into(),
        unit: "byte",
        service: Service::Echo,
        kind: Kind::Stream { bytes: scale(8 << 20) },
    };
    let iperf = [
        ("tcp_in", "byte", format!("-n {}M", 16 * seconds), false),
        ("tcp_out", "byte", format!("-R -n {}M", 16 * seconds), false),
        ("udp_in_64", "datagram", format!("-u -l 64 -b 0 -k {}", scale(8000)), true),
        ("udp_out_64", "datagram", format!("-R -u -l 64 -b 0 -t {seconds}"), true),
        ("udp_in_1400", "datagram", format!("-u -l 1400 -b 0 -k {}", scale(8000)), true),
        ("udp_out_1400", "datagram", format!("-R -u -l 1400 -b 0 -t {seconds}"), true),
    ];
    let iperf = iperf.map(|(name, unit, options, datagrams)| Workload {
        name: name.into(),
        unit,
        service: Service::Iperf,
        kind: Kind::Iperf { options, datagrams },
    });
    let iperf6 = [("tcp6_in", ""), ("tcp6_out", "-R ")].map(|(name, way)| Workload {
        name: name.into(),
        unit: "byte",
        service: Service::Iperf6,
        kind: Kind::Iperf { options: format!("{way}-n {}M", 16 * seconds), datagrams: false },
    });
    let ping = Workload {
        name: "ping".into(),
        unit: "ping",
        service: Service::Web,
        kind: Kind::Ping { count: scale(1000) },
    };
    let all = kept
        .into_iter()
        .chain([closed])
        .chain(iperf)
        .chain(iperf6)
        .chain(datagrams)
        .chain([stream, ping])
        .chain(idle);
    all.filter(|workload| arguments.wants(&workload.name)).collect()
}

/// Every workload of TLS that was asked for, beside the plain request.
pub(crate) fn list_tls(arguments: &Arguments) -> Vec<Workload> {
    let seconds = arguments.seconds;
    let web = |name: &str, unit, kind| Workload { name: name.into(), unit, service: Service::Web, kind };
    // wrk counts its handshakes too: long enough that they are a small part.
    let kept = Kind::Https { connections: 16, seconds: seconds * 8, file: "1k", bytes: None };
    let bulk = Kind::Https { connections: 1, seconds, file: "1m", bytes: Some(1 << 20) };
    let plain = Kind::Http { connections: 16, seconds, close: false, idle: 0 };
    let all = [
        web("http_1k_16", "request", plain),
        web("https_1k_16", "request", kept),
        web("https_bulk", "byte", bulk),
        web("https_full", "connection", Kind::Handshakes { resumed: false, seconds }),
        web("https_resumed", "connection", Kind::Handshakes { resumed: true, seconds }),
    ];
    all.into_iter().filter(|workload| arguments.wants(&workload.name)).collect()
}

/// Runs a workload on both sides alternately, so that drift affects both.
pub(crate) fn measure(rig: &Rig, workload: &Workload, repeats: u32) -> Outcome<Row> {
    let mut row = Row::new(&workload.name, workload.unit);
    for _ in 0..repeats {
        for side in rig.sides() {
            let sample = rig.with(side, workload.service, || workload.run(rig, side))?;
            row.add(side, "instructions", sample.instructions);
            for (name, value) in &sample.counts {
                row.add(side, name, *value);
            }
            if let (Side::Ours, Some((reading, units))) = (side, &sample.reading) {
                row.profile = profile(rig, workload.service, reading, *units);
                report::keep_blocks(&workload.name, reading, *units)?;
            }
        }
    }
    Ok(row)
}

/// The functions that took most; without symbols of the image that runs, none, and a note that says why.
fn profile(rig: &Rig, service: Service, reading: &Reading, units: f64) -> Vec<Function> {
    match rig.symbols(service) {
        Ok(symbols) => symbols.top(reading, units),
        Err(error) => {
            eprintln!("[bench] no profile: {error}");
            Vec::new()
        }
    }
}

impl Workload {
    fn run(&self, rig: &Rig, side: Side) -> Outcome<Sample> {
        let address = rig.address(side, self.service)?;
        // Neighbours are known and the connection's caches are warm before anything is counted.
        rig.run(&format!("ping -c 2 -A -q {address}"))?;
        let has_status = side == Side::Ours && self.service == Service::Web;
        let status = || if has_status { status::read(rig, &address) } else { Ok(Counts::new()) };
        let held = match self.kind {
            Kind::Http { idle, .. } if idle > 0 => self.hold(rig, side, idle)?,
            _ => Counts::new(),
        };
        let plugin = || rig.plugin().map(Plugin::read).transpose();
        // The plugin is read next to the work: what a reading of the status costs is no part of it.
        let (status_before, plugin_before) = (status()?, plugin()?);
        let said = rig.run(&self.command(&address))?;
        let (plugin_after, status_after) = (plugin()?, status()?);
        let (units, seconds) =
            self.understand(&said).ok_or_else(|| format!("{}: not understood: {said}", self.name))?;
        let mut counts = status::difference(&status_before, &status_after, units);
        counts.extend(held);
        let reading = plugin_before.zip(plugin_after).map(|(before, after)| after.since(&before));
        for (name, count) in reading.iter().flat_map(Reading::figures) {
            counts.insert(name.to_owned(), count as f64 / units);
        }
        let reading = reading.map(|reading| (reading, units));
        Ok(Sample { instructions: seconds * PER_SECOND / units, counts, reading })
    }

    /// Makes idle connections until there are `count`. Returns the bytes of our heap for each that was made now.
    fn hold(&self, rig: &Rig, side: Side, count: u32) -> Outcome<Counts> {
        let address = rig.address(side, self.service)?;
        let heap = || if side == Side::Ours { status::heap(rig, &address).map(Some) } else { Ok(None) };
        let before = heap()?;
        let made = rig.hold(side, &address, count)?;
        let bytes = heap()?.zip(before).filter(|_| made > 0);
        let each = bytes
            .map(|(after, before)| ("heap bytes of an idle connection", (after - before) / f64::from(made)));
        Ok(each.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The command for dom0.
    fn command(&self, address: &str) -> String {
        match &self.kind {
            Kind::Http { connections, seconds, close, .. } => {
                let header = if *close { "-H 'Connection: close' " } else { "" };
                format!("wrk -t 1 -c {connections} -d {seconds}s --timeout 4s {header}http://{address}:80/1k")
            }
            Kind::Https { connections, seconds, file, .. } => {
                format!("wrk -t 1 -c {connections} -d {seconds}s --timeout 8s https://{address}:443/{file}")
            }
            Kind::Handshakes { resumed, seconds } => {
                let sessions = if *resumed { "-reuse" } else { "-new" };
                // Its own clock counts whole seconds.
                format!(
                    "read from x < /proc/uptime
                    openssl s_time -connect {address}:443 -www /1k {sessions} -time {seconds} \\
                        -ciphersuites TLS_AES_128_GCM_SHA256 2>&1
                    read to x < /proc/uptime
                    echo \"uptime: $from $to\""
                )
            }
            Kind::Datagrams { size, count, window } => {
                format!("bench-load udp {address}:7 {size} {count} {window}")
            }
            Kind::Stream { bytes } => format!("bench-load tcp {address}:7 {bytes}"),
            Kind::Iperf { options, .. } => format!("iperf3 -c {address} -J {options}"),
            Kind::Ping { count } => format!("ping -A -q -s 56 -c {count} {address}"),
        }
    }

    /// Units and seconds from the client's output.
    fn understand(&self, said: &str) -> Option<(f64, f64)> {
        match self.kind {
            Kind::Iperf { datagrams, .. } => iperf(said, datagrams),
            Kind::Http { .. } => requests_and_seconds(said),
            Kind::Https { bytes, .. } => {
                let (requests, seconds) = requests_and_seconds(said)?;
                Some((requests * bytes.map_or(1.0, f64::from), seconds))
            }
            Kind::Handshakes { resumed, .. } => s_time(said, resumed),
            Kind::Ping { count } => {
                let received: f64 = field(said, " packets received", 0)?;
                let average = said.rsplit_once("= ")?.1.split('/').nth(1)?.parse::<f64>().ok()?;
                let all = (received - f64::from(count)).abs() < 0.5;
                all.then_some((received, received * average / 1e3))
            }
            Kind::Datagrams { .. } | Kind::Stream { .. } => {
                let (units, seconds) = said.trim().split_once(' ')?;
                Some((units.parse().ok()?, seconds.parse().ok()?))
            }
        }
    }
}

/// Connections and seconds of `openssl s_time`, whose line of connections has an `r` for each that was resumed, and
/// another letter for the rest.
fn s_time(said: &str, resumed: bool) -> Option<(f64, f64)> {
    let marks = said.lines().find(|line| line.len() > 3 && line.chars().all(|mark| "rt*".contains(mark)))?;
    let reused = marks.matches('r').count();
    let as_asked = if resumed { reused + 1 >= marks.len() } else { reused == 0 };
    let real = said.lines().find(|line| line.contains("real seconds"))?;
    let connections: f64 = field(real, " connections in ", 0)?;
    let mut times = said.split_once("uptime: ")?.1.split_whitespace().map(str::parse::<f64>);
    let (from, to) = (times.next()?.ok()?, times.next()?.ok()?);
    (as_asked && connections > 0.0 && to > from).then_some((connections, to - from))
}

/// Units and seconds of iperf3's report: what arrived, whichever side sent it.
fn iperf(said: &str, datagrams: bool) -> Option<(f64, f64)> {
    let report: serde_json::Value = serde_json::from_str(said).ok()?;
    let end = report.get("end")?;
    let number = |part: &str, key: &str| end.get(part)?.get(key)?.as_f64();
    let units = if datagrams {
        number("sum", "packets")? - number("sum", "lost_packets")?
    } else {
        number("sum_received", "bytes")?
    };
    let seconds = number(if datagrams { "sum" } else { "sum_received" }, "seconds")?;
    (units > 0.0 && seconds > 0.0).then_some((units, seconds))
}

/// The number that ends right before `mark`.
fn field(text: &str, mark: &str, skip: usize) -> Option<f64> {
    let (before, _) = text.split_once(mark)?;
    before.split_whitespace().rev().nth(skip)?.parse().ok()
}
