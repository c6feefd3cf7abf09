//! Grants: H39 to H45. The backend maps the pages by Xen.

use crate::cases;
use crate::rig::End::Works;
use crate::rig::{Rig, VifKind, case, same};
use crate::xenbus::{come_back, move_away};
use bed::Value;
use domu_tests::Outcome;
use domu_tests::http::number;

cases! {
    h42_a_page_to_send_from_cannot_be_written: Works, ["write-tx"];
    h44_no_page_shows_a_byte_that_was_not_sent: Works, [
        "ping 3 1", "ping 3 100", "ping 3 213", "ping 3 214", "ping 3 1472", "provoke 100 700", "replies 100",
        "get /", "get /metrics",
    ];
}

#[test]
fn h39_h40_pages_that_the_backend_keeps_are_not_used() {
    case("h39_h40_pages_that_the_backend_keeps_are_not_used", Works, |rig| {
        // One page that the guest sent from and has back, one that it has posted.
        rig.orders(&["ping 1", "keep tx", "keep rx", "ping 5"])?;
        // Another driver domain: every grant for the old one has to end, and two cannot.
        move_away(rig)?;
        come_back(rig)?;
        rig.lost += 2;
        let held = |rig: &mut Rig| -> Outcome<u64> {
            let status = rig.status()?;
            let pool = |pool: &str| number(&status, &format!("/interfaces/0/{pool}/quarantined"));
            Ok(pool("rx_pool")? + pool("tx_pool")?)
        };
        same("pages in quarantine", held(rig)?, rig.lost)?;
        // As long as they are kept, a new connection does not use them.
        rig.reconnect("")?;
        same("pages in quarantine while they are kept", held(rig)?, rig.lost)?;
        // Unmapped, they return with the next connection: nobody can have them mapped any more.
        rig.order("drop")?;
        rig.reconnect("")?;
        rig.lost -= 2;
        same("pages in quarantine that nobody keeps", held(rig)?, rig.lost)?;
        rig.order("ping 5").map(drop)
    });
}

#[test]
fn h41_ring_pages_that_the_backend_keeps() {
    case("h41_ring_pages_that_the_backend_keeps", Works, |rig| {
        rig.order("keep ring")?;
        rig.reconnect("")?;
        let rings = |rig: &mut Rig, key: &str| -> Outcome<u64> {
            let pointer = format!("/interfaces/0/device/{key}");
            Ok(number(&rig.status()?, &pointer)? - rig.before(&pointer)?)
        };
        same("ring pages given up", rings(rig, "quarantined_rings")?, 2)?;
        rig.order("wait 2500")?;
        same("ring pages that came back while they were in use", rings(rig, "recovered_rings")?, 0)?;
        // Unmapped, they return by time: after 1, 2, 4, 8 seconds.
        rig.order("drop")?;
        for _ in 0..20 {
            if rings(rig, "recovered_rings")? == 2 {
                return Ok(());
            }
            rig.order("wait 1000")?;
        }
        Err("ring pages that are not in use do not come back".into())
    });
}

#[test]
fn h43_a_backend_that_holds_everything_and_lets_go() {
    case("h43_a_backend_that_holds_everything_and_lets_go", Works, |rig| {
        rig.orders(&["hold", "provoke 400", "wait 500"])?;
        // The guest has sent from every page that it may, and its loop goes on.
        let line = rig.ask("pool", " tx_pool: ")?;
        if !line.contains("in_ring 128, in_use 0, quarantined 0, free 0, total 128, max 128") {
            return Err(format!("not everything is held: {line}").into());
        }
        rig.orders(&["release", "ping 5"])
    });
}

#[test]
fn h45_a_grant_table_of_one_frame() {
    case("h45_a_grant_table_of_one_frame", Works, |rig| {
        // 512 entries, and pools that would have 1024 pages and more.
        rig.replace(|config| {
            config
                .set("max_grant_frames", Value::Number("1".into()))
                .cmdline(&VifKind::Plain.cmdline().replace("=64", "=512"))
        })?;
        let status = rig.status()?;
        let pages = |pool: &str| number(&status, &format!("/interfaces/0/{pool}/total"));
        let (rx, tx) = (pages("rx_pool")?, pages("tx_pool")?);
        eprintln!("  pages granted: {rx} to receive into, {tx} to send from");
        if rx < 32 || tx < 32 || rx + tx > 512 {
            return Err(format!("pools of {rx} and {tx} pages from 512 entries").into());
        }
        // All of them in use at once, and a new connection.
        rig.orders(&["hold", "provoke 400", "wait 300", "release", "ping 5"])?;
        rig.reconnect("")?;
        rig.order("ping 5")?;
        rig.replace(|config| config)
    });
}
