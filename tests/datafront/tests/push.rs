//! `push` in dom0 against the web appliance on real Xen, over Debian's own `vchan-socket-proxy`.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    clippy::too_many_lines,
    reason = "a program of the host: the standard library, and numbers far from overflow"
)]

use bed::{Bed, Output};
use datafront::block::wire::Sum;
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome};
use push::tree::Tree;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// Blocks of the long transfer.
const BLOCKS: usize = 1000;
/// Times that its sender is killed.
const KILLS: usize = 10;

/// What the guest reckons over accepted blocks, by docs/datafront.md.
fn chain(before: u32, seq: u64, content: &[u8]) -> u32 {
    let mut own = Sum::default();
    own.add(content);
    let mut next = Sum::default();
    next.add(&before.to_le_bytes());
    next.add(&seq.to_le_bytes());
    next.add(&own.value().to_le_bytes());
    next.value()
}

fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Runs `push` in dom0.
fn push(bed: &Bed, arguments: &str) -> Outcome<Output> {
    Ok(bed.dom0_within(&format!("push {arguments}"), Duration::from_secs(120))?)
}

fn accepted(output: &Output) -> Outcome {
    if output.success() { Ok(()) } else { Err(format!("{output:?}").into()) }
}

/// Puts a folder of the host into dom0.
fn upload(bed: &Bed, folder: &Path, to: &str) -> Outcome {
    let mut archive = Vec::new();
    Tree::list(folder)?.read().read_to_end(&mut archive)?;
    let script = format!("mkdir -p {to} && tar -x -f - -C {to}");
    accepted(&bed.dom0_with_input(&script, &archive, Duration::from_secs(120))?)
}

#[test]
fn pushes_arrive_once_in_order_and_are_published() {
    bed::run_test("datafront_push", |bed| {
        let program = bed::repository().join("build/push");
        bed.put_file(&program, "/usr/bin/push")?;
        let guest = Guest::create(bed, &config("web", "web", "ip=dhcp")?)?;
        guest.domain.wait_for("dom0 pushes at ", BOOT)?;
        let page = guest.tcp(80)?;
        let mut http = Connection::open(page)?;
        errors(bed)?;
        a_file(bed, &mut http)?;
        a_folder(bed, &mut http)?;
        many_blocks(bed, page)?;
        Ok::<_, Box<dyn std::error::Error>>(())
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
    accepted(&bed.dom0("echo again | push - --domain $(xl domid web) --name hello.txt")?)?;
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

/// Random blocks, the sender killed again and again: the guest's check over all of them is the host's.
fn many_blocks(bed: &Bed, page: SocketAddr) -> Outcome {
    // The guest closes connections that are silent for a minute: each look has its own.
    let before = Connection::open(page)?.status()?;
    let folder = std::env::temp_dir().join(format!("datafront-blocks-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let contents: Vec<Vec<u8>> =
        (0..BLOCKS).map(|n| random(n as u64 + 1, (n * n * 7919 + n * 31) % 4000)).collect();
    for (n, content) in contents.iter().enumerate() {
        std::fs::write(folder.join(format!("{n:05}")), content)?;
    }
    upload(bed, &folder, "/tmp/blocks")?;
    std::fs::remove_dir_all(&folder)?;
    let arguments = "/tmp/blocks --each --resume blocks --name b --domain web";
    let mut killed = 0;
    for round in 0..KILLS {
        // Killed in the middle of the transfer: once so many blocks of this attempt are acknowledged.
        let some = 20 + round * 7;
        let script = format!(
            "push {arguments} --json >/tmp/out & p=$!
             for i in $(seq 200); do [ $(grep -c accepted /tmp/out) -ge {some} ] && break; sleep 0.1; done
             kill -9 $p && echo killed; wait $p 2>/dev/null; true"
        );
        killed += usize::from(bed.dom0(&script)?.stdout.contains("killed"));
    }
    let middle = Connection::open(page)?.status()?;
    assert_eq!(killed, KILLS, "{middle}");
    let clients =
        number(&middle, "/datafront/channel/clients")? - number(&before, "/datafront/channel/clients")?;
    assert!(clients + 1 >= KILLS as u64, "each sender had come as far as the guest: {middle}");
    let output = push(bed, arguments)?;
    accepted(&output)?;
    let mut http = Connection::open(page)?;
    let after = http.status()?;
    println!("killed {killed} times; {}; datafront: {}", output.stderr.trim(), after["datafront"]);
    let accepted = |status| number(status, "/datafront/blocks/accepted");
    assert_eq!(accepted(&after)? - accepted(&before)?, BLOCKS as u64, "{after}");
    let start = number(&before, "/datafront/chain")? as u32;
    let expected =
        contents.iter().enumerate().fold(start, |sum, (n, content)| chain(sum, n as u64 + 1, content));
    assert_eq!(
        number(&after, "/datafront/chain")?,
        u64::from(expected),
        "every block once, in order, byte for byte"
    );
    for n in (0..BLOCKS).step_by(97) {
        assert_eq!(http.get(&format!("/b/{n:05}"))?.body, contents[n], "block {n}");
    }
    Ok(())
}
