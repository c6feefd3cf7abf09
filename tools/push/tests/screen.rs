//! What `push` shows: the program itself, on a terminal and elsewhere, against a guest that this test plays behind a
//! `vchan-socket-proxy` of its own.

use datafront::block::{Application, BlockHead, Receiver, Status};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LEN: usize = 1 << 20;

/// Takes everything.
struct Sink;

impl Application for Sink {
    fn begin(&mut self, _: &BlockHead<'_>) -> Result<(), Status> {
        Ok(())
    }
    fn data(&mut self, _: &[u8]) -> Result<(), Status> {
        Ok(())
    }
    fn finish(&mut self) -> Status {
        Status::ACCEPTED
    }
    fn abandon(&mut self) {}
}

/// A guest behind two pipes of a folder that takes a MiB in `whole`.
fn guest(folder: &Path, whole: Duration) {
    let pipes = ["up", "down"].map(|pipe| folder.join(pipe));
    assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
    std::thread::spawn(move || {
        let [mut up, mut down] =
            [File::open(&pipes[0]).unwrap(), OpenOptions::new().write(true).open(&pipes[1]).unwrap()];
        let mut receiver = Receiver::new(1);
        let mut buffer = vec![0; LEN / 64];
        while let Ok(len @ 1..) = up.read(&mut buffer) {
            let mut answers = Vec::new();
            receiver.feed(buffer.get(..len).unwrap(), &mut Sink, &mut answers).unwrap();
            down.write_all(&answers).unwrap();
            std::thread::sleep(whole * u32::try_from(len).unwrap() / u32::try_from(LEN).unwrap());
        }
    });
}

/// A folder with a file, Xen's tools as far as push asks them, and a proxy that leads to a guest.
fn tools(name: &str, whole: Duration) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("push-screen-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let at = folder.display();
    let proxy = format!("#!/bin/sh\ncat {at}/down &\nexec cat >{at}/up\n");
    for (tool, script) in [
        ("xl", "#!/bin/sh\necho 7\n"),
        ("xenstore-read", "#!/bin/sh\necho 8\n"),
        ("vchan-socket-proxy", &proxy),
    ] {
        let path = folder.join(tool);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::write(folder.join("file"), vec![7; LEN]).unwrap();
    guest(&folder, whole);
    folder
}

fn push(folder: &Path, more: &[&str], stdout: Stdio, stderr: Stdio) -> Child {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    Command::new(env!("CARGO_BIN_EXE_push"))
        .arg(folder.join("file"))
        .args(["--domain", "guest", "--proxy"])
        .args(more)
        .env("PATH", path)
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .unwrap()
}

/// What push writes to a terminal of 100 columns, as the standard error and, if `both`, the standard output.
fn on_a_terminal(name: &str, more: &[&str], both: bool) -> String {
    let folder = tools(name, Duration::from_millis(2500));
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ptsname(&master, Vec::new()).unwrap();
    tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let slave = OpenOptions::new().read(true).write(true).open(slave.to_str().unwrap()).unwrap();
    let stdout = if both { slave.try_clone().unwrap().into() } else { Stdio::null() };
    let mut child = push(&folder, more, stdout, slave.into());
    let mut shown = Vec::new();
    let mut buffer = [0; 4096];
    // EIO: nobody has the other side any more.
    let mut master = File::from(master);
    while let Ok(len @ 1..) = master.read(&mut buffer) {
        shown.extend_from_slice(buffer.get(..len).unwrap());
    }
    assert!(child.wait().unwrap().success());
    std::fs::remove_dir_all(&folder).unwrap();
    String::from_utf8(shown).unwrap()
}

#[test]
fn a_terminal_has_a_bar_with_rate_and_remaining_time() {
    let shown = on_a_terminal("bar", &[], false);
    println!("{shown:?}");
    let drawn: Vec<&str> =
        shown.split('\r').filter(|line| line.contains('[') && line.contains(" %")).collect();
    assert!(drawn.len() >= 5, "drawn again and again: {shown:?}");
    let half = drawn.iter().find(|line| line.contains("##########  ")).expect("half of it");
    assert!(half.contains(" of 1.00 MiB") && half.contains("iB/s, ") && half.contains(" second"), "{half:?}");
    let (before, last) = shown.rsplit_once("push: ").unwrap();
    assert!(before.ends_with("\x1b[2K"), "the bar is taken away before the last line: {shown:?}");
    assert!(last.starts_with("file: accepted, 1048576 bytes, ") && last.ends_with("iB/s\r\n"), "{last:?}");
}

#[test]
fn json_has_nothing_of_the_bar_on_a_terminal_either() {
    let shown = on_a_terminal("json", &["--json"], true);
    let events: Vec<serde_json::Value> =
        shown.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"))).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert!(names.contains(&"progress") && names.last() == Some(&"finished"), "{names:?}");
}

#[test]
fn elsewhere_there_are_plain_lines() {
    let folder = tools("lines", Duration::from_millis(8000));
    let output = push(&folder, &[], Stdio::piped(), Stdio::piped()).wait_with_output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
    let lines: Vec<&str> = said.lines().collect();
    let [progress @ .., last] = lines.as_slice() else { panic!("{said:?}") };
    assert!(!progress.is_empty(), "{said:?}");
    let words = [" %, ", " of 1.00 MiB, ", "iB/s, ", " second"];
    for line in progress {
        assert!(line.starts_with("push: ") && words.iter().all(|word| line.contains(word)), "{said}");
    }
    assert!(last.starts_with("push: file: accepted, 1048576 bytes, "), "{last}");
}
