//! Several channels of one guest, each with a sender of its own, at once, on real Xen.
//!
//! ```text
//!   push --json ─► pipe, of which nobody reads: full after some hundred blocks ─► push stops, and stays connected
//!                    └─ read by the test's word: some of it, or all ─► push goes on
//! ```
//!
//! So each state that the test looks for stays until the test goes on, however slow the machine is.

mod support;

use bed::Bed;
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use support::{LONG, chain, dom0, install_push, push, random, sum, upload};

const NAMES: [&str; 3] = ["site", "logs", "rest"];
/// Blocks of the first two, several times as many as a pipe has reports for.
const BLOCKS: [usize; 2] = [2500, 2700];

#[test]
fn several_channels_at_once() {
    support::run("datafront_channels", |bed| {
        install_push(bed)?;
        let refused = bed.create(&config("web", "wrong", "ip=dhcp app.push=a,a")?)?;
        refused.wait_for("command line: app.push=a,a is wrong: 1 to 8 different names", BOOT)?;
        let guest =
            Guest::create(bed, &config("web", "web", "ip=dhcp app.push=site,logs,rest app.admin=path:/-/")?)?;
        let page = guest.tcp(80)?;
        let contents = BLOCKS.map(|count| {
            // Small ones: all of them together are a part of what the guest may keep.
            let len = |n: usize| (n * n * 7919 + n * 31) % 1000;
            (0..count).map(|n| random((n + count) as u64, len(n))).collect::<Vec<_>>()
        });
        for (name, contents) in NAMES.iter().zip(&contents) {
            prepare(bed, name, contents)?;
        }
        transfers(bed, page)?;
        each_block_once(page, &contents)?;
        all_are_shown(page)
    });
}

/// A folder of blocks in dom0, and a script that pushes it to the channel of its name.
fn prepare(bed: &Bed, name: &str, contents: &[Vec<u8>]) -> Outcome {
    let folder = std::env::temp_dir().join(format!("datafront-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    for (n, content) in contents.iter().enumerate() {
        std::fs::write(folder.join(format!("{n:05}")), content)?;
    }
    upload(bed, &folder, &format!("/tmp/{name}"))?;
    std::fs::remove_dir_all(&folder)?;
    // A file is the word to read: `some`, and then `all`.
    let script = format!(
        "cat >/tmp/{name}.sh <<'end'
         at=/tmp/{name}.$1; mkfifo $at.pipe
         push /tmp/{name} --each --resume {name} --name {name} --domain web --port {name} --json >$at.pipe 2>&1 & p=$!
         echo $p >$at.pid; exec 3<$at.pipe
         while [ ! -e $at.some ]; do sleep 0.1; done; dd bs=4096 count=8 <&3 >>$at.out 2>/dev/null
         while [ ! -e $at.all ]; do sleep 0.1; done; cat <&3 >>$at.out
         wait $p; echo $? >$at.code\nend\n"
    );
    dom0(bed, &script).map(drop)
}

/// The channels as `/status.json` has them.
fn channels(page: SocketAddr) -> Outcome<Value> {
    Ok(Connection::open(page)?.status()?["datafront"]["channels"].take())
}

/// The first look at the channels that is as it should be. What is looked for comes and stays: the limit is that of a hang.
fn seen(page: SocketAddr, what: &str, is_so: impl Fn(&Value) -> bool) -> Outcome<Value> {
    let began = Instant::now();
    loop {
        let now = channels(page)?;
        if is_so(&now) {
            return Ok(now);
        }
        if began.elapsed() > LONG {
            return Err(format!("not seen: {what}: {now}").into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn connected(channels: &Value) -> [bool; 3] {
    [0, 1, 2].map(|n| channels[n]["connected"] == true)
}

fn accepted(channels: &Value, n: usize) -> u64 {
    channels[n]["blocks"]["accepted"].as_u64().unwrap_or(0)
}

/// Two at once; one is killed and returns while the other continues; a third has its turn at any time.
fn transfers(bed: &Bed, page: SocketAddr) -> Outcome {
    let begin = |name: &str, nth: u8| {
        dom0(bed, &format!("setsid sh /tmp/{name}.sh {nth} >/dev/null 2>&1 </dev/null &"))
    };
    begin("site", 1)?;
    begin("logs", 1)?;
    let both = |now: &Value| connected(now) == [true, true, false];
    let at_work = |now: &Value| both(now) && accepted(now, 0) > 20 && accepted(now, 1) > 20;
    seen(page, "both are at work", at_work)?;
    dom0(bed, "kill -9 $(cat /tmp/site.1.pid)")?;
    let alone = seen(page, "one alone", |now| connected(now) == [false, true, false])?;
    assert!(accepted(&alone, 0) < BLOCKS[0] as u64, "killed in the middle: {alone}");
    dom0(bed, "touch /tmp/logs.1.some")?;
    let on = |now: &Value| connected(now)[1] && accepted(now, 1) > accepted(&alone, 1) + 20;
    let went_on = seen(page, "the other goes on", on)?;
    assert_eq!(accepted(&went_on, 0), accepted(&alone, 0), "nobody pushes there: {went_on}");
    begin("site", 2)?;
    let again = |now: &Value| both(now) && accepted(now, 0) > accepted(&alone, 0);
    seen(page, "it has come back", again)?;
    bed.dom0("echo rest >/tmp/rest.txt")?;
    let third = push(bed, "/tmp/rest.txt --domain web --port rest")?;
    assert!(third.success(), "{third:?}");
    let now = channels(page)?;
    assert_eq!((accepted(&now, 2), connected(&now)[1]), (1, true), "while another was at work: {now}");
    for (name, nth) in [("site", 2), ("logs", 1)] {
        let at = format!("/tmp/{name}.{nth}");
        let end = format!(
            "touch {at}.some {at}.all; while [ ! -f {at}.code ]; do sleep 0.1; done
             echo code $(cat {at}.code); tail -n 1 {at}.out"
        );
        let end = dom0(bed, &end)?;
        println!("{name}: {}", end.trim());
        assert!(end.contains("code 0"), "{name}: {end}");
    }
    Ok(())
}

/// By the guest's chain over each channel, and by the published content.
fn each_block_once(page: SocketAddr, contents: &[Vec<Vec<u8>>; 2]) -> Outcome {
    let mut http = Connection::open(page)?;
    let status = http.status()?;
    for (n, contents) in contents.iter().enumerate() {
        let of = |key: &str| number(&status, &format!("/datafront/channels/{n}/{key}"));
        let count = contents.len() as u64;
        assert_eq!((of("blocks/accepted")?, of("last_seq")?), (count, count), "{status}");
        let expected = (1..).zip(contents).fold(0, |before, (seq, content)| chain(before, seq, sum(content)));
        assert_eq!(of("chain")?, u64::from(expected), "{}: every block once, in order", NAMES[n]);
        for (i, content) in contents.iter().enumerate().step_by(61) {
            assert!(http.get(&format!("/{}/{i:05}", NAMES[n]))?.body == *content, "{} {i}", NAMES[n]);
        }
    }
    assert_eq!(http.get("/rest.txt")?.text(), "rest\n");
    Ok(())
}

/// Each with its own figures.
fn all_are_shown(page: SocketAddr) -> Outcome {
    let mut http = Connection::open(page)?;
    let status = http.status()?;
    let (shown, metrics) = (http.own("status")?.text(), http.own("metrics")?.text());
    for (n, name) in NAMES.iter().enumerate() {
        let of = |key: &str| &status["datafront"]["channels"][n][key];
        assert_eq!(of("name"), name, "{status}");
        let path = of("path").as_str().unwrap_or_default();
        assert!(path.ends_with(&format!("/data/vchan/0/{name}")), "{status}");
        assert!(shown.contains(&format!("Pushed by dom0 <small>{path}</small>")), "{path}");
        assert!(shown.contains(&format!("data-k=\"datafront.channels.{n}.blocks.accepted\"")), "{n}");
        let line =
            format!("datafront_blocks_accepted_total{{channel=\"{name}\"}} {}\n", of("blocks")["accepted"]);
        assert!(metrics.contains(&line), "{line}");
    }
    Ok(())
}
