//! The shell on the console: every command answers, and a flood of input or of log costs no traffic.

use crate::{SMALL_MIB, ask};
use bed::{Bed, run_test};
use domu_tests::guest::{Guest, config, insist, verdict};
use domu_tests::http::Connection;
use domu_tests::{Outcome, SOON};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the console is written to without an end.
const FLOOD: Duration = Duration::from_secs(6);

/// Endless lines from the other end of the console, and answers that nobody reads, cost no traffic.
fn flood_of_input(bed: &Bed, guest: &Guest<'_>, connection: &mut Connection) -> Outcome {
    let id = guest.domain.domid();
    let flood = format!(
        "pty=$(xenstore-read /local/domain/{id}/console/tty)
         (timeout {} sh -c 'while :; do echo log; echo status; echo -e \"\\033[2Jnonsense\"; done' > $pty; true) \
             > /dev/null 2>&1 &
         echo started",
        FLOOD.as_secs()
    );
    assert!(bed.dom0(&flood)?.stdout.contains("started"));
    let began = Instant::now();
    let mut replies = 0;
    while began.elapsed() < FLOOD {
        assert_eq!(connection.get("/healthz")?.status, 200, "reply {replies}");
        replies += 1;
        sleep(Duration::from_millis(50));
    }
    assert!(replies >= 10, "{replies} replies in {FLOOD:?}");
    guest.domain.send_line("")?;
    insist(&guest.domain, "grants", "quarantined 0")?;
    assert_eq!(connection.get("/healthz")?.status, 200);
    Ok(())
}

#[test]
fn shell_commands_answer_and_a_flood_of_input_costs_no_traffic() {
    run_test("shell_commands_answer_and_a_flood_of_input_costs_no_traffic", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("web", "talker", "log=debug")?.memory_mib(SMALL_MIB))?;
        let domain = &guest.domain;
        let mut connection = Connection::open(guest.tcp(80)?)?;
        assert_eq!(connection.get("/healthz")?.status, 200);
        for (command, answer) in [
            ("help", "poweroff  'poweroff now' powers the guest off"),
            ("status", "hypercalls: evtchn_send "),
            ("net", ", 10.0.2.15/24"),
            ("pool", "0 tx_pool: "),
            ("grants", "quarantined 0, free_entries "),
            ("conns", "sockets: connections 1, half_open 0, "),
            ("conns", ":80 <- 10.0.2.2:"),
            ("conns", " established, unread 0, unacknowledged 0, silent for "),
            ("tcp", "0 tcp: segments_in "),
            ("log", "DHCP lease "),
            ("crash", "to confirm, type: crash now"),
            ("poweroff", "to confirm, type: poweroff now"),
            ("sudo rm -rf /", "unknown command; help lists the commands"),
        ] {
            ask(domain, command, answer)?;
        }
        // Many at once: sixteen lines are kept, and answered one after the other.
        domain.send(b"help\n".repeat(200).as_slice())?;
        insist(domain, "status", "hypercalls: ")?;
        let answers = domain.console().matches("\n> help").count();
        assert!((2..60).contains(&answers), "{answers} of 201 were answered");
        assert_eq!(connection.get("/healthz")?.status, 200);
        flood_of_input(bed, &guest, &mut connection)?;
        domain.send_line("poweroff now")?;
        domain.wait_gone(SOON)?;
        assert_eq!(domain.shutdown_reason()?, Some(0));
        Ok(())
    });
}

#[test]
fn flood_of_log_lines_costs_no_traffic() {
    run_test("flood_of_log_lines_costs_no_traffic", |bed| -> Outcome {
        let echo = Guest::create(bed, &config("echo", "echo", "")?.memory_mib(SMALL_MIB))?;
        let line = format!("app.do=chatter app.peer={}:7 app.bytes=262144", echo.address);
        let probe = bed.create(&config("probe", "chatter", &line)?.memory_mib(SMALL_MIB))?;
        // Every byte comes back, while more is logged than the console can take.
        verdict(&probe)?;
        let lost = probe.console().lines().filter(|line| line.contains(" lines lost]")).count();
        assert!(lost > 0, "nothing was lost of what nobody could read in time: no flood");
        Ok(())
    });
}
