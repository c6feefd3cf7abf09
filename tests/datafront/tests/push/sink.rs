//! Into a guest that drops what it has checked: blocks of any length, one at a time, with an inherited connection, over

use super::accepted;
use crate::support::{self, LONG, chain, dom0, install_push, number_after, random, sum};
use bed::{Bed, Domain};
use domu_tests::guest::config;
use domu_tests::{BOOT, Outcome};
use std::time::{Duration, Instant};

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

/// The capacity of the sink's larger ring.
const RING_BYTES: u64 = 256 << 10;

fn sink(bed: &Bed, name: &str) -> Outcome<Domain> {
    let domain = bed.create(&config("probe", name, "app.do=sink")?.memory_mib(16))?;
    domain.wait_for("sink: at ", BOOT)?;
    Ok(domain)
}

/// A block far larger than the guest goes through it; a sender that comes while its predecessor's connection is still
/// there; and a transfer goes on over save and restore.
#[test]
fn a_guest_of_16_mib_takes_any_length_over_a_restore() {
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

/// A transfer continues in a guest that is suspended and resumed in its domain: as after a failed save (its hypercall
/// says so), as in a new domain (an older kernel's way), and by a checkpoint. Unlike after a restore, the sender
/// still has the old pages mapped.
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
            &["/var/resume $id resume", "/var/resume $id cancel", "xl save -c stays /tmp/saved"],
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

/// Each block is acknowledged before the next, on one processor: the sender yields and looks again before it asks
/// for an event, so most blocks need none.
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
/// can notice: it finds the dead one's page and port, and its HELLO is read as bytes of the block.
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

/// Parts of a stream, with an action on the guest, whose domid is `$id`, after some more are accepted: every part
/// arrives once, in order. However slow the host is, only some more parts have arrived before each action has ended.
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
    // No page that the sender had mapped when a channel was opened again is lost, and none is kept in excess.
    let (pages, mapped) = (number_after(&line, "pages")?, number_after(&line, "mapped")?);
    assert!(pages - mapped <= RING_BYTES / 4096 + 2 && mapped <= 1, "{line}");
    let check = sum(&blob);
    let expected = (1..=PARTS).fold(0, |before, seq| chain(before, seq, check));
    assert_eq!(number_after(&line, "chain")?, u64::from(expected), "every block once, in order: {line}");
    Ok(())
}
