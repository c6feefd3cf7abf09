//! Commands of the Makefile: `make run IMAGE=echo`, and an appliance in a folder outside of the repository.
//!
//! ```text
//!   make new ─► folder ─ make run ─► image ─► real Xen ─► http://127.0.0.1:PORT/ answers
//! ```

use domu_tests::Outcome;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The time from `make run` to an answer: it builds an image and starts a machine.
const READY: Duration = Duration::from_secs(1200);

/// A command in a process group of its own, which ends with it.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(command: &mut Command, log: PathBuf) -> Outcome<Self> {
        let out = fs::File::create(&log)?;
        command.process_group(0).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        Ok(Self { child: command.spawn()?, log })
    }

    /// Asks a port of 127.0.0.1 until it answers as it should.
    fn until_answer(&mut self, port: u16, request: &[u8], expected: &str) -> Outcome {
        let begun = Instant::now();
        while begun.elapsed() < READY {
            if ask(port, request).is_ok_and(|answer| answer.contains(expected)) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(
                    format!("the command ended with {status}:\n{}", fs::read_to_string(&self.log)?).into()
                );
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Err(format!("no answer:\n{}", fs::read_to_string(&self.log)?).into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
        let _ = self.child.wait();
    }
}

fn ask(port: u16, request: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    stream.write_all(request)?;
    let mut answer = [0; 512];
    let len = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn make(folder: &Path, arguments: &[&str]) -> Command {
    let mut make = Command::new("make");
    make.arg("-C").arg(folder).arg("--no-print-directory").args(arguments);
    make
}

/// A folder of this test alone, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("millpond-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_appliance_of_ones_own_is_built_and_runs() -> Outcome {
    let temporary = Folder::new("new")?;
    let folder = temporary.0.join("hello");
    let dir = format!("DIR={}", folder.display());
    let made = make(&bed::repository(), &["new", "NAME=hello", &dir]).status()?;
    assert!(made.success());
    assert!(
        !make(&bed::repository(), &["new", "NAME=hello", &dir]).status()?.success(),
        "a folder is not overwritten"
    );
    let port = free_port()?;
    let forward = format!("FORWARD={port}:80");
    let mut running = Running::start(&mut make(&folder, &["run", &forward]), temporary.0.join("log"))?;
    running.until_answer(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "Hello from hello to 10.0.2.2")?;
    assert!(folder.join("build/hello.elf").exists());
    let log = fs::read_to_string(&running.log)?;
    assert!(log.contains("hello is domain ") && log.contains("listening on port 80"), "{log}");
    Ok(())
}

#[test]
fn another_image_runs_with_its_own_port() -> Outcome {
    let temporary = Folder::new("run")?;
    let port = free_port()?;
    let forward = format!("FORWARD_echo={port}:7");
    let mut command = make(&bed::repository(), &["run", "IMAGE=echo", &forward]);
    let mut running = Running::start(&mut command, temporary.0.join("log"))?;
    running.until_answer(port, b"there and back", "there and back")?;
    let log = fs::read_to_string(&running.log)?;
    assert!(
        log.contains("echo is domain ") && log.contains(&format!("127.0.0.1:{port} leads to 10.0.2.15:7")),
        "{log}"
    );
    assert!(!log.contains("answers: HTTP"), "echo is no web server: {log}");
    let unknown = make(&bed::repository(), &["run", "IMAGE=none"]).output()?;
    assert!(
        !unknown.status.success()
            && String::from_utf8_lossy(&unknown.stderr).contains("one of web echo iperf stock")
    );
    Ok(())
}
