//! The web appliance: pages, many connections, and no change of grants while packets flow.

use bed::{Bed, run_test};
use domu_tests::Outcome;
use domu_tests::capture::frames;
use domu_tests::dom0::{Client, ping};
use domu_tests::guest::Guest;
use domu_tests::http::{Connection, number};

use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn pages_are_served_over_a_kept_connection() {
    run_test("pages_are_served_over_a_kept_connection", |bed| -> Outcome {
        let guest = Guest::start(bed, "web", "host=mill")?;
        let mut kept = Connection::open(guest.tcp(80)?)?;
        let page = kept.get("/")?;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").unwrap_or_default().starts_with("text/html"), "{page:?}");
        assert!(page.text().contains("mill") && page.text().contains("</html>"), "{}", page.text());
        let health = kept.get("/healthz")?;
        assert_eq!((health.status, health.text().as_str()), (200, "ok\n"));
        let absent = kept.get("/no/such/page")?;
        assert_eq!(absent.status, 404, "{}", absent.text());
        let kilobyte = kept.get("/1k")?;
        assert_eq!((kilobyte.status, kilobyte.body.len()), (200, 1024));

        let status = kept.status()?;
        told(&status)?;
        built(&status)?;
        // All of this over one connection, which ends when the client asks for it.
        assert_eq!(number(&status, "/http/connections")?, 1, "{status}");
        kept.send(b"GET /healthz HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n")?;
        assert_eq!(kept.reply()?.status, 200);
        assert!(kept.closed()?);
        Ok(())
    });
}

/// What `readelf -n` shows of the image stands in `/status.json`: build id, commit, dependencies.
fn built(status: &Value) -> Outcome {
    let image = bed::repository().join("build/web.elf");
    let output = Command::new("readelf").arg("-nW").arg(&image).output()?;
    let notes = String::from_utf8_lossy(&output.stdout);
    let behind = |mark: &str| {
        let found = notes.lines().find_map(|line| Some(line.split_once(mark)?.1.trim().to_owned()));
        found.ok_or_else(|| format!("no {mark:?} in what readelf -n shows:\n{notes}"))
    };
    let package: Value = serde_json::from_str(&behind("Packaging Metadata: ")?)?;
    assert_eq!(status["build"]["id"], behind("Build ID: ")?);
    assert_eq!(status["build"]["commit"], package["commit"]);
    assert_eq!(status["build"]["dependencies"], package["dependencies"]);
    assert_eq!((&package["name"], &package["version"]), (&status["name"], &status["version"]));
    assert!(!status["build"]["commit"].as_str().unwrap_or_default().is_empty(), "{status}");
    let linked = |name: &str| package["dependencies"].to_string().contains(&format!("\"{name} "));
    assert!(linked("smoltcp") && linked("kernel") && !linked("syn"), "{package}");
    Ok(())
}

/// `/status.json` has what STATUS.md and the page promise, and every account balances.
fn told(status: &Value) -> Outcome {
    assert_eq!(status["name"], "web");
    assert_eq!(status["hostname"], "mill");
    assert_eq!(status["addresses"][0], "10.0.2.15/24");
    for pointer in [
        "/domid",
        "/uptime_ms",
        "/unix_ms",
        "/heap/used_bytes",
        "/heap/free_bytes",
        "/packets/received",
        "/packets/sent",
        "/bytes/received",
        "/bytes/sent",
        "/pool/free",
        "/pool/in_ring",
        "/grants/issued",
        "/notifications/received",
        "/notifications/sent",
        "/interfaces/0/mtu",
    ] {
        assert!(number(status, pointer)? > 0, "{pointer}: {status}");
    }
    for pointer in
        ["/pool/in_use", "/pool/quarantined", "/grants/ended", "/grants/quarantined", "/events/stray"]
    {
        number(status, pointer)?;
    }
    assert!(status["hypercalls"].is_object() && status["drops"].is_object(), "{status}");
    assert_eq!(status["interfaces"][0]["dhcp"]["state"], "bound");
    assert_eq!(status["interfaces"][0]["mismatch"], Value::Null, "the pages' account balances");
    Ok(())
}

const CONNECTIONS: usize = 50;
const REQUESTS_OF_EACH: usize = 20;

#[test]
fn thousand_requests_over_fifty_connections_are_answered() {
    run_test("thousand_requests_over_fifty_connections_are_answered", |bed| -> Outcome {
        let guest = Guest::start(bed, "web", "")?;
        let port = guest.tcp(80)?;
        let begun = Instant::now();
        let mut connections = Vec::new();
        let mut expected = None;
        for _ in 0..CONNECTIONS {
            // A reply before the next one is opened: QEMU's listening socket has room for one client, and the host
            // would try the others again after a second.
            let mut connection = Connection::open(port)?;
            expected = Some(connection.get("/1k")?.body);
            connections.push(connection);
        }
        for _ in 1..REQUESTS_OF_EACH {
            // All are on their way before the first is answered.
            connections.iter_mut().try_for_each(|connection| connection.ask("/1k"))?;
            for connection in &mut connections {
                let reply = connection.reply()?;
                assert_eq!((reply.status, Some(reply.body)), (200, expected.clone()));
            }
        }
        let took = begun.elapsed();
        eprintln!("  {CONNECTIONS} × {REQUESTS_OF_EACH} requests in {:.1} s", took.as_secs_f64());
        let status = connections[0].status()?;
        assert_eq!(number(&status, "/interfaces/0/sockets/connections")?, CONNECTIONS as u64);
        assert_eq!(number(&status, "/http/replies_2xx")?, (CONNECTIONS * REQUESTS_OF_EACH) as u64);
        assert_eq!(number(&status, "/http/replies_5xx")?, 0);
        Ok(())
    });
}

/// Packets of a segment each, and packets that dom0's stack has merged from up to forty.
const PACKETS: u64 = 100_000;
const MERGED: u64 = 4000;
/// Bytes that make a request four full segments: large packets, passed to the stack in their page, without a copy.
/// The client's acknowledgements are small ones, copied out of it.
const PADDING: usize = 5700;
/// Batches between two looks at the counters.
const BATCHES: u32 = 20;
/// A minute on an idle machine, many on a busy one.
const LIMIT: Duration = Duration::from_secs(900);

#[test]
fn grants_stand_still_over_a_hundred_thousand_packets() {
    run_test("grants_stand_still_over_a_hundred_thousand_packets", |bed| -> Outcome {
        let client = Client::new(bed)?;
        for (cmdline, packets) in [("vif.refuse=gso4,gso6", PACKETS), ("", MERGED)] {
            let guest = Guest::start(bed, "web", cmdline)?;
            stand_still(bed, &client, &guest, packets)?;
            guest.domain.destroy()?;
        }
        Ok(())
    });
}

fn stand_still(bed: &Bed, client: &Client<'_>, guest: &Guest<'_>, least: u64) -> Outcome {
    let (to, page) = ((guest.address, 80).into(), guest.tcp(80)?);
    let begun = Instant::now();
    let left = || LIMIT.saturating_sub(begun.elapsed());
    // The guest closes connections that are silent for a minute: each look has its own.
    let look = || Connection::open(page)?.status();
    client.request(to, 4, PADDING, left())?;
    let before = look()?;
    let mut after = before.clone();
    while flowed(&after)? - flowed(&before)? < least {
        client.request(to, BATCHES, PADDING, left())?;
        after = look()?;
    }
    // Frames below the threshold of 64 bytes come by pings: an acknowledgement with a timestamp has 66.
    let pings = u32::try_from(least / 50)?;
    ping(bed, pings, &format!("-i 0.002 -s 8 {}", guest.address))?;
    after = look()?;
    let packets = flowed(&after)? - flowed(&before)?;
    eprintln!("  {packets} packets in {:.1} s", begun.elapsed().as_secs_f64());
    for pointer in [
        "/grants/issued",
        "/grants/ended",
        "/grants/quarantined",
        "/pool/total",
        "/interfaces/0/rx_pool/total",
    ] {
        let (was, is) = (number(&before, pointer)?, number(&after, pointer)?);
        eprintln!("  {pointer}: {was} before, {is} after");
        assert_eq!(was, is, "{pointer} moved");
    }
    for pointer in ["/interfaces/0/rx/copied_packets", "/interfaces/0/rx/zero_copy_packets"] {
        let count = number(&after, pointer)? - number(&before, pointer)?;
        eprintln!("  {pointer}: {count}");
        assert!(count > least / 100, "{pointer}: {count}, too few to mean anything");
    }
    assert_eq!(after["interfaces"][0]["mismatch"], Value::Null);
    Ok(())
}

/// Packets in both directions.
fn flowed(status: &Value) -> Outcome<u64> {
    Ok(number(status, "/packets/received")? + number(status, "/packets/sent")?)
}

/// The guest's own capture has what came and what went while it lasted, and its own request is the first of it.
#[test]
fn a_capture_has_the_requests_and_replies_of_its_seconds() {
    run_test("a_capture_has_the_requests_and_replies_of_its_seconds", |bed| -> Outcome {
        let guest = Guest::start(bed, "web", "")?;
        let (page, own) = (guest.tcp(80)?, guest.tcp(9090)?);
        let capture = std::thread::spawn(move || -> Result<_, String> {
            let open = Connection::open(own).map_err(|error| error.to_string());
            open?.get("/debug/pcap?seconds=3&bytes=200").map_err(|error| error.to_string())
        });
        let (mut connection, mut requests) = (Connection::open(page)?, 0);
        while !capture.is_finished() {
            assert_eq!(connection.get("/1k")?.status, 200);
            requests += 1;
        }
        let file = capture.join().map_err(|_| "the capture panicked")??;
        assert_eq!((file.status, file.header("x-frames-missed")), (200, Some("0")));
        let has = |frame: &&[u8], text: &str| frame.windows(text.len()).any(|part| part == text.as_bytes());
        let count = |text: &str| frames(&file.body).filter(|frame| has(frame, text)).count();
        let (asked, answered) = (count("GET /1k"), count("HTTP/1.1 200 OK"));
        eprintln!("  {requests} requests; in the capture {asked}, and {answered} replies");
        assert!(asked > 0 && answered > 0 && asked <= requests && asked.abs_diff(answered) <= 2);
        assert!(frames(&file.body).all(|frame| frame.len() <= 200));
        let all = file.header("x-frames").and_then(|count| count.parse().ok());
        assert_eq!(Some(frames(&file.body).count()), all);
        Ok(())
    });
}
