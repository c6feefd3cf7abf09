//! A running QEMU process: started, given orders, and ended with its owner.

use crate::error::{Doing, Error, Kind, Result};
use crate::paths::{self, RunDir};
use crate::qmp::Qmp;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The program; `BED_QEMU` in the environment names another.
pub(crate) fn program() -> String {
    std::env::var("BED_QEMU").unwrap_or_else(|_| "qemu-system-x86_64".to_owned())
}

/// Which of the machine's networks a forwarded port leads into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// The guests' network, 10.0.2.0/24, bridged in dom0.
    Lan,
    /// dom0's own, 10.0.3.0/24, which no guest can reach.
    Control,
}

impl Network {
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Control => "control",
        }
    }
}

/// A QEMU process.
#[derive(Debug)]
pub(crate) struct Qemu {
    qmp: Mutex<Qmp>,
    stop: Sender<()>,
    keeper: Mutex<Option<JoinHandle<()>>>,
    run: RunDir,
}

impl Qemu {
    /// Starts QEMU in `folder` (relative names in `arguments` refer to it). `boot_log` is the output of Xen
    /// from before the machine was frozen.
    pub(crate) fn start(folder: &Path, arguments: &[String], boot_log: Option<&Path>) -> Result<Self> {
        let run = RunDir::new()?;
        let xen_log = run.path().join("xen.log");
        if let Some(boot_log) = boot_log {
            fs::copy(boot_log, &xen_log).doing(|| format!("copying {}", boot_log.display()))?;
        }
        let errors = run.path().join("qemu.log");
        let errors = File::create(&errors).doing(|| format!("creating {}", errors.display()))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", &program()])
            .args(["-chardev", "stdio,id=qmp,signal=off", "-mon", "chardev=qmp,mode=control"])
            .args([
                "-chardev",
                &format!("file,id=xen,append=on,path={}", escape(&xen_log)),
                "-serial",
                "chardev:xen",
            ])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors);
        let (stop, stopped) = mpsc::channel();
        let (sender, pipes) = mpsc::channel();
        let keeper = std::thread::spawn(move || keep(command, &sender, &stopped));
        let pipes = pipes.recv().doing(|| "starting QEMU".into())?;
        let (to, from) = pipes.map_err(|error| {
            Error::host("starting QEMU").because(error).next("run `bed doctor`, which says what is missing")
        })?;
        let log = run.path().join("qemu.log");
        let qmp = Qmp::connect(to, from).map_err(|error| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            Error::new(Kind::Machine, format!("QEMU does not start: {error}")).because(said)
        })?;
        Ok(Self { qmp: Mutex::new(qmp), stop, keeper: Mutex::new(Some(keeper)), run })
    }

    /// Gives QEMU an order.
    pub(crate) fn execute(&self, order: &str, arguments: Value) -> Result<Value> {
        self.qmp.lock().unwrap_or_else(PoisonError::into_inner).execute(order, arguments)
    }

    /// Gives the monitor for people an order.
    pub(crate) fn monitor(&self, line: &str) -> Result<String> {
        self.qmp.lock().unwrap_or_else(PoisonError::into_inner).monitor(line)
    }

    /// Whether the process is still there.
    pub(crate) fn alive(&self) -> bool {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        keeper.as_ref().is_some_and(|keeper| !keeper.is_finished())
    }

    /// Ends the process, at once, and waits until it has ended.
    pub(crate) fn end(&self) {
        // The receiver is gone if it has ended already.
        let _ = self.stop.send(());
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = keeper.join();
        }
    }

    /// QEMU's error output.
    pub(crate) fn complaints(&self) -> String {
        fs::read_to_string(self.run.path().join("qemu.log")).unwrap_or_default()
    }

    /// The folder of this machine's files.
    pub(crate) fn folder(&self) -> &Path {
        self.run.path()
    }

    /// The file with the output of Xen and dom0's kernel on the serial port.
    pub(crate) fn xen_log(&self) -> PathBuf {
        self.run.path().join("xen.log")
    }

    /// Writes the stopped machine to a file, relative to the folder in which QEMU runs.
    pub(crate) fn freeze(&self, file: &str) -> Result<()> {
        self.execute("stop", json!({}))?;
        // The usual limit is made for networks: it would make the snapshot take four times as long.
        self.execute("migrate-set-parameters", json!({ "max-bandwidth": 1u64 << 40 }))?;
        self.execute("migrate", json!({ "uri": format!("exec:cat > {file}") }))?;
        self.migrated("writing the snapshot")
    }

    /// Waits until a machine that was started with `-incoming` is restored, and resumes it.
    pub(crate) fn thaw(&self) -> Result<()> {
        self.migrated("reading the snapshot")?;
        self.execute("cont", json!({})).map(|_| ())
    }

    fn migrated(&self, what: &str) -> Result<()> {
        loop {
            let answer = self.execute("query-migrate", json!({}))?;
            match answer.get("status").and_then(Value::as_str) {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    let why = format!("{answer} {}", self.complaints());
                    return Err(Error::new(Kind::Machine, what).because(why));
                }
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Forwards a port of 127.0.0.1 into a network; with `host_port` 0 a free one is taken.
    pub(crate) fn forward(
        &self,
        network: Network,
        protocol: &str,
        host_port: u16,
        to: (Ipv4Addr, u16),
    ) -> Result<SocketAddr> {
        let id = network.id();
        let known = forwards(&self.monitor("info usernet")?, id);
        let answer =
            self.monitor(&format!("hostfwd_add {id} {protocol}:127.0.0.1:{host_port}-{}:{}", to.0, to.1))?;
        if !answer.trim().is_empty() {
            return Err(Error::new(Kind::Machine, format!("forwarding port {host_port}"))
                .because(answer)
                .next("is the port taken? choose another one"));
        }
        let now = forwards(&self.monitor("info usernet")?, id);
        let new =
            |forward: &&Forward| forward.protocol == protocol && forward.to == to && !known.contains(forward);
        now.iter()
            .find(new)
            .map(|forward| SocketAddr::from((Ipv4Addr::LOCALHOST, forward.host_port)))
            .ok_or_else(|| {
                Error::new(
                    Kind::Machine,
                    format!("QEMU does not list the port forwarded to {}:{}", to.0, to.1),
                )
            })
    }

    /// Writes the first bytes of every frame of a network to a file in the format of libpcap, from now on.
    pub(crate) fn capture(&self, network: Network, file: &Path, most: u32) -> Result<()> {
        let id = network.id();
        let arguments = json!({
            "qom-type": "filter-dump", "id": format!("capture-{id}"), "netdev": id,
            "file": file.to_string_lossy(), "maxlen": most,
        });
        self.execute("object-add", arguments).map(|_| ())
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.end();
    }
}

type Pipes = std::io::Result<(ChildStdin, ChildStdout)>;

/// Starts the process and waits for its end, in a thread.
///
/// The kernel kills QEMU when the *thread* that started it ends (`setpriv --pdeathsig`), so that thread must live as
/// long as QEMU may: not a test's thread, but not longer than this process either, however this process ends.
fn keep(mut command: Command, pipes: &Sender<Pipes>, stopped: &Receiver<()>) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ = pipes.send(Err(error));
            return;
        }
    };
    if let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) {
        let _ = pipes.send(Ok((to, from)));
    }
    while still_running(&mut child) {
        if !matches!(stopped.recv_timeout(Duration::from_millis(50)), Err(mpsc::RecvTimeoutError::Timeout)) {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
    }
}

fn still_running(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(None))
}

/// QEMU splits options at commas; a doubled one stands for itself.
pub(crate) fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// QEMU's version, as it prints it; part of a snapshot's key.
pub(crate) fn version() -> Result<String> {
    let output = Command::new(program()).arg("--version").output();
    let output = output.map_err(|error| {
        Error::host(format!("running {}", program())).because(error).next("apt-get install qemu-system-x86")
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// A forwarded port as `info usernet` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Forward {
    protocol: String,
    descriptor: String,
    host_port: u16,
    to: (Ipv4Addr, u16),
}

/// Reads the forwarded ports of one network from `info usernet`.
fn forwards(text: &str, network: &str) -> Vec<Forward> {
    let mut here = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.split_once("Hub ").or_else(|| line.split_once("Hub")).map(|(_, rest)| rest) {
            here = rest.contains(&format!("({network})"));
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [kind, descriptor, _, host_port, address, port, ..] = fields.as_slice() else { continue };
        let Some(protocol) = kind.strip_suffix("[HOST_FORWARD]") else { continue };
        if let (true, Ok(host_port), Ok(address), Ok(port)) =
            (here, host_port.parse(), address.parse(), port.parse())
        {
            let protocol = protocol.to_lowercase();
            found.push(Forward {
                protocol,
                descriptor: (*descriptor).to_owned(),
                host_port,
                to: (address, port),
            });
        }
    }
    found
}

/// Reads a file's tail for a message.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text =
        paths::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}
