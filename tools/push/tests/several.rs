//! One source into several guests: the program itself, against guests that this test plays behind a `vchan-socket-proxy`
//! of its own.
//!
//! ```text
//!   push ─► xl, xenstore-list, xenstore-read: scripts that know web1 (7), web2 (8), db (9)
//!        └► vchan-socket-proxy DOMID ─► two pipes of that number ─► a Receiver in a thread
//! ```

use datafront::block::{Application, BlockHead, Receiver, Status};
use serde_json::Value;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Names and contents of what a guest has taken.
type Taken = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Takes everything, or refuses everything.
struct Guest {
    refuses: bool,
    current: (String, Vec<u8>),
    taken: Taken,
}

impl Application for Guest {
    fn begin(&mut self, head: &BlockHead<'_>) -> Result<(), Status> {
        self.current = (head.name.to_owned(), Vec::new());
        if self.refuses { Err(Status::TOO_LARGE) } else { Ok(()) }
    }
    fn data(&mut self, bytes: &[u8]) -> Result<(), Status> {
        self.current.1.extend_from_slice(bytes);
        Ok(())
    }
    fn finish(&mut self) -> Status {
        self.taken.lock().unwrap().push(std::mem::take(&mut self.current));
        Status::ACCEPTED
    }
    fn abandon(&mut self) {}
}

/// dom0 as push sees it, in a folder that goes away with it.
struct Dom0(PathBuf);

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

const XL: &str = "#!/bin/sh
case $2 in web1) echo 7;; web2) echo 8;; db) echo 9;; *) exit 1;; esac
";
const LIST: &str = "#!/bin/sh
printf '0\\n9\\n8\\n7\\n'
";
/// db has a channel of another name.
const READ: &str = "#!/bin/sh
case $1 in
*/7/name) echo web1;; */8/name) echo web2;; */9/name) echo db;; */name) echo Domain-0;;
*/[789]/domid) echo 1;;
*/[78]/data/vchan/0/push/ring-ref | */[789]/domid) echo 1;;
*/[78]/data/vchan/0/site/ring-ref | */9/data/vchan/0/load/ring-ref) echo 5;;
*) exit 1;;
esac
";

impl Dom0 {
    fn new() -> Self {
        let nth = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("push-several-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let at = folder.display();
        let proxy =
            format!("#!/bin/sh\necho \"$4\" >>{at}/paths\ncat {at}/$3.down &\nexec cat >{at}/$3.up\n");
        let tools =
            [("xl", XL), ("xenstore-list", LIST), ("xenstore-read", READ), ("vchan-socket-proxy", &proxy)];
        for (tool, script) in tools {
            let path = folder.join(tool);
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(folder.join("file"), b"for all").unwrap();
        Self(folder)
    }

    /// A guest of this number.
    fn guest(&self, domid: u16, refuses: bool) -> Taken {
        let pipes = ["up", "down"].map(|end| self.0.join(format!("{domid}.{end}")));
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        let taken = Taken::default();
        let mut guest = Guest { refuses, current: (String::new(), Vec::new()), taken: Arc::clone(&taken) };
        std::thread::spawn(move || {
            let mut receiver = Receiver::new(domid.into());
            let mut buffer = [0; 4096];
            // A connection after the other, until the pipes are gone.
            while let Ok(mut up) = File::open(&pipes[0])
                && let Ok(mut down) = OpenOptions::new().write(true).open(&pipes[1])
            {
                while let Ok(len @ 1..) = up.read(&mut buffer) {
                    let mut answers = Vec::new();
                    receiver.feed(&buffer[..len], &mut guest, &mut answers).unwrap();
                    let _ = down.write_all(&answers);
                }
                receiver.reset(&mut guest);
            }
        });
        taken
    }

    fn push(&self, to: &[&str]) -> Output {
        let file = self.0.join("file");
        let path = format!("{}:{}", self.0.display(), std::env::var("PATH").unwrap());
        let mut push = Command::new(env!("CARGO_BIN_EXE_push"));
        let push = push.arg(file).arg("--proxy").args(to).env("PATH", path).stdin(Stdio::null());
        push.output().unwrap()
    }
}

impl Drop for Dom0 {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn taken(guest: &Taken) -> Vec<(String, Vec<u8>)> {
    guest.lock().unwrap().clone()
}

fn the_file() -> Vec<(String, Vec<u8>)> {
    vec![("file".into(), b"for all".to_vec())]
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
}

/// The results in `--json`, by domain.
fn results(output: &Output) -> Vec<(String, u64)> {
    let events = String::from_utf8_lossy(&output.stdout);
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let results = events.filter(|event| event["event"] == "result");
    results.map(|one| (one["domain"].as_str().unwrap().to_owned(), one["code"].as_u64().unwrap())).collect()
}

#[test]
fn each_of_several_guests_has_it_and_a_line() {
    let dom0 = Dom0::new();
    let guests = [dom0.guest(7, false), dom0.guest(8, false)];
    let output = dom0.push(&["--domain", "web1,web2"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(guests.iter().all(|guest| taken(guest) == the_file()));
    let lines = lines(&output);
    let of = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(
        (of("push: web1: file: accepted, 7 bytes"), of("push: web2: file: accepted, 7 bytes")),
        (1, 1)
    );
    assert_eq!(lines.last().unwrap(), "push: accepted by 2 of 2 guests");
}

#[test]
fn a_guest_that_fails_leaves_the_others_alone() {
    let dom0 = Dom0::new();
    let (web1, web2) = (dom0.guest(7, false), dom0.guest(8, true));
    let output = dom0.push(&["--domain", "nobody,web2,web1"]);
    assert_eq!(output.status.code(), Some(3), "that of the first: {output:?}");
    assert_eq!((taken(&web1), taken(&web2)), (the_file(), vec![]));
    let lines = lines(&output);
    assert!(lines.iter().any(|line| line.starts_with("push: nobody: no such domain")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("push: web2: file: refused")), "{lines:?}");
    let last = "push: accepted by 1 of 3 guests; failed: nobody (exit code 3), web2 (exit code 5)";
    assert_eq!(lines.last().unwrap(), last);
}

#[test]
fn json_has_a_result_for_each_guest() {
    let dom0 = Dom0::new();
    let _guests = (dom0.guest(7, false), dom0.guest(8, true));
    let output = dom0.push(&["--domain", "web1,web2", "--json"]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(results(&output), [("web1".to_owned(), 0), ("web2".to_owned(), 5)]);
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn all_with_a_channel_are_found_by_its_name() {
    let dom0 = Dom0::new();
    let guests = [dom0.guest(7, false), dom0.guest(8, false)];
    let output = dom0.push(&["--all-with", "site", "--json"]);
    assert_eq!(results(&output), [("web1".to_owned(), 0), ("web2".to_owned(), 0)], "{output:?}");
    assert!(guests.iter().all(|guest| taken(guest) == the_file()));
    let paths = std::fs::read_to_string(dom0.0.join("paths")).unwrap();
    assert!(paths.lines().all(|path| path.ends_with("/data/vchan/0/site")), "{paths}");
}

#[test]
fn a_channel_that_nobody_offers_is_an_error() {
    let dom0 = Dom0::new();
    let output = dom0.push(&["--all-with", "other"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(lines(&output)[0].starts_with("push: no domain offers the channel data/vchan/0/other"));
    let both = dom0.push(&["--all-with", "site", "--domain", "web1"]);
    assert_eq!(both.status.code(), Some(2));
}
