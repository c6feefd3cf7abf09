//! The program itself, against a guest that this test plays behind a `vchan-socket-proxy` of its own: what it leaves in a
//! folder and on its standard output, what it says, and how it ends.
//!
//! ```text
//!   pull ─► xl, xenstore-read: scripts that know the guest
//!        └► vchan-socket-proxy ─► two pipes ─► a Ledger in a thread: HELLO, blocks, and the answers to them
//! ```
#![allow(missing_docs, missing_debug_implementations, reason = "tests stop where something is wrong")]

use datafront::block::wire::{Fate, Frame, HEADER_BYTES, Kind, Sum};
use datafront::block::{Event, Form, Ledger, Part};
use serde_json::Value;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

type Block = (&'static str, Form, Vec<u8>);
/// The blocks that wait, and the statuses of those that were acknowledged.
type Sent = Arc<Mutex<(Ledger<Block>, Vec<u32>)>>;

static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// dom0 as pull sees it, with one guest, in a folder that goes away with it.
struct Dom0 {
    folder: PathBuf,
    sent: Sent,
}

impl Dom0 {
    /// A guest with these blocks. Each connection takes as many bytes as the list says, and is cut then.
    fn new(stream: u64, blocks: &[Block], cuts: &[usize]) -> Self {
        let nth = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("pull-test-{}-{nth}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let at = folder.display();
        let proxy = format!("#!/bin/sh\ncat {at}/down &\nexec cat >{at}/up\n");
        for (tool, script) in [
            ("xl", "#!/bin/sh\n[ \"$2\" = web ] && echo 7\n"),
            ("xenstore-read", "#!/bin/sh\ncase $1 in */other/ring-ref) exit 1;; esac\necho 8\n"),
            ("vchan-socket-proxy", &proxy),
        ] {
            let path = folder.join(tool);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        let mut ledger = Ledger::fresh(stream);
        blocks.iter().for_each(|block| ledger.enqueue(block.clone()));
        let sent = Arc::new(Mutex::new((ledger, Vec::new())));
        let guest = (Arc::clone(&sent), folder.clone(), cuts.to_vec());
        assert!(
            Command::new("mkfifo")
                .args(["up", "down"].map(|end| folder.join(end)))
                .status()
                .unwrap()
                .success()
        );
        std::thread::spawn(move || serve(&guest.0, &guest.1, guest.2));
        Self { folder, sent }
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let path = format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap());
        let mut pull = Command::new(env!("CARGO_BIN_EXE_pull"));
        pull.args(["--domain", "web", "--proxy"]).args(arguments).env("PATH", path).stdin(Stdio::null());
        pull
    }

    fn pull(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn to_folder(&self, arguments: &[&str]) -> Output {
        self.pull(&[&["--out", self.out().to_str().unwrap()], arguments].concat())
    }

    fn statuses(&self) -> Vec<u32> {
        self.sent.lock().unwrap().1.clone()
    }
}

impl Drop for Dom0 {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A connection after the other, until the pipes are gone.
fn serve(sent: &Sent, folder: &std::path::Path, mut cuts: Vec<usize>) {
    while let Ok(mut up) = File::open(folder.join("up"))
        && let Ok(mut down) = OpenOptions::new().write(true).open(folder.join("down"))
    {
        let mut left = if cuts.is_empty() { usize::MAX } else { cuts.remove(0) };
        let mut write = |bytes: &[u8]| {
            let len = bytes.len().min(left);
            left -= len;
            down.write_all(&bytes[..len]).is_ok() && len == bytes.len()
        };
        let hello = sent.lock().unwrap().0.hello();
        let mut is_open = write(&hello);
        let mut head = [0; HEADER_BYTES];
        while is_open && up.read_exact(&mut head).is_ok() {
            let mut guard = sent.lock().unwrap();
            let (ledger, statuses) = &mut *guard;
            match ledger.receive(&Frame::parse(&head, b"").unwrap()) {
                Ok(Event::Completed { status, .. }) => statuses.push(status.0),
                Ok(_) => {}
                Err(_) => break,
            }
            let mut bytes = Vec::new();
            while let Some((seq, (name, form, content))) = ledger.next_to_send() {
                let frame = Frame {
                    kind: Kind::Block,
                    seq,
                    length: content.len() as u64,
                    aux: form.aux(Part::Whole),
                };
                let mut sum = Sum::default();
                sum.add(content);
                bytes.extend(frame.to_bytes(name));
                bytes.extend(name.as_bytes());
                bytes.extend(&*content);
                bytes.extend(sum.trailer(Fate::Whole));
                ledger.sent();
            }
            drop(guard);
            is_open = write(&bytes);
        }
        // The proxy ends with the connection: the next one is another.
        drop(down);
        let _ = up.read_to_end(&mut Vec::new());
    }
}

fn blocks() -> Vec<Block> {
    let line =
        |n: usize| ("access.log", Form::Append, format!("line {n} {}\n", "x".repeat(n * 37)).into_bytes());
    let mut blocks: Vec<Block> = (1..=40).map(line).collect();
    blocks.insert(20, ("counters/1.json", Form::Bytes, b"{\"n\":1}".to_vec()));
    blocks.push(("counters/1.json", Form::Bytes, b"{\"n\":2}".to_vec()));
    blocks
}

fn log(blocks: &[Block]) -> Vec<u8> {
    blocks.iter().filter(|block| block.1 == Form::Append).flat_map(|block| block.2.clone()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn blocks_end_up_in_a_folder() {
    let dom0 = Dom0::new(3, &blocks(), &[]);
    let output = dom0.to_folder(&["--count", "42"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(fs::read(dom0.out().join("access.log")).unwrap() == log(&blocks()));
    assert_eq!(fs::read(dom0.out().join("counters/1.json")).unwrap(), b"{\"n\":2}");
    let bytes: usize = blocks().iter().map(|block| block.2.len()).sum();
    assert_eq!(said(&output), format!("pull: web: 42 blocks accepted, {bytes} bytes\n"));
    assert!(output.stdout.is_empty());
}

#[test]
fn cut_connections_lose_and_double_nothing() {
    let dom0 = Dom0::new(3, &blocks(), &[0, 20, 32, 60, 5000, 20_000, 33]);
    let output = dom0.to_folder(&["--count", "42", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(fs::read(dom0.out().join("access.log")).unwrap() == log(&blocks()));
    let events: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    let seqs: Vec<u64> = of("block").iter().map(|block| block["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=42).collect::<Vec<_>>());
    assert!(of("interrupted").len() >= 5 && of("finished").len() == 1, "{events:?}");
    assert!(output.stderr.is_empty());
}

#[test]
fn a_killed_pull_goes_on_where_it_was() {
    let dom0 = Dom0::new(3, &blocks(), &[]);
    for blocks in [1, 3, 5] {
        let out = dom0.out();
        let mut pull = dom0.command(&["--json", "--out", out.to_str().unwrap(), "--idle", "2s"]);
        let mut pull = pull.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(pull.stdout.take().unwrap()).lines().map_while(Result::ok);
        lines.filter(|line| line.contains("\"block\"")).take(blocks).for_each(drop);
        pull.kill().unwrap();
        pull.wait().unwrap();
    }
    let output = dom0.to_folder(&["--idle", "2s"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(fs::read(dom0.out().join("access.log")).unwrap() == log(&blocks()));
    assert_eq!(dom0.statuses(), [0; 42]);
    let own: Vec<_> =
        fs::read_dir(dom0.out().join(".receive")).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert!(
        ["state", "lock", "incoming", "versions"].iter().all(|name| own.contains(&(*name).into())),
        "{own:?}"
    );
}

#[test]
fn the_standard_output_has_the_blocks_alone() {
    let dom0 = Dom0::new(3, &blocks(), &[]);
    let output = dom0.pull(&["--count", "20"]);
    assert_eq!(output.status.code(), Some(0));
    // Those that came with the last one are there too.
    assert!(output.stdout.starts_with(&log(&blocks()[..20])));
    let both = dom0.pull(&["--json"]);
    assert_eq!(both.status.code(), Some(2), "{both:?}");
    assert!(said(&both).contains("name --out DIR"), "{both:?}");
}

#[test]
fn errors_have_words_and_exit_codes() {
    let dom0 = Dom0::new(3, &[], &[]);
    let nobody = dom0.pull(&["--domain", "nobody"]);
    assert_eq!(nobody.status.code(), Some(2), "a domain named twice");
    let other = dom0.pull(&["--name", "other"]);
    assert_eq!(other.status.code(), Some(4), "{other:?}");
    assert!(said(&other).contains("offers no channel at /local/domain/7/data/vchan/0/other"), "{other:?}");
    let file = dom0.folder.join("file");
    fs::write(&file, "x").unwrap();
    let folder = dom0.pull(&["--out", file.to_str().unwrap()]);
    assert_eq!(folder.status.code(), Some(7), "{folder:?}");
}

#[test]
fn a_guest_that_never_says_hello_is_given_up() {
    let dom0 = Dom0::new(3, &blocks(), &[0; 100]);
    let output = dom0.to_folder(&["--timeout", "2s", "--json"]);
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    let events = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(events.lines().last().unwrap().contains("\"error\":\"timed-out\""), "{events}");
}

#[test]
fn an_output_that_is_closed_acknowledges_nothing() {
    let large = vec![("a", Form::Append, vec![b'x'; 200_000]), ("a", Form::Append, vec![b'y'; 200_000])];
    let dom0 = Dom0::new(3, &large, &[]);
    let mut pull = dom0.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(pull.stdout.take());
    let output = pull.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(said(&output).contains("the block stays with its sender"), "{output:?}");
    assert_eq!(dom0.statuses(), [0; 0]);
}
