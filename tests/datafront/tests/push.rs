//! `push` in dom0 against the web appliance on real Xen, by libxenvchan and over Debian's own `vchan-socket-proxy`.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    clippy::too_many_lines,
    reason = "a program of the host: the standard library, and numbers far from overflow"
)]

mod support;

use bed::{Bed, Domain, Output};
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use support::{LONG, chain, dom0, install_push, number_after, push, random, sum, upload};

/// Blocks of the long transfer; `DATAFRONT_BLOCKS=100000` makes it longer.
fn nr_blocks() -> usize {
    let asked = std::env::var("DATAFRONT_BLOCKS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(10_000)
}

/// Times that its sender is killed.
const KILLS: usize = 10;

fn accepted(output: &Output) -> Outcome {
    if output.success() { Ok(()) } else { Err(format!("{output:?}").into()) }
}

#[test]
fn pushes_arrive_once_in_order_and_are_published() {
    support::run("datafront_push", |bed| {
        install_push(bed)?;
        let guest = Guest::create(bed, &config("web", "web", "ip=dhcp")?)?;
        guest.domain.wait_for("dom0 pushes at ", BOOT)?;
        let page = guest.tcp(80)?;
        let mut http = Connection::open(page)?;
        errors(bed)?;
        a_file(bed, &mut http)?;
        a_folder(bed, &mut http)?;
        many_blocks(bed, page)?;
        what_is_shown(bed, page)?;
        Ok(())
    });
}

/// What goes wrong is said in words and by exit codes.
fn errors(bed: &Bed) -> Outcome {
    bed.dom0("echo hello >/tmp/hello.txt")?;
    let expected = [
        ("/tmp/hello.txt --domain nobody", 3, "no such domain"),
        ("/tmp/hello.txt --domain web --port other", 4, "offers no datafront"),
        ("/tmp/hello.txt --domain web --name ../up", 5, "cannot use"),
        ("/tmp/none --domain web", 7, "No such file"),
    ];
    for (arguments, code, words) in expected {
        let output = push(bed, arguments)?;
        assert!(output.status == Some(code) && output.stderr.contains(words), "{arguments}: {output:?}");
    }
    // A guest that does not run answers nothing.
    bed.dom0("xl pause web")?;
    let output = push(bed, "/tmp/hello.txt --domain web --timeout 3s --json")?;
    bed.dom0("xl unpause web")?;
    let last = output.stdout.lines().last().unwrap_or_default();
    assert!(output.status == Some(6) && last.contains("\"error\":\"timed-out\""), "{output:?}");
    Ok(())
}

fn a_file(bed: &Bed, http: &mut Connection) -> Outcome {
    let output = push(bed, "/tmp/hello.txt --domain web --json")?;
    accepted(&output)?;
    assert!(output.stdout.contains("\"accepted\":true"), "{output:?}");
    let reply = http.get("/hello.txt")?;
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello\n"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    let etag = reply.header("etag").ok_or("no etag")?.to_owned();
    http.send(
        format!("GET /hello.txt HTTP/1.1\r\nHost: g\r\nRange: bytes=1-3\r\nIf-Range: {etag}\r\n\r\n")
            .as_bytes(),
    )?;
    let part = http.reply()?;
    assert_eq!((part.status, part.text().as_str()), (206, "ell"));
    assert_eq!(part.header("content-range"), Some("bytes 1-3/6"));
    // The same by number, from the standard input.
    accepted(&bed.dom0("echo again | push - --proxy --domain $(xl domid web) --name hello.txt")?)?;
    assert_eq!(http.get("/hello.txt")?.text(), "again\n");
    Ok(())
}

fn a_folder(bed: &Bed, http: &mut Connection) -> Outcome {
    bed.dom0(
        "mkdir -p /tmp/site/sub; echo '<h1>one</h1>' >/tmp/site/index.html; echo x >/tmp/site/sub/x.css",
    )?;
    accepted(&push(bed, "/tmp/site --domain web")?)?;
    assert_eq!(http.get("/")?.text(), "<h1>one</h1>\n");
    assert_eq!(http.get("/sub/x.css")?.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(http.get("/hello.txt")?.status, 404, "replaced as a whole");
    assert_eq!(http.get("/status")?.status, 200);
    Ok(())
}

#[test]
fn pushers_take_turns_and_streams_become_files() {
    support::run("datafront_turns", |bed| {
        install_push(bed)?;
        let guest = Guest::create(bed, &config("web", "web", "ip=dhcp")?)?;
        guest.domain.wait_for("dom0 pushes at ", BOOT)?;
        bed.dom0("echo hello >/tmp/hello.txt")?;
        let page = guest.tcp(80)?;
        several_pushers(bed, page)?;
        a_slow_reader(bed, &guest, page)?;
        a_stream(bed, page)
    });
}

/// Five at once, and one that comes back every second: they take turns, and nobody's block is lost.
fn several_pushers(bed: &Bed, page: SocketAddr) -> Outcome {
    let before = Connection::open(page)?.status()?;
    dom0(
        bed,
        "push /tmp/hello.txt --domain web --name again --every 1s --json >/tmp/every 2>&1 & every=$!
         for i in 1 2 3 4 5; do echo $i >/tmp/p$i; push /tmp/p$i --domain web --timeout 120s & all=\"$all $!\"; done
         for p in $all; do wait $p || exit 1; done
         for i in $(seq 600); do [ $(grep -c finished /tmp/every) -ge 3 ] && break; sleep 0.1; done
         kill $every; grep -c finished /tmp/every",
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

/// Who has begun to read a file reads it to its end, though another tree is published meanwhile; what he reads counts
/// until then. He is in dom0, whose buffers are small as long as nobody takes anything out of them.
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
    let edition = |status| number(status, "/datafront/published/edition");
    let bytes = |status| number(status, "/datafront/published/bytes");
    assert_eq!(edition(&during)?, edition(&before)? + 1, "{during}");
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

/// A stream whose length nobody knows becomes one file, and push holds little of it.
fn a_stream(bed: &Bed, page: SocketAddr) -> Outcome {
    let blob = random(77, 3_500_000);
    let output = bed.dom0_with_input("push - --domain web --name stream.bin --json", &blob, LONG)?;
    accepted(&output)?;
    assert_eq!(output.stdout.matches("\"accepted\":true").count(), 4, "1 MiB each: {}", output.stdout);
    assert!(Connection::open(page)?.get("/stream.bin")?.body == blob);
    // Far more than its memory may hold: the shell's limit on address space ends it else.
    let output = dom0(
        bed,
        "head -c 40000000 /dev/zero | (ulimit -v 40000; push - --domain web --name big 2>&1); echo code $?",
    )?;
    // The guest takes a quarter of its memory, and says when it is enough.
    assert!(output.contains("too large for the application") && output.contains("code 5"), "{output}");
    Ok(())
}

/// Random blocks, the sender killed again and again: the guest's check over all of them is the host's.
fn many_blocks(bed: &Bed, page: SocketAddr) -> Outcome {
    // The guest closes connections that are silent for a minute: each look has its own.
    let before = Connection::open(page)?.status()?;
    let folder = std::env::temp_dir().join(format!("datafront-blocks-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let contents: Vec<Vec<u8>> = (0..nr_blocks())
        .map(|n| random(n as u64 + 1, (n * n * 7919 + n * 31) % (4_000_000 / nr_blocks())))
        .collect();
    for (n, content) in contents.iter().enumerate() {
        std::fs::write(folder.join(format!("{n:05}")), content)?;
    }
    upload(bed, &folder, "/tmp/blocks")?;
    std::fs::remove_dir_all(&folder)?;
    let arguments = "/tmp/blocks --each --resume blocks --name b --domain web";
    let mut killed = 0;
    for round in 0..KILLS {
        // Killed in the middle of the transfer: once so many blocks of this attempt are acknowledged. The pipe holds what is
        // not read, and with that push, so that it cannot come to its end before.
        let some = nr_blocks() / 200 + round * nr_blocks() / 500;
        let script = format!(
            "rm -f /tmp/out; mkfifo /tmp/out; push {arguments} --json >/tmp/out & p=$!
             exec 3</tmp/out; head -n {some} <&3 >/dev/null
             kill -9 $p && echo killed; exec 3<&-; wait $p 2>/dev/null; true"
        );
        killed += usize::from(bed.dom0_within(&script, LONG)?.stdout.contains("killed"));
    }
    let middle = Connection::open(page)?.status()?;
    assert_eq!(killed, KILLS, "{middle}");
    let clients = number(&middle, "/datafront/channels/0/link/clients")?
        - number(&before, "/datafront/channels/0/link/clients")?;
    assert!(clients + 1 >= KILLS as u64, "each sender had come as far as the guest: {middle}");
    let output = push(bed, arguments)?;
    accepted(&output)?;
    let mut http = Connection::open(page)?;
    let after = http.status()?;
    println!("killed {killed} times; {}; datafront: {}", output.stderr.trim(), after["datafront"]);
    let accepted = |status| number(status, "/datafront/channels/0/blocks/accepted");
    assert_eq!(accepted(&after)? - accepted(&before)?, nr_blocks() as u64, "{after}");
    let start = number(&before, "/datafront/channels/0/chain")? as u32;
    let expected = contents
        .iter()
        .enumerate()
        .fold(start, |before, (n, content)| chain(before, n as u64 + 1, sum(content)));
    assert_eq!(
        number(&after, "/datafront/channels/0/chain")?,
        u64::from(expected),
        "every block once, in order, byte for byte"
    );
    for n in (0..nr_blocks()).step_by(97) {
        assert_eq!(http.get(&format!("/b/{n:05}"))?.body, contents[n], "block {n}");
    }
    Ok(())
}

/// A client that speaks no datafront is told of; page, JSON and metrics show what came.
fn what_is_shown(bed: &Bed, page: SocketAddr) -> Outcome {
    let before = number(&Connection::open(page)?.status()?, "/datafront/channels/0/blocks/faults")?;
    dom0(
        bed,
        "proxy=$(echo /usr/lib/xen-*/bin/vchan-socket-proxy); id=$(xl domid web)
         (echo 'GET / HTTP/1.0, or whatever is no frame at all'; sleep 2) |
             $proxy -m client $id /local/domain/$id/data/vchan/0/push - >/dev/null || true",
    )?;
    let mut http = Connection::open(page)?;
    let status = http.status()?;
    let error = status
        .pointer("/datafront/channels/0/last_error")
        .and_then(|error| error.as_str())
        .unwrap_or_default();
    assert!(error.contains("no frame"), "{status}");
    assert_eq!(number(&status, "/datafront/channels/0/blocks/faults")?, before + 1, "{status}");
    assert_eq!(number(&status, "/datafront/channels/0/last_seq")?, nr_blocks() as u64);
    let metrics = http.get("/metrics")?.text();
    for (name, path) in [
        ("datafront_last_seq{channel=\"push\"}", "/datafront/channels/0/last_seq"),
        ("datafront_blocks_accepted_total{channel=\"push\"}", "/datafront/channels/0/blocks/accepted"),
        ("datafront_blocks_bytes_total{channel=\"push\"}", "/datafront/channels/0/blocks/bytes"),
        ("datafront_link_clients_total{channel=\"push\"}", "/datafront/channels/0/link/clients"),
        ("datafront_link_read_bytes_total{channel=\"push\"}", "/datafront/channels/0/link/read_bytes"),
        ("published_files", "/datafront/published/files"),
    ] {
        let line = format!("\nmillpond_{name} {}\n", number(&status, path)?);
        assert!(metrics.contains(&line), "{line}");
    }
    let shown = http.get("/status")?.text();
    assert!(shown.contains("Pushed by dom0") && shown.contains("Last error: what was sent is no frame"));
    Ok(())
}

/// The last line that the sink wrote which says so, waiting for it.
fn sink_says(bed: &Bed, name: &str, words: &str) -> Outcome<String> {
    let began = Instant::now();
    loop {
        let log = dom0(bed, &format!("cat /var/log/xen/console/guest-{name}.log"))?;
        if let Some(line) = log.lines().rev().find(|line| line.contains("sink: accepted"))
            && line.contains(words)
        {
            return Ok(line.to_owned());
        }
        if began.elapsed() > LONG {
            return Err(format!("no {words:?} in {log}").into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What the sink's larger ring holds.
const RING_BYTES: u64 = 256 << 10;

fn sink(bed: &Bed, name: &str) -> Outcome<Domain> {
    let domain = bed.create(&config("probe", name, "app.do=sink")?.memory_mib(16))?;
    domain.wait_for("sink: at ", BOOT)?;
    Ok(domain)
}

/// A block far larger than the guest goes through it; a sender that comes while its predecessor's connection is still
/// there; and a transfer goes on over save and restore.
#[test]
fn a_guest_of_16_mib_takes_any_length_and_survives_save_and_restore() {
    support::run("datafront_sink", |bed| {
        install_push(bed)?;
        let large = sink(bed, "large")?;
        one_large_block(bed, "large")?;
        one_at_a_time(bed, "large")?;
        heir(bed, "large")?;
        large.destroy()?;
        let _kept = sink(bed, "kept")?;
        parts_over(bed, "kept", &["xl save kept /tmp/saved && xl restore /tmp/saved"])
    });
}

/// A transfer goes on in a guest that is suspended and resumed where it is: as after a failed save (its hypercall says so),
/// as anew (an older kernel's way), and by a checkpoint. Here, other than after a restore, the sender still has the old
/// pages mapped.
#[test]
fn a_transfer_goes_on_after_a_resume_in_the_same_domain() {
    support::run("datafront_resume", |bed| {
        install_push(bed)?;
        bed.put_file(domu_tests::dom0::RESUME, "/var/resume")?;
        dom0(bed, "chmod 755 /var/resume")?;
        let _stays = sink(bed, "stays")?;
        parts_over(
            bed,
            "stays",
            &["/var/resume $id anew", "/var/resume $id cancel", "xl save -c stays /tmp/saved"],
        )
    });
}

/// Bytes of the large block: 1 GiB takes minutes, so a test has 32 MiB, and `DATAFRONT_LARGE=1073741824` makes it that.
fn large_bytes() -> u64 {
    let asked = std::env::var("DATAFRONT_LARGE").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(32 << 20)
}

fn one_large_block(bed: &Bed, name: &str) -> Outcome {
    let (len, marks) = (large_bytes(), [0, 12_345, 20_000_000, large_bytes() - 8]);
    let script = marks
        .map(|at| format!("printf millpond | dd of=/tmp/large bs=1 seek={at} conv=notrunc 2>/dev/null\n"));
    dom0(bed, &format!("truncate -s {len} /tmp/large\n{}", script.concat()))?;
    // On a terminal of dom0's: a bar that grows.
    bed.put_file("/usr/bin/script", "/usr/bin/script")?;
    let began = Instant::now();
    let output = bed.dom0_within(
        &format!("script -qec 'stty cols 100; push /tmp/large --domain {name}' /dev/null </dev/null"),
        8 * LONG,
    )?;
    println!("one block of {len} bytes in {:?}", began.elapsed());
    accepted(&output)?;
    let bars: Vec<&str> = output.stdout.split('\r').filter(|shown| shown.contains(" %, ")).collect();
    let halves =
        bars.iter().filter(|shown| shown.contains("[##########") && shown.contains("iB/s, ")).count();
    assert!(bars.len() > 3 && (1..bars.len()).contains(&halves), "a bar that grows: {:?}", output.stdout);
    assert!(output.stdout.contains(": accepted, "), "{:?}", output.stdout);
    let mut check = datafront::block::wire::Sum::default();
    let piece = 1_u64 << 16;
    for start in (0..len).step_by(piece as usize) {
        let mut bytes = vec![0; piece.min(len - start) as usize];
        for at in marks {
            for (i, byte) in (at..).zip(b"millpond") {
                if i >= start && i < start + bytes.len() as u64 {
                    bytes[(i - start) as usize] = *byte;
                }
            }
        }
        check.add(&bytes);
    }
    let line = sink_says(bed, name, "accepted 1 ")?;
    assert_eq!(number_after(&line, "bytes")?, len, "{line}");
    assert_eq!(number_after(&line, "chain")?, u64::from(chain(0, 1, check.value())), "{line}");
    dom0(bed, "rm /tmp/large")?;
    Ok(())
}

/// Each block acknowledged before the next, on one processor: the sender lets the guest run and looks again, before it asks
/// for an event, so there is not one for each block.
fn one_at_a_time(bed: &Bed, name: &str) -> Outcome {
    const BLOCKS: u64 = 200;
    bed.put_file(bed::repository().join("build/push-blocks"), "/usr/bin/blocks")?;
    let before = number_after(&sink_says(bed, name, "accepted 1 ")?, "events")?;
    dom0(
        bed,
        &format!(
            "xl vcpu-pin Domain-0 0 0 && xl vcpu-pin {name} 0 0 && blocks {name} 1024 {BLOCKS} one &&
             xl vcpu-pin Domain-0 all all && xl vcpu-pin {name} all all"
        ),
    )?;
    // One more: the one that connects.
    let line = sink_says(bed, name, &format!("accepted {} ", BLOCKS + 2))?;
    println!("{line}");
    let events = number_after(&line, "events")? - before;
    assert!(events < BLOCKS / 4, "{events} events for {BLOCKS} blocks: {line}");
    Ok(())
}

/// A sender is killed in the middle of a block while the guest does not run, and the next one connects before the guest
/// can notice: it finds the dead one's page and port, and its HELLO is taken for bytes of the block.
fn heir(bed: &Bed, name: &str) -> Outcome {
    for way in ["", "--proxy"] {
        let script = format!(
            "truncate -s 1000M /tmp/huge; echo hello >/tmp/heir; rm -f /tmp/dead
             push {way} /tmp/huge --domain {name} --json >/tmp/dead 2>&1 & p=$!
             for i in $(seq 600); do grep -q connected /tmp/dead && break; sleep 0.05; done
             sleep 0.2; xl pause {name}; kill -9 $p; for q in $(pidof vchan-socket-proxy); do kill -9 $q; done
             push {way} /tmp/heir --domain {name} --json --timeout 60s >/tmp/heir.out 2>&1 & p=$!
             sleep 2; xl unpause {name}; wait $p; echo code $?; cat /tmp/heir.out"
        );
        let said = dom0(bed, &script)?;
        println!("heir {way}: {}", said.trim());
        assert!(said.contains("code 0") && said.contains("no answer to HELLO"), "{said}");
    }
    Ok(())
}

/// Parts of a stream, and in their middle, each once some more are accepted, what is done to the guest, whose number is
/// `$id`: every part once, in order. However slow the host is, only some parts more are there before each act has ended.
fn parts_over(bed: &Bed, name: &str, acts: &[&str]) -> Outcome {
    const PARTS: u64 = 16;
    const BETWEEN: usize = 4;
    const MORE: usize = 3;
    let blob = random(5, 1 << 20);
    accepted(&bed.dom0_with_input("cat >/tmp/blob", &blob, LONG)?)?;
    let scripts: Vec<String> = (1..)
        .zip(acts)
        .map(|(nth, act)| {
            format!(
                "for i in $(seq 600); do [ $(grep -c accepted /tmp/out) -ge {} ] && break; sleep 0.1; done
                 id=$(xl domid {name}); echo before $(grep -c accepted /tmp/out); {act} || exit 1; echo
                 echo >>/tmp/done\n",
                nth * BETWEEN
            )
        })
        .collect();
    let script = format!(
        "rm -f /tmp/out /tmp/done; touch /tmp/done
         (for i in $(seq {PARTS}); do
             while n=$(wc -l </tmp/done); [ $n -lt {} ] && [ $i -gt $((n * {BETWEEN} + {BETWEEN} + {MORE})) ]; do sleep 0.1; done
             cat /tmp/blob; sleep 0.3
          done | push - --domain {name} --name x --timeout 240s --json >/tmp/out 2>&1; echo code $? >>/tmp/out) &
         {} for i in $(seq 2000); do grep -q code /tmp/out && break; sleep 0.1; done; grep -v accepted /tmp/out",
        acts.len(),
        scripts.concat()
    );
    let said = dom0(bed, &script)?;
    println!("{name}: {}", said.trim());
    assert!(said.contains("code 0"), "{said}");
    let before: Vec<u64> =
        said.lines().filter_map(|line| line.strip_prefix("before ")?.parse().ok()).collect();
    assert!(before.len() == acts.len() && before.iter().all(|count| *count < PARTS), "in the middle: {said}");
    assert!(said.contains("interrupted"), "{said}");
    let line = sink_says(bed, name, &format!("accepted {PARTS} "))?;
    println!("{line}");
    // Of the pages that the sender had mapped when a channel was opened anew, none is lost, and none too many is kept.
    let (pages, mapped) = (number_after(&line, "pages")?, number_after(&line, "mapped")?);
    assert!(pages - mapped <= RING_BYTES / 4096 + 2 && mapped <= 1, "{line}");
    let check = sum(&blob);
    let expected = (1..=PARTS).fold(0, |before, seq| chain(before, seq, check));
    assert_eq!(number_after(&line, "chain")?, u64::from(expected), "every block once, in order: {line}");
    Ok(())
}
