//! One sender: errors, a file, a folder, ten thousand blocks; and where all of it is shown.

use super::accepted;
use crate::support::{self, LONG, chain, dom0, install_push, push, random, sum, upload};
use bed::Bed;
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome};
use std::net::SocketAddr;

/// Blocks of the long transfer; `DATAFRONT_BLOCKS=100000` makes it longer.
fn nr_blocks() -> usize {
    let asked = std::env::var("DATAFRONT_BLOCKS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(10_000)
}

/// Times that its sender is killed.
const KILLS: usize = 10;

#[test]
fn pushes_arrive_once_in_order_and_are_published() {
    support::run("datafront_push", |bed| {
        install_push(bed)?;
        let guest = Guest::create(bed, &config("web", "web", "ip=dhcp app.admin=path:/-/")?)?;
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

/// Errors have messages and exit codes.
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
    // A guest that does not run does not answer.
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
    assert_eq!(http.own("status")?.status, 200);
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
        // Killed in the middle of the transfer, after this many acknowledged blocks of this attempt. The pipe keeps
        // what is not read, and stops push, so that it cannot end before.
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

/// A client that does not speak datafront is reported; page, JSON and metrics show what arrived.
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
    let metrics = http.own("metrics")?.text();
    for (name, path) in [
        ("datafront_last_seq{channel=\"push\"}", "/datafront/channels/0/last_seq"),
        ("datafront_blocks_accepted_total{channel=\"push\"}", "/datafront/channels/0/blocks/accepted"),
        ("datafront_blocks_bytes_total{channel=\"push\"}", "/datafront/channels/0/blocks/bytes"),
        ("datafront_link_clients_total{channel=\"push\"}", "/datafront/channels/0/link/clients"),
        ("datafront_link_read_bytes_total{channel=\"push\"}", "/datafront/channels/0/link/read_bytes"),
        ("datafront_published_files", "/datafront/published/files"),
    ] {
        let line = format!("\nmillpond_{name} {}\n", number(&status, path)?);
        assert!(metrics.contains(&line), "{line}");
    }
    let shown = http.own("status")?.text();
    assert!(shown.contains("Pushed by dom0") && shown.contains("Last error: what was sent is no frame"));
    Ok(())
}
