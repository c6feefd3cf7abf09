//! Events: H46 to H50, and the console's: H62, H63.

use crate::cases;
use crate::rig::End::Works;
use crate::rig::case;
use domu_tests::Outcome;
use domu_tests::guest::insist;
use domu_tests::http::number;
use serde_json::Value;

cases! {
    h49_events_before_the_backend_is_connected: Works,
        ["close", "late", "open", "storm 200", "wait 50", "state 4", "ping 1"];
    h50_events_while_the_connection_ends: Works,
        ["passive", "state 5", "storm 2000", "front 6", "storm 200", "leave", "state 6", "open"];
    h62_garbage_in_the_console_s_indexes: Works, ["console"];
}

#[test]
fn h46_a_storm_of_events_without_work() {
    case("h46_a_storm_of_events_without_work", Works, |rig| {
        for _ in 0..5 {
            rig.orders(&["storm 2000", "ping 2"])?;
        }
        let status = rig.status()?;
        let delta = |pointer: &str| -> Outcome<u64> { Ok(number(&status, pointer)? - rig.before(pointer)?) };
        let idle = delta("/interfaces/0/device/idle_events")?;
        let masks = delta("/interfaces/0/device/event_masks")?;
        let iterations = delta("/interfaces/0/device/iterations")?;
        let hypercalls: u64 = status
            .get("hypercalls")
            .and_then(Value::as_object)
            .ok_or("no hypercalls")?
            .keys()
            .map(|kind| delta(&format!("/hypercalls/{kind}")))
            .sum::<Outcome<_>>()?;
        eprintln!(
            "  10000 events: {idle} taken without work, {iterations} iterations, {hypercalls} hypercalls, {masks} masks"
        );
        if idle == 0 || masks == 0 {
            return Err(
                format!("{idle} events were counted as idle, and channels masked {masks} times").into()
            );
        }
        // Those that come while one is pending are one; and each costs a look and a sleep, no more.
        let frames = 2 * 2 * 5 + 20;
        if iterations > 2 * idle + 8 * frames || hypercalls > 3 * idle + 8 * frames {
            return Err(
                format!("{idle} events cost {iterations} iterations and {hypercalls} hypercalls").into()
            );
        }
        Ok(())
    });
}

#[test]
fn h47_without_any_event_an_iteration_finds_the_frames() {
    case("h47_without_any_event_an_iteration_finds_the_frames", Works, |rig| {
        rig.orders(&["mute on", "provoke 5"])?;
        // Something else wakes the guest.
        rig.ask("grants", "issued ")?;
        rig.orders(&["replies 5", "mute off"])
    });
}

#[test]
fn h48_events_on_a_port_of_another_device() {
    case("h48_events_on_a_port_of_another_device", Works, |rig| {
        let port = rig.bed().xenstore_read(&rig.node("data/vchan/0/push/event-channel"))?;
        for _ in 0..20 {
            rig.order(&format!("stray {port}"))?;
        }
        Ok(())
    });
}

#[test]
fn h63_hostile_input_on_the_console() {
    case("h63_hostile_input_on_the_console", Works, |rig| {
        let bytes = domu_tests::pattern::bytes(63, 6000);
        rig.guest.send(&bytes)?;
        rig.guest.send_line("")?;
        insist(&rig.guest, "grants", "issued ")
    });
}
