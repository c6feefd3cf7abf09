//! The test bed for a test: a machine with Xen and dom0.

use crate::agent::Output;
use crate::console::Console;
use crate::domain::Domain;
use crate::domcfg::{DomainConfig, Value};
use crate::error::{Doing, Error, Kind, Result};
use crate::hash::Key;
use crate::image::Image;
use crate::inner::Inner;
use crate::machine::Machine;
use crate::options::Options;
use crate::paths;
use crate::progress::Progress;
use crate::qemu::Network;
use crate::vifs::Vifs;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// How long a command in dom0 may take if nothing else is said.
const COMMAND: Duration = Duration::from_secs(120);

/// How long a file may make no progress on its way to or from dom0.
const TRANSFER: Duration = Duration::from_secs(60);

/// Real Xen with a Linux dom0, running. Ends when it is dropped, and with the process at the latest.
#[derive(Debug)]
pub struct Bed {
    inner: Arc<Inner>,
}

impl Bed {
    /// Starts a machine: restores the snapshot of a ready dom0. Builds it first if it is missing.
    ///
    /// # Errors
    /// When the host lacks something (`bed doctor` names it), a download fails, or the machine does not come up.
    pub fn start(options: Options) -> Result<Self> {
        Self::start_with(&options, &mut Progress::new(5))
    }

    /// As [`Bed::start`], with progress of the caller's.
    ///
    /// # Errors
    /// As [`Bed::start`].
    pub fn start_with(options: &Options, progress: &mut Progress) -> Result<Self> {
        let (machine, image) = Machine::start(options, progress)?;
        let inner = Inner { machine, image, vifs: Vifs::default(), uploads: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The release and the image of the machine.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.inner.image
    }

    /// A folder of the host for files of this machine; it is removed with the machine.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.inner.machine.qemu.folder()
    }

    /// Creates a domain: uploads its kernel, ramdisk and disks, gives its vifs addresses, runs `xl create`, and
    /// follows its console from the first byte.
    ///
    /// # Errors
    /// When the configuration names no domain or a missing file, or xl refuses; the message has xl's
    /// output.
    pub fn create(&self, config: &DomainConfig) -> Result<Domain> {
        self.create_as(config, "")
    }

    /// As [`Bed::create`], but the guest waits for `xl unpause`: a test can change xenstore before it runs.
    ///
    /// # Errors
    /// As [`Bed::create`].
    pub fn create_paused(&self, config: &DomainConfig) -> Result<Domain> {
        self.create_as(config, "-p")
    }

    fn create_as(&self, config: &DomainConfig, how: &str) -> Result<Domain> {
        let name = domain_name(config)?;
        let mut config = config.clone();
        for key in ["kernel", "ramdisk"] {
            if let Some(file) = config.file(key) {
                config = config.set(key, Value::Text(self.upload(&file)?));
            }
        }
        let disks = config.disks().iter().map(|disk| self.upload_disk(disk)).collect::<Result<Vec<_>>>()?;
        if !disks.is_empty() {
            config = config.set("disk", Value::List(disks));
        }
        let (vifs, own) = self.inner.vifs.assign(&config.vifs())?;
        if !vifs.is_empty() {
            config = config.vif(vifs.iter().map(String::as_str));
        }
        let cfg = format!("/var/bed/{name}.cfg");
        self.inner.agent().put(&cfg, 0o644, config.render().as_bytes(), TRANSFER)?;
        let log = format!("/var/log/xen/console/guest-{name}.log");
        self.dom0(&format!("rm -f {log} /var/log/xen/xl-{name}.log"))?;
        let console = Console::follow(self.inner.agent(), &log)?;
        let domid = self.xl_create(&name, &cfg, how)?;
        Ok(Domain::new(Arc::clone(&self.inner), name, domid, console, own))
    }

    /// Runs `xl create`. The domain's number comes from xl's log: a guest that ends at once is in no list any more.
    fn xl_create(&self, name: &str, cfg: &str, how: &str) -> Result<u32> {
        let script = format!(
            "xl create {how} {cfg} || exit 1
             for i in $(seq 100); do
                 sed -n 's/^Waiting for domain .*(domid \\([0-9]*\\)).*/domid=\\1/p' /var/log/xen/xl-{name}.log |
                     grep . && exit
                 sleep 0.02
             done
             echo \"xl does not say which number the domain has\" >&2; exit 1"
        );
        let output = self.inner.exec(&script, b"", COMMAND)?;
        let domid = output.stdout.lines().find_map(|line| line.strip_prefix("domid="));
        if let (true, Some(Ok(domid))) = (output.success(), domid.map(str::parse)) {
            return Ok(domid);
        }
        let xen = self.inner.hypervisor_log()?;
        let xen: Vec<&str> = xen.lines().rev().take(5).collect();
        let xen: Vec<&str> = xen.into_iter().rev().collect();
        Err(Error::new(Kind::Command, format!("xl create {name}")).because(format!(
            "{}{}Xen's console ends with:\n{}",
            output.stdout,
            output.stderr,
            xen.join("\n")
        )))
    }

    /// Uploads the file of a disk; its `target=` is the last part, as xl has it.
    fn upload_disk(&self, disk: &str) -> Result<Value> {
        let Some((how, file)) = disk.split_once("target=") else { return Ok(Value::Text(disk.to_owned())) };
        Ok(Value::Text(format!("{how}target={}", self.upload(Path::new(file))?)))
    }

    /// Uploads a file of the host once and returns its path in dom0.
    fn upload(&self, file: &Path) -> Result<String> {
        let meta = fs::metadata(file).doing(|| format!("looking for {}", file.display()))?;
        let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let mut key = Key::default();
        key.add(file.to_string_lossy().as_bytes());
        key.add(format!("{} {modified:?}", meta.len()));
        let key = key.finish();
        let mut uploads = self.inner.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = uploads.get(&key) {
            return Ok(path.clone());
        }
        let path = format!("/var/bed/files/{key}");
        self.put_file(file, &path)?;
        uploads.insert(key, path.clone());
        Ok(path)
    }

    /// Runs a shell script in dom0, at most a minute. It is no error if the script ends with one: see
    /// [`Output::success`].
    ///
    /// # Errors
    /// When dom0 does not answer or the minute is over.
    pub fn dom0(&self, script: &str) -> Result<Output> {
        self.dom0_within(script, COMMAND)
    }

    /// As [`Bed::dom0`], with a limit of the caller's.
    ///
    /// # Errors
    /// As [`Bed::dom0`].
    pub fn dom0_within(&self, script: &str, limit: Duration) -> Result<Output> {
        self.inner.exec(script, b"", limit)
    }

    /// As [`Bed::dom0_within`], with that standard input.
    ///
    /// # Errors
    /// As [`Bed::dom0`].
    pub fn dom0_with_input(&self, script: &str, stdin: &[u8], limit: Duration) -> Result<Output> {
        self.inner.exec(script, stdin, limit)
    }

    /// Copies a file of the host into dom0, with its permissions.
    ///
    /// # Errors
    /// When either side fails.
    pub fn put_file(&self, from: impl AsRef<Path>, to: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let from = from.as_ref();
        let meta = fs::metadata(from).doing(|| format!("looking for {}", from.display()))?;
        let bytes = paths::read(from)?;
        self.inner.agent().put(to, meta.permissions().mode() & 0o777, &bytes, TRANSFER)
    }

    /// Reads a file in dom0.
    ///
    /// # Errors
    /// When it is not there or dom0 does not answer.
    pub fn get_file(&self, path: &str) -> Result<Vec<u8>> {
        self.inner.agent().get(path, TRANSFER)
    }

    /// Reads a xenstore key.
    ///
    /// # Errors
    /// When the key is not there.
    pub fn xenstore_read(&self, key: &str) -> Result<String> {
        let text = self.inner.run(&format!("xenstore-read '{key}'"), COMMAND)?;
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// Writes a xenstore key.
    ///
    /// # Errors
    /// When xenstored refuses.
    pub fn xenstore_write(&self, key: &str, value: &str) -> Result<()> {
        let script = format!("xenstore-write '{key}' '{}'", value.replace('\'', "'\\''"));
        self.inner.run(&script, COMMAND).map(|_| ())
    }

    /// Lists the nodes below a xenstore key, as `xenstore-ls -f` prints it.
    ///
    /// # Errors
    /// When the key is not there.
    pub fn xenstore_ls(&self, key: &str) -> Result<String> {
        self.inner.run(&format!("xenstore-ls -f '{key}'"), COMMAND)
    }

    /// Whether a xenstore key exists.
    ///
    /// # Errors
    /// When dom0 does not answer.
    pub fn xenstore_exists(&self, key: &str) -> Result<bool> {
        Ok(self.dom0(&format!("xenstore-exists '{key}'"))?.success())
    }

    /// The output of Xen and dom0's kernel on the serial port since boot. Bytes that a guest writes to port 0xE9 are
    /// in it as `(dN) …`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn hypervisor_log(&self) -> Result<String> {
        self.inner.hypervisor_log()
    }

    /// Opens a TCP port on 127.0.0.1 that leads to a guest's port.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub fn forward_tcp(&self, guest: Ipv4Addr, port: u16) -> Result<SocketAddr> {
        self.inner.machine.qemu.forward(Network::Lan, "tcp", 0, (guest, port))
    }

    /// Opens a UDP port on 127.0.0.1 that leads to a guest's port.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub fn forward_udp(&self, guest: Ipv4Addr, port: u16) -> Result<SocketAddr> {
        self.inner.machine.qemu.forward(Network::Lan, "udp", 0, (guest, port))
    }

    /// As [`Bed::forward_tcp`], from a port that the caller chooses.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn forward_tcp_from(&self, host_port: u16, guest: Ipv4Addr, port: u16) -> Result<SocketAddr> {
        self.inner.machine.qemu.forward(Network::Lan, "tcp", host_port, (guest, port))
    }

    /// From now on, writes the first 128 bytes of every frame between the guests' network and the host to a file in
    /// the format of libpcap. Once for a machine.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn capture(&self, file: impl AsRef<Path>) -> Result<()> {
        self.inner.machine.qemu.capture(Network::Lan, file.as_ref(), 128)
    }

    /// Writes everything that helps to understand a failure into a folder of the host.
    ///
    /// # Errors
    /// When the folder cannot be written. A file that dom0 does not have is replaced by the reason.
    pub fn collect_logs(&self, folder: impl AsRef<Path>) -> Result<()> {
        crate::logs::collect(&self.inner, folder.as_ref())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // Domains may outlive the test bed; the machine does not.
        self.inner.machine.qemu.end();
    }
}

/// The domain's name, which becomes part of paths in dom0.
fn domain_name(config: &DomainConfig) -> Result<String> {
    let name = config.text("name").unwrap_or_default();
    let fits = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    if fits {
        return Ok(name.to_owned());
    }
    Err(Error::new(Kind::Config, format!("`{name}` is no name for a domain"))
        .next("set name = \"…\" in the configuration: letters, digits, - _ ."))
}
