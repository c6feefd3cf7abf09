//! The control ring: pages that stay mapped, and H76 to H78, answers that make no sense.

use crate::rig::End::Works;
use crate::rig::VifKind::Plain;
use crate::rig::{Rig, case, same};
use domu_tests::Outcome;
use domu_tests::http::number;
use std::time::{Duration, Instant};

/// The features of a backend with a control ring.
const OFFER: &str = "feature-ctrl-ring=1";
/// Longer than the guest waits for an answer.
const SETTLED: Duration = Duration::from_secs(20);

/// Pages that the backend keeps mapped, frames that needed a grant operation, frames that needed none, and requests.
fn counts(rig: &mut Rig) -> Outcome<[u64; 4]> {
    let answer = rig.order("ctrl counts")?;
    let numbers = answer.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    Ok(numbers.try_into().map_err(|_| "four numbers")?)
}

/// A number of the guest's interface.
fn of_vif(rig: &mut Rig, pointer: &str) -> Outcome<u64> {
    number(&rig.status()?, &format!("/interfaces/0/{pointer}"))
}

/// Pages of both pools.
fn pages(rig: &mut Rig) -> Outcome<u64> {
    Ok(of_vif(rig, "rx_pool/total")? + of_vif(rig, "tx_pool/total")?)
}

/// Waits until a number of the guest's interface is that.
fn until(rig: &mut Rig, pointer: &str, wanted: u64) -> Outcome {
    let begun = Instant::now();
    loop {
        let found = of_vif(rig, pointer)?;
        if found == wanted {
            return Ok(());
        }
        if begun.elapsed() > SETTLED {
            return Err(format!("{pointer} is {found}, not {wanted}").into());
        }
        rig.order("wait 200")?;
    }
}

/// Frames both ways, of all sizes: how many needed a grant operation, and how many none.
fn frames(rig: &mut Rig) -> Outcome<(u64, u64)> {
    let [_, copies, uses, _] = counts(rig)?;
    rig.orders(&["ping 10", "ping 10 1400", "provoke 40 700", "replies 40"])?;
    let [_, copies_then, uses_then, _] = counts(rig)?;
    Ok((copies_then - copies, uses_then - uses))
}

#[test]
fn pages_that_stay_mapped_spare_every_grant_operation() {
    case("pages_that_stay_mapped_spare_every_grant_operation", Works, |rig| {
        let (copies, uses) = frames(rig)?;
        eprintln!("  without a control ring: {copies} frames by a grant operation, {uses} over mapped pages");
        same("frames over mapped pages that there are not", uses, 0)?;
        assert!(copies >= 120, "{copies}");

        rig.reconnect(OFFER)?;
        let all = pages(rig)?;
        until(rig, "mapped_pages", all)?;
        same("pages that the backend has mapped", counts(rig)?[0], all)?;
        let (copies, uses) = frames(rig)?;
        eprintln!(
            "  with {all} pages mapped: {copies} frames by a grant operation, {uses} over mapped pages"
        );
        same("grant operations", copies, 0)?;
        assert!(uses >= 120, "{uses}");

        // Room for some, and a backend that knows nothing of it.
        for (size, mapped) in [("40", 40), ("0", 0), ("none", 0)] {
            rig.order(&format!("ctrl size {size}"))?;
            rig.reconnect(OFFER)?;
            until(rig, "mapped_pages", mapped)?;
            same("pages that the backend has mapped", counts(rig)?[0], mapped)?;
            assert!(frames(rig)?.0 > 0);
        }
        rig.order("ctrl honest")?;
        rig.reconnect("")
    });
}

#[test]
fn pages_do_not_stay_mapped_where_the_operator_refuses() {
    case("pages_do_not_stay_mapped_where_the_operator_refuses", Works, |rig| {
        rig.replace(|config| config.cmdline(&format!("{},gref", Plain.cmdline())))?;
        rig.reconnect(OFFER)?;
        same("pages", of_vif(rig, "mapped_pages")?, 0)?;
        let (copies, uses) = frames(rig)?;
        same("frames over mapped pages", uses, 0)?;
        assert!(copies >= 120, "{copies}");
        rig.reconnect("")?;
        rig.replace(|config| config)
    });
}

#[test]
fn h76_answers_on_the_control_ring_that_make_no_sense() {
    case("h76_answers_on_the_control_ring_that_make_no_sense", Works, |rig| {
        for (fault, kind) in [
            ("id 1", "ctrl_id"),
            ("type 1", "ctrl_type"),
            ("status 4", "ctrl_status"),
            ("index 200", "ctrl_ring"),
            ("index 4294967287", "ctrl_ring"),
        ] {
            rig.orders(&[&format!("ctrl {fault}"), "close", &format!("open {OFFER}"), "ping 3"])?;
            until(
                rig,
                &format!("misbehaviour/{kind}"),
                rig.before(&format!("/interfaces/0/misbehaviour/{kind}"))? + 1,
            )?;
            let [mapped, .., asked] = counts(rig)?;
            same("pages mapped", mapped, 0)?;
            rig.orders(&["wait 2500", "ping 3"])?;
            same("requests, once it was caught", counts(rig)?[3], asked)?;
            let status = rig.status()?;
            let others: u64 =
                rig.counted(&status)?.iter().filter(|(name, _)| name != kind).map(|(_, count)| count).sum();
            same("other kinds of misbehaviour", others, 0)?;
            same(
                "times that the vif broke",
                of_vif(rig, "device/breaks")?,
                rig.before("/interfaces/0/device/breaks")?,
            )?;
            rig.order("ctrl honest")?;
            rig.reconnect("")?;
            rig.forgive()?;
        }
        // One that never answers, and one that falls silent in the middle.
        for fault in ["ctrl silent", "ctrl only 9"] {
            let silent = of_vif(rig, "device/ctrl_silent")?;
            rig.orders(&[fault, "ctrl silent", "close", &format!("open {OFFER}"), "ping 3"])?;
            until(rig, "device/ctrl_silent", silent + 1)?;
            rig.orders(&["ping 3", "ctrl honest"])?;
        }
        rig.reconnect("")
    });
}

#[test]
fn h77_any_number_as_an_answer_on_the_control_ring() {
    case("h77_any_number_as_an_answer_on_the_control_ring", Works, |rig| {
        for data in [0, 1, 3, 511, 0x8000_0000, u32::MAX] {
            rig.orders(&[
                &format!("ctrl data {data}"),
                "close",
                &format!("open {OFFER}"),
                "wait 500",
                "ping 3",
            ])?;
            let mapped = of_vif(rig, "mapped_pages")?;
            assert!(mapped <= u64::from(data) && mapped <= pages(rig)?, "{mapped} of {data}");
        }
        rig.order("ctrl honest")?;
        rig.reconnect("")
    });
}

#[test]
fn h78_hashes_that_lie() {
    case("h78_hashes_that_lie", Works, |rig| {
        rig.replace(|config| config.cmdline(&format!("{} vif.queues=2", Plain.cmdline())))?;
        rig.order("ctrl hashes")?;
        rig.reconnect(&format!("{OFFER} multi-queue-max-queues=2"))?;
        until(rig, "device/ctrl_silent", 0)?;
        rig.order("wait 1000")?;
        rig.forgive()?;
        let hashed = of_vif(rig, "rx/hashed")?;
        // Toeplitz over IPv4 addresses, as was agreed, and any number for a hash: the frames arrive.
        rig.orders(&["provoke 0", "rx 0:98:x e:4:0:000112345678*1", "replies 1"])?;
        rig.orders(&["provoke 0", "rx 0:98:x e:4:0:000100000000*1 0:98:x e:4:0:0001ffffffff", "replies 2"])?;
        same("frames with a hash", of_vif(rig, "rx/hashed")? - hashed, 3)?;
        assert!(of_vif(rig, "rx/hash_mismatch")? + of_vif(rig, "rx/hash_wrong_queue")? > 0);
        // No algorithm, an unknown algorithm, an unknown type.
        for (extra, kind) in
            [("000012345678", "rx_extra_unasked"), ("000212345678", "rx_extra"), ("070112345678", "rx_extra")]
        {
            rig.orders(&[&format!("rx 0:98:x e:4:0:{extra}"), "ping 2"])?;
            let status = rig.status()?;
            for (name, count) in rig.counted(&status)? {
                same(&name, count, u64::from(name == kind))?;
            }
            rig.forgive()?;
        }
        rig.order("ctrl honest")?;
        rig.reconnect("")?;
        rig.replace(|config| config)
    });
}
