//! Long silence: a guest that is paused, and a wall clock that jumps.

use crate::{SMALL_MIB, ask, xl};
use bed::{Bed, DomainState, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{Outcome, SOON};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Sends bytes to the echo service, and reads them back.
fn echo(stream: &mut TcpStream, bytes: &[u8]) -> Outcome {
    stream.write_all(bytes)?;
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer)?;
    if answer == bytes { Ok(()) } else { Err(format!("{bytes:?} came back as {answer:?}").into()) }
}

fn pause(bed: &Bed, silence: Duration) -> Outcome {
    let guest = Guest::create(bed, &config("echo", "paused", "")?.memory_mib(SMALL_MIB))?;
    let mut stream = TcpStream::connect(guest.tcp(7)?)?;
    stream.set_read_timeout(Some(silence + SOON))?;
    echo(&mut stream, b"before")?;
    xl(bed, "pause paused")?;
    assert_eq!(guest.domain.state()?.state, DomainState::Paused);
    stream.write_all(b"meanwhile")?;
    sleep(silence);
    xl(bed, "unpause paused")?;
    let mut answer = [0; 9];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"meanwhile");
    echo(&mut stream, b"after")?;
    ask(&guest.domain, "grants", "quarantined 0")?;
    Ok(())
}

#[test]
#[ignore = "takes more than a minute: make test-life-long"]
fn a_minute_s_pause_costs_no_connection() {
    run_test("a_minute_s_pause_costs_no_connection", |bed| pause(bed, Duration::from_secs(60)));
}

/// Seconds since 1970 as dom0 has them.
fn dom0_seconds(bed: &Bed) -> Outcome<i64> {
    Ok(bed.dom0("date +%s")?.stdout.trim().parse()?)
}

#[test]
fn pause_and_a_wall_clock_that_jumps_cost_no_connection() {
    run_test("pause_and_a_wall_clock_that_jumps_cost_no_connection", |bed| -> Outcome {
        pause(bed, Duration::from_secs(5))?;
        let guest = Guest::create(bed, &config("web", "timed", "")?.memory_mib(SMALL_MIB))?;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        let mut last = number(&connection.status()?, "/uptime_ms")?;
        let real = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        // An hour on, an hour back from where it was, and right again.
        for offset in [3600, -3600, 0] {
            bed.dom0(&format!("date -s @{}", real + offset))?;
            let began = Instant::now();
            let (status, seconds) = loop {
                let status = connection.status()?;
                let seconds = i64::try_from(number(&status, "/unix_ms")? / 1000)?;
                if (seconds - dom0_seconds(bed)?).abs() <= 2 {
                    break (status, seconds);
                }
                if began.elapsed() > SOON {
                    return Err(format!("{offset}: the guest says {seconds} s, real is {real} s").into());
                }
                sleep(Duration::from_millis(500));
            };
            assert!((seconds - real - offset).abs() < 300, "{seconds} s is {offset} s from {real} s");
            // Time that passes is another matter: it neither jumps nor goes back.
            let now = number(&status, "/uptime_ms")?;
            assert!(now > last && now - last < 120_000, "{last} ms, then {now} ms");
            last = now;
        }
        assert_eq!(connection.get("/healthz")?.status, 200);
        Ok(())
    });
}
