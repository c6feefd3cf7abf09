//! `pull` in dom0: blocks from a guest, each once and in order, while either side is ended; and the web appliance's access log.
//!
//! ```text
//!   guest: source, numbered lines ══ vchan ══► pull --out DIR      killed, started again
//!          saved and restored, destroyed and made again            DIR/lines: 1, 2, 3 …
//! ```

mod support;

use bed::{Bed, Domain};
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome};
use serde_json::Value;
use support::{dom0, number_after};

/// Blocks that the guest sends.
const BLOCKS: u64 = 1500;
/// Requests of the access log.
const REQUESTS: usize = 1000;

fn install_pull(bed: &Bed) -> Outcome {
    Ok(bed.put_file(bed::repository().join("build/pull"), "/usr/bin/pull")?)
}

#[test]
fn blocks_reach_dom0_once_whoever_is_ended() {
    support::run("datafront_pull", |bed| {
        install_pull(bed)?;
        // Dropped, it would be destroyed.
        let _first = source(bed)?;
        for _ in 0..3 {
            pull_until(bed, BLOCKS / 10, "kill -9 $p")?;
        }
        // The guest's domain is another one after that, with the same memory.
        let restore = format!("xl save source /run/saved && xl restore /run/saved; {}", complete());
        let said = pull_until(bed, BLOCKS / 10, &restore)?;
        assert!(!said.contains("interrupted 0"), "the restore was in the middle: {said}");
        dom0(bed, "xl destroy source")?;
        let (lines, begun) = check(bed)?;
        assert_eq!((lines, begun), (BLOCKS, 1), "every block once, in order");
        // One that ends takes with it what was not acknowledged; the next one begins at 1.
        dom0(bed, "rm -r /run/out")?;
        let _second = source(bed)?;
        pull_until(bed, BLOCKS / 10, "kill -9 $p")?;
        dom0(bed, "xl destroy source")?;
        let _third = source(bed)?;
        pull_until(bed, 1, &complete())?;
        let (lines, begun) = check(bed)?;
        assert!(lines > BLOCKS + BLOCKS / 10 && lines < 2 * BLOCKS && begun == 2, "{lines} {begun}");
        Ok(())
    });
}

/// Waits for the last block, and ends pull.
fn complete() -> String {
    format!(
        "for i in $(seq 2400); do
             [ \"$(tail -n 1 /run/out/lines | cut -d ' ' -f 1)\" = {BLOCKS} ] && break; sleep 0.1
         done; kill -9 $p"
    )
}

/// A guest that sends numbered lines, as many as dom0 takes.
fn source(bed: &Bed) -> Outcome<Domain> {
    let cmdline = format!("app.do=source app.count={BLOCKS}");
    let domain = bed.create(&config("probe", "source", &cmdline)?.memory_mib(16))?;
    domain.wait_for("dom0 pulls at ", BOOT)?;
    Ok(domain)
}

/// Pulls, and acts on it or on the guest when this many blocks more are there.
fn pull_until(bed: &Bed, blocks: u64, act: &str) -> Outcome<String> {
    let script = format!(
        "rm -f /tmp/out; touch /tmp/out
         pull --domain source --out /run/out --timeout 240s --json >/tmp/out 2>&1 & p=$!
         for i in $(seq 6000); do
             [ $(grep -c '\"accepted\":true' /tmp/out) -ge {blocks} ] && break; sleep 0.05
         done
         {act}; wait $p; echo code $? interrupted $(grep -c interrupted /tmp/out)
         echo blocks $(grep -c '\"accepted\":true' /tmp/out); tail -n 1 /tmp/out"
    );
    let said = dom0(bed, &script)?;
    println!("{}", said.trim().replace('\n', ", "));
    Ok(said)
}

/// The lines in dom0, and how often they begin at 1. All others follow the one before, and have the length of their number.
fn check(bed: &Bed) -> Outcome<(u64, u64)> {
    let script = "awk '{ if ($1 == 1) begun++; else if ($1 != last + 1) broken++
                         if (length($2) != ($1 * $1 * 7919) % 2900) broken++
                         last = $1 }
                  END { print \"lines: total\", NR, \"begun\", begun + 0, \"broken\", broken + 0, \"last\", last, \".\" }' /run/out/lines";
    let said = dom0(bed, script)?;
    println!("{}", said.trim());
    assert_eq!((number_after(&said, "broken")?, number_after(&said, "last")?), (0, BLOCKS), "{said}");
    Ok((number_after(&said, "total")?, number_after(&said, "begun")?))
}

#[test]
fn the_access_log_of_a_thousand_requests_is_whole() {
    support::run("datafront_access_log", |bed| {
        install_pull(bed)?;
        let guest = Guest::create(bed, &config("web", "web", "ip=dhcp app.log=drop")?)?;
        guest.domain.wait_for("dom0 pulls at ", BOOT)?;
        let page = guest.tcp(80)?;
        let mut http = Connection::open(page)?;
        for n in 0..REQUESTS {
            // The first part waits in the guest; then pull is killed twice while requests go on.
            if n >= REQUESTS / 4 && n % (REQUESTS / 4) == 0 {
                dom0(
                    bed,
                    "[ -e /tmp/pid ] && kill -9 $(cat /tmp/pid)
                     setsid pull --domain web --out /run/log --timeout 60s >/tmp/pull.out 2>&1 </dev/null & echo $! >/tmp/pid",
                )?;
                http = Connection::open(page)?;
            }
            assert_eq!(http.get(&format!("/1k?n={n}"))?.status, 200);
        }
        assert_eq!(Connection::open(page)?.get("/none")?.status, 404);
        let last =
            dom0(bed, "kill -9 $(cat /tmp/pid); pull --domain web --out /run/log --idle 15s; echo code $?")?;
        assert!(last.contains("code 0"), "{last}");
        let log = dom0(bed, "cat /run/log/access.log")?;
        let mut seen = Vec::new();
        for line in log.lines() {
            let (request, rest) =
                line.split_once("] \"GET /").ok_or_else(|| format!("no request: {line}"))?;
            assert!(request.contains(" - - [") && request.ends_with(" +0000"), "{line}");
            if let Some(n) = rest.strip_prefix("1k?n=").and_then(|rest| rest.split(' ').next()) {
                assert!(rest.contains(" HTTP/1.1\" 200 1024 \"-\" \"-\""), "{line}");
                seen.push(n.parse::<usize>()?);
            } else {
                assert!(rest.starts_with("none HTTP/1.1\" 404 "), "{line}");
            }
        }
        assert_eq!(seen, (0..REQUESTS).collect::<Vec<_>>(), "each request once, in order");
        counters(bed)?;
        let status = Connection::open(guest.tcp(9090)?).ok().map(|mut http| http.get("/status.json"));
        if let Some(Ok(reply)) = status {
            let status: Value = serde_json::from_slice(&reply.body)?;
            assert_eq!(number(&status, "/datafront/outgoing/dropped")?, 0, "{status}");
        }
        Ok(())
    });
}

/// What dom0 keeps of the counters.
fn counters(bed: &Bed) -> Outcome {
    let files = dom0(bed, "cat /run/log/counters/*.json")?;
    let lines: Vec<Value> = files.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines.len(), 1, "one run of the guest: {files}");
    let total = number(&lines[0], "/log/lines")?;
    assert_eq!((total, number(&lines[0], "/log/lost_lines")?), (REQUESTS as u64 + 1, 0), "{files}");
    assert_eq!(number(&lines[0], "/http/replies_4xx")?, 1, "{files}");
    Ok(())
}
