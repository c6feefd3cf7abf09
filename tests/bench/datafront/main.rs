//! Counts the cost of a block from dom0 into a guest on real Xen: by datafront, by HTTP PUT through netback, and by a
//! bare pair of C programs over libxenvchan, in one run.
//!
//! ```text
//!   dom0: push-blocks (the library) ──── vchan ────► probe app.do=sink       our guest, blocks checked and dropped
//!         put                       ──── netback ──► probe app.do=put        our guest, bodies dropped
//!         peer pump                 ──── vchan ────► Linux: peer drain       bytes dropped, 32 bytes of answer a block
//!         peer pump                 ──── vchan ────► Linux: peer store       each block a file: written, synced, renamed
//!         push-blocks (the library) ──── vchan ────► Linux: receive --dir    a version of a file for each block
//!         pull --out                ◄─── vchan ───── probe app.do=source     our guest's outbox; a version for each block
//! ```
//!
//! One processor under `-icount`: dom0's clock counts the instructions of the whole machine (`docs/measuring.md`).
//! All other guests are paused. The results are in `build/bench/datafront.tsv`.

#![forbid(unsafe_code)]

#[path = "../machine.rs"]
mod machine;
#[path = "../names.rs"]
mod names;
mod profile;
// The other benchmark's, of which not everything is used here.
#[allow(dead_code, reason = "shared with another program")]
#[path = "../src/plugin.rs"]
mod plugin;

use bed::linux_domu::Linux;
use bed::{Bed, Domain, Options, Progress};
use machine::{ICOUNT, Outcome, PER_SECOND, dom0, put};
use plugin::Plugin;
use profile::Profile;
use std::path::Path;
use std::process::{Command, ExitCode};

const PUT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/put"));
const TIMED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/timed"));
/// The largest block that a guest sends: it has a window of them in its memory.
const MOST_PULLED: u64 = 1 << 20;
/// Bytes of a block, blocks that are measured one at a time, and blocks under way together.
const SIZES: [(&str, u64, u32, u32); 4] = [
    ("1 KiB", 1 << 10, 200, 2000),
    ("64 KiB", 64 << 10, 40, 100),
    ("1 MiB", 1 << 20, 6, 8),
    ("16 MiB", 16 << 20, 1, 2),
];

/// The factor by which a profile sends more blocks; it is of the middle of the run.
const TIMES: u32 = 15;

/// A measured transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Datafront,
    Proxy,
    Http,
    C,
    /// The C pair, whose server writes each block to a file.
    CStore,
    /// Into Linux, by the program `receive`.
    Receive,
    /// Out of our guest, by the program `pull`.
    Pull,
}

const WAYS: [Way; 7] = [Way::Datafront, Way::Proxy, Way::Http, Way::C, Way::CStore, Way::Receive, Way::Pull];

impl Way {
    /// Whether Linux is its other end.
    const fn needs_linux(self) -> bool {
        matches!(self, Self::C | Self::CStore | Self::Receive)
    }
}

struct Rig {
    profile: Option<Profile>,
    bed: Bed,
    sink: Domain,
    put: Domain,
    /// Not with `--ours-only`: its start is most of the time.
    linux: Option<Domain>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[bench] error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let folder = bed::repository().join("build/bench");
    std::fs::create_dir_all(&folder)?;
    let profiled = std::env::args().any(|word| word == "--profile");
    let plugin = profiled.then(|| Plugin::build(&folder)).transpose()?;
    let rig = Rig::start(plugin, !std::env::args().any(|word| word == "--ours-only"))?;
    let mut table = String::from(
        "size\tway\tinstructions/block\tinstructions/byte\tlatency, instructions\tevents/block\thypercalls/block\tHTTP ÷ this\tlatency ÷ HTTP\n",
    );
    // `--only 1KiB`: one size.
    let only = std::env::args().skip_while(|word| word != "--only").nth(1);
    // `--ways Receive,Pull`: some ways.
    let ways = std::env::args().skip_while(|word| word != "--ways").nth(1);
    let ways_wanted =
        |way: Way| ways.as_ref().is_none_or(|ways| ways.split(',').any(|name| *name == format!("{way:?}")));
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.replace(' ', "") == *only);
    for (name, size, one, many) in SIZES.into_iter().filter(|size| wanted(size.0)) {
        let mut lines = Vec::new();
        for way in WAYS.into_iter().filter(|way| ways_wanted(*way) && rig.has(*way, size)) {
            let latency =
                if way == Way::Pull { f64::NAN } else { rig.profiled(way, name, size, one, "one")? };
            let (cost, calls) = rig.counted(way, name, size, many)?;
            lines.push((way, cost, latency, calls));
        }
        let http = lines
            .iter()
            .find(|line| line.0 == Way::Http)
            .map_or((f64::NAN, f64::NAN), |line| (line.1, line.2));
        for (way, cost, latency, calls) in lines {
            let calls =
                calls.map_or_else(|| "-\t-".into(), |calls| format!("{:.2}\t{:.2}", calls.0, calls.1));
            let line = format!(
                "{name}\t{way:?}\t{cost:.0}\t{:.3}\t{latency:.0}\t{calls}\t{:.2}\t{:.2}\n",
                cost / size as f64,
                http.0 / cost,
                latency / http.1
            );
            print!("{line}");
            table.push_str(&line);
            std::fs::write(folder.join("datafront.tsv"), &table)?;
        }
    }
    Ok(())
}

impl Rig {
    fn start(plugin: Option<Plugin>, with_linux: bool) -> Outcome<Self> {
        let mut progress = Progress::new(4);
        let options = plugin.iter().fold(Options::default().icount(ICOUNT), |options, plugin| {
            options.qemu_arg("-plugin").qemu_arg(&plugin.argument())
        });
        let bed = Bed::start_with(&options, &mut progress)?;
        let profile = plugin.map(|plugin| Profile::new(plugin, &bed)).transpose()?;
        let build = bed::repository().join("build");
        bed.put_file(build.join("push-blocks"), "/usr/bin/blocks")?;
        bed.put_file(build.join("pull"), "/usr/bin/pull")?;
        put(&bed, "/usr/bin/put", PUT)?;
        put(&bed, "/usr/bin/timed", TIMED)?;
        progress.step("starting the guests");
        let sink = machine::start(&bed, &machine::ours("probe", "sink", "app.do=sink")?, "sink: at ")?;
        let web = machine::ours("probe", "put", "app.do=put ip=10.0.2.31/24 gw=10.0.2.2")?;
        let web = machine::start(&bed, &web, "listening on ")?;
        let linux = with_linux.then(|| {
            progress.step("starting Linux");
            let peer = peer(&build)?;
            put(&bed, "/usr/bin/peer", &peer)?;
            linux(&bed, &peer)
        });
        let linux = linux.transpose()?;
        Ok(Self { profile, bed, sink, put: web, linux })
    }

    /// Whether a way is measured with blocks of that size.
    fn has(&self, way: Way, size: u64) -> bool {
        (self.linux.is_some() || !way.needs_linux()) && (way != Way::Pull || size <= MOST_PULLED)
    }

    /// Instructions a block, and events that our guest sent and hypercalls that it made for it.
    fn counted(&self, way: Way, name: &str, size: u64, count: u32) -> Outcome<(f64, Option<(f64, f64)>)> {
        let before = self.calls();
        let cost = self.profiled(way, name, size, count, "many")?;
        let ours = matches!(way, Way::Datafront | Way::Proxy);
        let calls = self.calls().zip(before).filter(|_| ours);
        // One block more: the one that connects.
        let each = |after: f64, before: f64| (after - before) / f64::from(count + 1);
        Ok((cost, calls.map(|(after, before)| (each(after.0, before.0), each(after.1, before.1)))))
    }

    /// [`Self::measure`], and where the instructions went, if that is wanted.
    fn profiled(&self, way: Way, name: &str, size: u64, count: u32, how: &str) -> Outcome<f64> {
        let Some(profile) = &self.profile else { return self.measure(way, size, count, how) };
        let (cost, table) =
            profile.during(way.needs_linux(), || self.measure(way, size, count * TIMES, how))?;
        let file = format!("build/bench/blocks-datafront-{way:?}-{}-{how}.tsv", name.replace(' ', ""));
        std::fs::write(bed::repository().join(file.to_lowercase()), table)?;
        Ok(cost)
    }

    /// Events that the sink has sent and hypercalls that it has made since it began, by its last line.
    fn calls(&self) -> Option<(f64, f64)> {
        let console = self.sink.console();
        let line = console.lines().rev().find(|line| line.contains("sink: accepted"))?;
        let after = |word: &str| line.split(word).nth(1)?.split_whitespace().next()?.parse().ok();
        after(" events ").zip(after(" hypercalls "))
    }

    /// Instructions of the whole machine a block.
    fn measure(&self, way: Way, size: u64, count: u32, how: &str) -> Outcome<f64> {
        let linux = || self.linux.as_ref().ok_or("Linux does not run");
        let (domain, command) = match way {
            Way::Pull => return self.pulled(size, count),
            Way::Receive => (linux()?, format!("blocks linux {size} {count} {how}")),
            Way::Datafront => (&self.sink, format!("blocks sink {size} {count} {how}")),
            Way::Proxy => (&self.sink, format!("blocks sink {size} {count} {how} proxy")),
            Way::Http => (&self.put, format!("put 10.0.2.31:80 {size} {count}")),
            Way::C | Way::CStore => {
                let channel = if way == Way::C { "c" } else { "s" };
                let linux = linux()?;
                let (id, window) = (linux.domid(), if how == "one" { 1 } else { 16 });
                (
                    linux,
                    format!(
                        "peer client {id} /local/domain/{id}/data/vchan/0/{channel} pump {size} {count} {window}"
                    ),
                )
            }
        };
        let name = domain.name();
        dom0(&self.bed, &format!("xl unpause {name}"))?;
        let said = dom0(&self.bed, &command);
        // The guest's line on the end of the connection, and its next channel.
        dom0(&self.bed, "sleep 0.2")?;
        dom0(&self.bed, &format!("xl pause {name}"))?;
        let said = said?;
        let (units, seconds) =
            machine::units_and_seconds(&said).ok_or_else(|| format!("{command}: {said}"))?;
        Ok(seconds * PER_SECOND / units)
    }
}

impl Rig {
    /// Instructions of the whole machine for a block that our guest sends: a run of `pull` for a hundredth of the blocks, and
    /// one more, is its start, which is no block's.
    fn pulled(&self, size: u64, count: u32) -> Outcome<f64> {
        let cmdline = format!("app.do=source app.count=1000000 app.bytes={size}");
        let guest = machine::ours("probe", "source", &cmdline)?.memory_mib(64);
        let guest = machine::start(&self.bed, &guest, "dom0 pulls at ")?;
        let seconds = |count: u32| -> Outcome<f64> {
            let command = format!("timed pull --domain source --out /run/out --keep 1 --count {count}");
            let said = dom0(&self.bed, &format!("xl unpause source; {command}; xl pause source"))?;
            Ok(machine::units_and_seconds(&said).ok_or_else(|| format!("{command}: {said}"))?.1)
        };
        let few = 1 + count / 100;
        // The first run opens the folder and its state.
        seconds(few)?;
        let cost = (seconds(few + count)? - seconds(few)?) * PER_SECOND / f64::from(count);
        guest.destroy()?;
        Ok(cost)
    }
}

/// The C program, linked statically: the Linux guest has no libraries.
fn peer(build: &Path) -> Outcome<Vec<u8>> {
    let program = build.join("peer");
    let source = bed::repository().join("tests/datafront/peer/peer.c");
    let output = Command::new("cc")
        .args(["-O2", "-static", "-o"])
        .args([&program, &source])
        .args([
            "-lxenvchan",
            "-lxenstore",
            "-lxengnttab",
            "-lxenevtchn",
            "-lxentoollog",
            "-lxentoolcore",
            "-lpthread",
        ])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(std::fs::read(program)?)
}

/// Linux with the modules that libxenvchan's server needs.
fn linux(bed: &Bed, peer: &[u8]) -> Outcome<Domain> {
    // privcmd: `receive` gives its processor away before it sleeps.
    let script = "for m in xen_evtchn xen_gntalloc xen_privcmd; do insmod /root/$m.ko; done
        (while true; do receive --dir /in --keep 1; sleep 0.1; done) &
        echo 'bench: draining'
        (while true; do peer server 0 data/vchan/0/s 65536 4096 store /stored || sleep 0.1; done) &
        while true; do peer server 0 data/vchan/0/c 65536 4096 drain || sleep 0.1; done";
    let guest = Linux::new("linux")
        .address("10.0.2.33")
        .word("mitigations=off")
        .script(script)
        .file("bin/peer", 0o755, peer);
    let receive = bed::repository().join("build/receive");
    let receive =
        std::fs::read(&receive).map_err(|error| format!("{}: {error}; make receive", receive.display()))?;
    let guest = guest.file("bin/receive", 0o755, receive);
    let guest = machine::with_modules(bed, guest, &["xen_evtchn", "xen_gntalloc", "xen_privcmd"])?;
    let config = guest.config(bed)?;
    machine::start(bed, &config, "bench: draining")
}
