//! `push --watch` over the ends of a guest: content that a restart takes is pushed again, content that a restore brings back
//! is not.

use crate::support::{self, LONG, dom0, install_push};
use bed::Bed;
use domu_tests::guest::{Guest, config};
use domu_tests::http::Connection;
use domu_tests::{BOOT, Outcome};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn watch_pushes_again_after_a_reboot_and_not_after_a_restore() {
    support::run("datafront_watch", |bed| {
        install_push(bed)?;
        let cmdline = "ip=dhcp app.admin=path:/-/ app.idle=600";
        let guest = Guest::create(bed, &config("web", "web", cmdline)?.memory_mib(16))?;
        guest.domain.wait_for("dom0 pushes at ", BOOT)?;
        let page = guest.tcp(80)?;
        dom0(bed, "mkdir /tmp/site && echo one >/tmp/site/a.txt && echo two >/tmp/site/b.txt")?;
        assert_eq!(content(bed)?, "0");
        // As a service would run it.
        dom0(
            bed,
            "(while :; do push /tmp/site --domain web --watch --json; sleep 1; done) </dev/null >/tmp/watch 2>&1 &",
        )?;
        wait_for("the first push", || Ok(content(bed)? == "2"))?;
        // What the guest says about its content, each time that it changes; the first line is the guest before.
        dom0(
            bed,
            "(last=; while :; do id=$(xl domid web 2>/dev/null)
                 now=\"$id $(xenstore-read /local/domain/$id/data/content 2>/dev/null)\"
                 [ \"$now\" = \"$last\" ] || echo \"$now\"; last=$now; sleep 0.05
             done) </dev/null >/tmp/content 2>/dev/null &",
        )?;
        let before = guest.domain.domid();
        dom0(bed, "xl reboot web")?;
        wait_for("the guest's second life", || Ok(domid(bed)?.is_some_and(|id| id != before)))?;
        wait_for("the second push", || {
            Ok(domid(bed)?.is_some_and(|id| id != before) && content(bed)? == "2")
        })?;
        let seen = dom0(bed, "cat /tmp/content")?;
        let now = domid(bed)?.ok_or("the guest is gone")?;
        assert!(seen.contains(&format!("{before} 2\n")) && seen.contains(&format!("{now} 0\n")), "{seen}");
        assert_eq!(Connection::open(page)?.get("/b.txt")?.text(), "two\n");
        // push says so after the guest has published.
        wait_for("the second result", || Ok(dom0(bed, "cat /tmp/watch")?.matches("finished").count() >= 2))?;
        let pushes = dom0(bed, "cat /tmp/watch")?.matches("finished").count();
        restored(bed, &guest, pushes)
    });
}

/// After a restore, push asks for the instance and finds the former one: it pushes nothing.
fn restored(bed: &Bed, guest: &Guest<'_>, pushes: usize) -> Outcome {
    let count = |what: &str| -> Outcome<usize> { Ok(dom0(bed, "cat /tmp/watch")?.matches(what).count()) };
    let asked = count("connected")?;
    let output = bed.dom0_within("xl save web /var/web && xl restore /var/web", LONG)?;
    assert!(output.success(), "{output:?}");
    wait_for("a question for the instance", || Ok(count("connected")? > asked))?;
    // A change is pushed once: it comes after whatever the restore has brought about.
    dom0(bed, "echo three >/tmp/site/c.txt")?;
    wait_for("the push of a change", || Ok(content(bed)? == "3"))?;
    wait_for("its end", || Ok(count("finished")? > pushes))?;
    assert_eq!(count("finished")?, pushes + 1, "{}", dom0(bed, "cat /tmp/watch")?);
    assert_eq!(Connection::open(guest.tcp(80)?)?.get("/c.txt")?.text(), "three\n");
    Ok(())
}

/// The number of published files, as the guest says it in xenstore; nothing while there is no guest.
fn content(bed: &Bed) -> Outcome<String> {
    let script = "xenstore-read /local/domain/$(xl domid web)/data/content";
    Ok(bed.dom0(script)?.stdout.trim().to_owned())
}

fn domid(bed: &Bed) -> Outcome<Option<u32>> {
    Ok(bed.dom0("xl domid web")?.stdout.trim().parse().ok())
}

fn wait_for(what: &str, is_so: impl Fn() -> Outcome<bool>) -> Outcome {
    let began = Instant::now();
    while !is_so()? {
        if began.elapsed() > LONG {
            return Err(format!("{what} does not come").into());
        }
        sleep(Duration::from_millis(200));
    }
    Ok(())
}
