//! The twenty commands of `docs/operating.md`, in its order, one check each. Commands that take long have separate
//! files, which the table there names.

use crate::traffic::SILENCE;
use crate::waiting::pause;
use crate::{SMALL_MIB, ask, node, xl};
use bed::{Bed, DomainState, Value, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::http::Connection;
use domu_tests::{BOOT, Outcome, SOON};
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Runs a command that is no business of the guest's, and looks whether its service notices.
fn undisturbed(bed: &Bed, connection: &mut Connection, command: &str, answer: &str) -> Outcome {
    let out = xl(bed, command)?;
    let status = connection.own("healthz")?.status;
    if out.contains(answer) && status == 200 {
        return Ok(());
    }
    Err(format!("xl {command}: {out:?} without {answer:?}, or {status} afterwards").into())
}

/// `xl dump-core` writes the memory first, within seconds. Then it looks at a million frames that there are not; under
/// emulation that takes minutes, which the suite does not wait for.
fn dump_core(bed: &Bed, guest: &Guest<'_>, whole: bool) -> Outcome {
    // To its end: some minutes on an idle machine, thirteen on a busy one.
    let limit = Duration::from_secs(if whole { 1800 } else { 300 });
    let bytes = u64::from(SMALL_MIB) << 20;
    let wait = if whole { "wait $!".to_owned() } else { "kill $!; wait $!; true".to_owned() };
    let script = format!(
        "xl dump-core twenty /var/core & for i in $(seq 600); do
             [ \"$(stat -c %s /var/core 2>/dev/null || echo 0)\" -ge {bytes} ] && break; sleep 0.2
         done; {wait}; head -c 4 /var/core | tail -c 3; grep -c 'memory: .* KiB executable' /var/core; rm /var/core"
    );
    let output = bed.dom0_within(&script, limit)?;
    let text = output.stdout.trim();
    // An ELF file with the guest's log in it.
    assert!(text.starts_with("ELF") && !text.ends_with('0'), "{output:?}");
    // A connection from before may have been silent for too long.
    assert_eq!(Connection::open(guest.tcp(80)?)?.own("healthz")?.status, 200, "after dump-core");
    Ok(())
}

/// `xl top` needs a terminal: it gets a description of one, and a `q` after its first screen.
fn top(bed: &Bed) -> Outcome {
    let output = bed.dom0(&format!(
        "({}; echo q) | TERM=vt100 timeout 20 xl top | tee /var/top",
        seen("twenty", "top")
    ))?;
    // Names and numbers stand apart; the cursor moves in between.
    assert!(output.stdout.contains("xentop - ") && output.stdout.contains("twenty"), "{output:?}");
    Ok(())
}

/// `xl console` prints first what the guest wrote since the last look, then the answer. It does not read what is
/// typed here, because standard input is not a terminal.
fn console(bed: &Bed, domid: u32) -> Outcome {
    let (listens, answers) = (seen("listening on ", "console"), seen("quarantined 0", "console"));
    let script = format!(
        "xl console twenty >/var/console 2>&1 </dev/null & p=$!; {listens}
         echo grants > $(xenstore-read /local/domain/{domid}/console/tty); {answers}
         kill $p; wait $p; cat /var/console"
    );
    let output = bed.dom0(&script)?;
    assert!(output.stdout.contains("listening on ") && output.stdout.contains("quarantined 0"), "{output:?}");
    Ok(())
}

/// A piece of a script that waits until a file in dom0's `/var` has these words in it, ten seconds at most.
fn seen(words: &str, file: &str) -> String {
    format!("for i in $(seq 100); do grep -q '{words}' /var/{file} && break; sleep 0.1; done 2>/dev/null")
}

fn looked_at(bed: &Bed, guest: &Guest<'_>) -> Outcome {
    let id = guest.domain.domid();
    let mut connection = Connection::open(guest.tcp(80)?)?;
    let connection = &mut connection;
    let domname = format!("domname {id}");
    for (command, answer) in [
        ("list", "twenty"),
        ("list -l twenty", "\"name\": \"twenty\""),
        ("rename twenty renamed", ""),
        (&domname, "renamed"),
        ("rename renamed twenty", ""),
        ("vcpu-list twenty", "twenty"),
        ("debug-keys q", ""),
        ("trigger twenty power", ""),
        ("trigger twenty sleep", ""),
        ("domid twenty", &id.to_string()),
        ("uptime twenty", "twenty"),
        ("network-list twenty", "/local/domain/0/backend/vif/"),
        ("dmesg", "(XEN)"),
        ("vcpu-pin twenty 0 all", ""),
        ("sched-credit2 -d twenty -w 512", ""),
    ] {
        undisturbed(bed, connection, command, answer)?;
    }
    top(bed)?;
    console(bed, id)?;
    dump_core(bed, guest, false)
}

/// A request is acknowledged by an empty value, at once and before it is followed.
fn acknowledged(bed: &Bed, guest: &Guest<'_>) -> Outcome {
    let id = guest.domain.domid();
    let path = format!("/local/domain/{id}/control/shutdown");
    for nonsense in ["dance", "s3", "poweroff now"] {
        bed.xenstore_write(&path, nonsense)?;
        node(bed, id, "control/shutdown", str::is_empty, SOON)?;
    }
    guest.domain.wait_for_next("\"poweroff now\", which is unknown", SOON)?;
    // A guest that has ended writes nothing: this line was written before.
    xl(bed, &format!("reboot {id}"))?;
    let ended = guest.domain.wait_ended(BOOT)?;
    assert_eq!((ended.state, ended.reason), (DomainState::Shutdown, Some(1)));
    assert_eq!(bed.xenstore_read(&path)?, "");
    Ok(())
}

#[test]
fn twenty_commands_do_what_the_table_says() {
    run_test("twenty_commands_do_what_the_table_says", |bed| -> Outcome {
        let config = config("web", "twenty", SILENCE)?.memory_mib(SMALL_MIB);
        let guest = Guest::create(bed, &config.clone().set("on_reboot", Value::Text("preserve".into())))?;
        looked_at(bed, &guest)?;

        // sysrq: s prints the status, others are explained.
        xl(bed, "sysrq twenty s")?;
        guest.domain.wait_for_next("control/sysrq: s", SOON)?;
        guest.domain.wait_for_next("hypercalls: ", SOON)?;
        xl(bed, "sysrq twenty h")?;
        guest.domain.wait_for_next("s prints the status, b reboots, o powers off", SOON)?;

        // pause and unpause.
        xl(bed, "pause twenty")?;
        assert_eq!(guest.domain.state()?.state, DomainState::Paused);
        xl(bed, "unpause twenty")?;
        ask(&guest.domain, "grants", "quarantined 0")?;

        // reboot: acknowledged, then the reason in xl list; the toolstack would start it again.
        acknowledged(bed, &guest)?;
        xl(bed, "destroy twenty")?;
        guest.domain.wait_gone(SOON)?;
        drop(guest);

        // trigger nmi: reported as a crash.
        let guest = Guest::create(bed, &config.clone().set("on_crash", Value::Text("preserve".into())))?;
        xl(bed, "trigger twenty nmi")?;
        guest.domain.wait_for("reason: non-maskable interrupt", SOON)?;
        let ended = guest.domain.wait_ended(SOON)?;
        assert_eq!((ended.state, ended.reason), (DomainState::Crashed, Some(3)));
        xl(bed, "destroy twenty")?;
        drop(guest);

        // shutdown.
        let guest = Guest::create(bed, &config)?;
        xl(bed, "shutdown -w twenty")?;
        guest.domain.wait_gone(SOON)?;
        assert_eq!(guest.domain.shutdown_reason()?, Some(0));
        Ok(())
    });
}

#[test]
#[ignore = "takes minutes: make test-life-long"]
fn core_is_dumped_to_its_end() {
    run_test("core_is_dumped_to_its_end", |bed| -> Outcome {
        let guest = Guest::create(bed, &config("web", "twenty", "")?.memory_mib(SMALL_MIB))?;
        dump_core(bed, &guest, true)
    });
}

/// Whether the guest answers a new connection within a second.
fn healthy(to: SocketAddr) -> Outcome {
    let mut connection = Connection::open(to)?;
    connection.timeout(Duration::from_secs(1))?;
    assert_eq!(connection.own("healthz")?.status, 200);
    Ok(())
}

#[test]
fn vif_that_is_detached_and_attached_works_again() {
    run_test("vif_that_is_detached_and_attached_works_again", |bed| -> Outcome {
        // A static address: no lease to wait for.
        let domain =
            bed.create(&config("web", "plug", "ip=10.0.2.77/24 gw=10.0.2.2")?.memory_mib(SMALL_MIB))?;
        domain.wait_for("listening on http://10.0.2.77:80/", BOOT)?;
        let to = bed.forward_tcp("10.0.2.77".parse()?, 80)?;
        assert_eq!(Connection::open(to)?.own("healthz")?.status, 200);
        let seen = domain.console().len();
        xl(bed, "network-detach plug 0")?;
        domain.wait_for_next("is closing", SOON)?;
        pause(&domain, "the vif is detached", 20)?;
        let console = domain.console();
        let news = console.get(seen..).unwrap_or_default();
        assert!(!news.contains("] WARN") && !news.contains("] ERROR"), "the operator wanted it: {news}");
        xl(bed, "network-attach plug bridge=xenbr0")?;
        domain.wait_for_next("vif/0: connected", SOON)?;
        // The new vif has another MAC address. QEMU's network learns it at the latest from the second announcement, two
        // seconds after the first, which is lost if the bridge does not know the port yet. Frames to the old address
        // are lost until then.
        let began = Instant::now();
        while let Err(error) = healthy(to) {
            assert!(began.elapsed() < SOON, "with the new vif: {error}");
            sleep(Duration::from_millis(100));
        }
        Ok(())
    });
}
