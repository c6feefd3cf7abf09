//! `receive` in a Linux guest, `push` in dom0: both are killed again and again, and each block is there once.
//!
//! ```text
//!   dom0: push --each --resume ══ vchan ══► Linux: receive --dir /in      killed after some blocks, started again
//!           killed when it notices                    /in/0001 …          at last: how many, which, and their check
//! ```

mod support;

use bed::device_model::Card;
use bed::linux_domu::Linux;
use bed::{Bed, Domain, Options};
use domu_tests::{BOOT, Outcome};
use std::time::Instant;
use support::{LONG, dom0, install_push, number_after, random, upload};

/// A run of the test.
struct Plan {
    blocks: usize,
    bytes: usize,
    kills: usize,
    restore: bool,
    /// An HVM guest with netfront, in place of a PVH guest.
    hvm: bool,
}

#[test]
fn a_linux_guest_has_each_block_once() {
    support::run("datafront_receive", |bed| {
        transfer(bed, &Plan { blocks: 100, bytes: 40_000, kills: 3, restore: false, hvm: false })
    });
}

#[test]
#[ignore = "takes a dom0 with a device model: make test-hvm"]
fn an_hvm_linux_guest_has_each_block_once() {
    support::run_with("datafront_receive_hvm", Options::default().device_model(), |bed| {
        transfer(bed, &Plan { blocks: 400, bytes: 40_000, kills: 3, restore: true, hvm: true })
    });
}

#[test]
#[ignore = "takes long: make test-receive-long"]
fn ten_thousand_blocks_over_kills_and_a_restore() {
    // dom0 has 10,000 files, a page each, and the saved guest in its memory.
    let options = Options::default().dom0_memory_mib(1024);
    support::run_with("datafront_receive_long", options, |bed| {
        transfer(bed, &Plan { blocks: nr_blocks(), bytes: 2000, kills: 10, restore: true, hvm: false })
    });
}

/// Blocks of the long transfer; `DATAFRONT_BLOCKS=1000` makes it shorter.
fn nr_blocks() -> usize {
    let asked = std::env::var("DATAFRONT_BLOCKS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(10_000)
}

/// Linux with `receive`, and a script that kills it at these numbers of blocks: it looks without a pause and without a
/// process of its own, so that a few blocks more are there at most, however quick the machine is.
fn linux(bed: &Bed, kills: &[usize], plan: &Plan) -> Outcome<Domain> {
    let program = std::fs::read(bed::repository().join("build/receive"))
        .map_err(|error| format!("build/receive: {error}; make receive"))?;
    let list: Vec<String> = kills.iter().map(ToString::to_string).collect();
    let script = format!(
        // A block has three inodes, of which the root has as many as pages in half of the memory.
        "for m in xen_evtchn xen_gntalloc; do insmod /root/$m.ko; done
        mkdir /in; mount -t tmpfs -o size=75%,nr_inodes=0 in /in
        (while true; do receive --dir /in --keep 3; code=$?; echo \"linux: receive ended with $code\"
            [ $code = 137 ] || dmesg | tail -n 5 | sed 's/^/linux: kernel: /'; sleep 1; done) &
        while ! pidof receive >/dev/null; do sleep 0.1; done
        echo 'linux: receiving'
        for n in {}; do
            while ! p=$(pidof receive); do sleep 0.1; done
            while set -- /in/*; [ $# -lt $n ]; do :; done
            kill -9 $p && echo \"linux: killed at $(ls /in | wc -l)\"
        done
        while [ ! -e /in/end ]; do sleep 0.2; done
        find /in/.receive/versions -type f | grep -v /end/ |
            sed 's#.*/0*\\([0-9]*\\)/[0-9]*-[0-9a-f]*-\\([0-9]*\\)$#\\1 \\2#' >/tmp/list
        broken=$(awk '$1 != $2' /tmp/list | wc -l)
        rm /in/end
        echo \"linux: names $(ls /in | wc -l) versions $(wc -l </tmp/list) broken $broken sum $(cat /in/* | md5sum)\"
        while true; do sleep 1000; done",
        list.join(" ")
    );
    let mut guest =
        Linux::new("linux").address("10.0.2.33").script(&script).file("bin/receive", 0o755, program);
    if plan.hvm {
        guest = guest.hvm(Card::Netfront);
    }
    for module in ["xen_evtchn", "xen_gntalloc"] {
        let bytes = bed.get_file(&format!("/usr/lib/modules/{module}.ko"))?;
        guest = guest.file(&format!("root/{module}.ko"), 0o644, bytes);
    }
    let memory = if plan.blocks > 1000 { 256 } else { 192 };
    let domain = bed.create(&guest.config(bed)?.memory_mib(memory))?;
    // Firmware reads kernel and ramdisk through a port of the device model.
    domain.wait_for("linux: receiving", if plan.hvm { LONG } else { BOOT })?;
    Ok(domain)
}

/// Blocks of any length, as files in dom0 whose names are their numbers.
fn prepare(bed: &Bed, plan: &Plan) -> Outcome {
    let folder = std::env::temp_dir().join(format!("receive-blocks-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    for n in 1..=plan.blocks {
        let content = random(n as u64, (n * n * 7919 + n * 31) % plan.bytes);
        std::fs::write(folder.join(format!("{n:05}")), content)?;
    }
    upload(bed, &folder, "/tmp/blocks")?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn transfer(bed: &Bed, plan: &Plan) -> Outcome {
    install_push(bed)?;
    prepare(bed, plan)?;
    let kills: Vec<usize> = (1..=plan.kills).map(|nth| nth * plan.blocks / (plan.kills + 1)).collect();
    let _linux = linux(bed, &kills, plan)?;
    let began = Instant::now();
    let push = "push /tmp/blocks --each --resume blocks --domain linux --timeout 240s --json";
    // The guest's side dies in the middle for certain; the sender is killed when it has noticed, or before.
    for round in 0..plan.kills {
        let early = if round % 2 == 0 { plan.blocks / 20 } else { plan.blocks };
        let script = format!(
            "{push} >/tmp/out 2>&1 & p=$!
             for i in $(seq 12000); do
                 grep -q interrupted /tmp/out && break
                 [ $(grep -c '\"accepted\":true' /tmp/out) -ge {early} ] && break
                 sleep 0.05
             done
             kill -9 $p && echo killed; wait $p 2>/dev/null; grep -c '\"accepted\":true' /tmp/out; true"
        );
        let said = dom0(bed, &script)?;
        println!("sender: {}", said.trim().replace('\n', " after "));
        assert!(said.contains("killed"), "{said}");
    }
    let restore =
        if plan.restore { "xl save linux /run/saved && xl restore /run/saved || exit 1" } else { "" };
    let said = dom0(
        bed,
        &format!(
            "({push} >/tmp/out 2>&1; echo code $? >>/tmp/out) & {restore}
             wait; tail -n 2 /tmp/out; echo interrupted $(grep -c interrupted /tmp/out) times"
        ),
    )?;
    println!("{}", said.trim());
    assert!(said.contains("code 0"), "{said}");
    assert!(!plan.restore || !said.contains("interrupted 0 times"), "the restore was in the middle: {said}");
    dom0(bed, "echo x >/tmp/end; push /tmp/end --domain linux --timeout 240s")?;
    println!("{} blocks in {:?}", plan.blocks, began.elapsed());
    check(bed, plan)
}

/// What the guest has, by its last line.
fn check(bed: &Bed, plan: &Plan) -> Outcome {
    let script = "log=/var/log/xen/console/guest-linux.log
        for i in $(seq 3000); do grep -q 'linux: names' $log && break; sleep 0.1; done
        grep 'linux: ' $log; cat /tmp/blocks/* | md5sum";
    let said = dom0(bed, script)?;
    println!("{}", said.trim());
    assert_eq!(said.matches("linux: killed at ").count(), plan.kills, "{said}");
    // After a restore libxenvchan ends it now and then, see docs/receive.md.
    let by_kills = said.matches("ended with ").count() == said.matches("ended with 137").count();
    assert!(by_kills || plan.restore, "by kills alone: {said}");
    let line = said.lines().find(|line| line.contains("linux: names")).ok_or("no last line")?;
    let blocks = plan.blocks as u64;
    assert_eq!(number_after(line, "names")?, blocks, "{line}");
    assert_eq!(number_after(line, "versions")?, blocks, "each once: {line}");
    assert_eq!(number_after(line, "broken")?, 0, "in order: {line}");
    let sum = said.lines().last().and_then(|line| line.split_whitespace().next()).unwrap_or_default();
    assert!(sum.len() == 32 && line.contains(sum), "byte for byte: {line}, in dom0 {sum}");
    Ok(())
}
