//! Several senders and readers of one name each, and streams of unknown length.

use super::accepted;
use crate::support::{self, LONG, dom0, install_push, push, random};
use bed::Bed;
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome};
use std::net::SocketAddr;

#[test]
fn pushers_take_turns_and_streams_become_files() {
    support::run("datafront_turns", |bed| {
        install_push(bed)?;
        let guest = Guest::create(bed, &config("web", "web", "ip=dhcp app.admin=path:/-/")?)?;
        guest.domain.wait_for("dom0 pushes at ", BOOT)?;
        bed.dom0("echo hello >/tmp/hello.txt")?;
        let page = guest.tcp(80)?;
        several_pushers(bed, page)?;
        a_slow_reader(bed, &guest, page)?;
        a_stream(bed, page)
    });
}

/// Five at once, and one that returns every second: they take turns, and no block is lost.
fn several_pushers(bed: &Bed, page: SocketAddr) -> Outcome {
    let before = Connection::open(page)?.status()?;
    dom0(
        bed,
        "push /tmp/hello.txt --domain web --name again --every 1s --timeout 120s --json >/tmp/every 2>&1 & every=$!
         for i in 1 2 3 4 5; do echo $i >/tmp/p$i; push /tmp/p$i --domain web --timeout 120s & all=\"$all $!\"; done
         for p in $all; do wait $p || exit 1; done
         for i in $(seq 600); do [ $(grep -c finished /tmp/every) -ge 3 ] && break; sleep 0.1; done
         kill $every; [ $(grep -c finished /tmp/every) -ge 3 ] || { cat /tmp/every; exit 1; }",
    )?;
    let mut http = Connection::open(page)?;
    for n in 1..=5 {
        assert_eq!(http.get(&format!("/p{n}"))?.text(), format!("{n}\n"));
    }
    let after = http.status()?;
    let accepted = |status| number(status, "/datafront/channels/0/blocks/accepted");
    assert!(accepted(&after)? - accepted(&before)? >= 8, "{after}");
    // Whenever it changes.
    dom0(
        bed,
        "echo a >/tmp/w; push /tmp/w --domain web --watch --json >/tmp/watch 2>&1 & p=$!
         for i in $(seq 300); do [ $(grep -c finished /tmp/watch) -ge 1 ] && break; sleep 0.1; done
         echo bb >/tmp/w
         for i in $(seq 300); do [ $(grep -c finished /tmp/watch) -ge 2 ] && break; sleep 0.1; done; kill $p",
    )?;
    assert_eq!(Connection::open(page)?.get("/w")?.text(), "bb\n");
    Ok(())
}

/// A client that has begun to read a file reads it to its end, though another tree is published in between; the old
/// version counts until then. The client is in dom0, whose buffers are small as long as nobody reads from them.
fn a_slow_reader(bed: &Bed, guest: &Guest<'_>, page: SocketAddr) -> Outcome {
    const LEN: usize = 3_000_000;
    let (old, new) = (random(21, LEN), random(22, LEN));
    accepted(&bed.dom0_with_input("cat >/tmp/old; push /tmp/old --domain web --name big", &old, LONG)?)?;
    accepted(&bed.dom0_with_input("mkdir /tmp/next; cat >/tmp/next/big", &new, LONG)?)?;
    let before = Connection::open(page)?.status()?;
    dom0(
        bed,
        &format!(
            "mkfifo /tmp/go; (printf 'GET /big HTTP/1.1\\r\\nHost: g\\r\\nConnection: close\\r\\n\\r\\n' |
             nc {} 80 | (dd bs=1 count=1 of=/tmp/slow; cat /tmp/go; cat >>/tmp/slow; echo >/tmp/end)) >/dev/null 2>&1 &
             for i in $(seq 100); do [ -s /tmp/slow ] && break; sleep 0.1; done; [ -s /tmp/slow ]",
            guest.address
        ),
    )?;
    accepted(&push(bed, "/tmp/next --domain web --json")?)?;
    let during = Connection::open(page)?.status()?;
    let revision = |status| number(status, "/datafront/published/revision");
    let bytes = |status| number(status, "/datafront/published/bytes");
    assert_eq!(revision(&during)?, revision(&before)? + 1, "{during}");
    let sent = number(&during, "/bytes/sent")? - number(&before, "/bytes/sent")?;
    assert!((1..LEN as u64 / 2).contains(&sent), "the reader is at work: {sent} bytes were sent, {during}");
    assert!(bytes(&during)? >= 2 * LEN as u64, "both are there: {during}");
    assert!(Connection::open(page)?.get("/big")?.body == new, "another reader has the new one");
    let read = format!(
        "echo >/tmp/go; for i in $(seq 600); do [ -f /tmp/end ] && break; sleep 0.1; done
         head -n 1 /tmp/slow; tail -c {LEN} /tmp/slow | cmp - /tmp/old && echo the old one"
    );
    let read = dom0(bed, &read)?;
    assert!(read.contains("HTTP/1.1 200 OK") && read.contains("the old one"), "to its end: {read}");
    let after = Connection::open(page)?.status()?;
    assert!((LEN as u64..2 * LEN as u64).contains(&bytes(&after)?), "the old one is gone: {after}");
    Ok(())
}

/// A stream of unknown length becomes one file, and push keeps little of it in memory.
fn a_stream(bed: &Bed, page: SocketAddr) -> Outcome {
    let blob = random(77, 3_500_000);
    let output = bed.dom0_with_input("push - --domain web --name stream.bin --json", &blob, LONG)?;
    accepted(&output)?;
    assert_eq!(output.stdout.matches("\"accepted\":true").count(), 4, "1 MiB each: {}", output.stdout);
    assert!(Connection::open(page)?.get("/stream.bin")?.body == blob);
    // Far more than its memory: the shell's limit on address space ends it otherwise.
    let output = dom0(
        bed,
        "head -c 40000000 /dev/zero | (ulimit -v 40000; push - --domain web --name big 2>&1); echo code $?",
    )?;
    // The guest takes a quarter of its memory, and says when it is enough.
    assert!(output.contains("no room beside the content") && output.contains("code 5"), "{output}");
    Ok(())
}
