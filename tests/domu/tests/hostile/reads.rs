//! Fields that change while they are read: H06, H21 to H25.
//!
//! A thread in dom0 writes as fast as it can; the guest reads on another processor. The guest must use the value that
//! it read first.

use crate::rig::{End, Rig, VifKind, case, case_with};
use domu_tests::Outcome;
use domu_tests::http::number;
use serde_json::Value;

/// Bytes of the frames that fetch a page and are not all counted in it: acknowledgements.
const FETCH: u64 = 1500;

/// Lets a field flip, then restarts, because the rings keep what the thread wrote. Whatever values the guest read, it
/// may have counted errors or be broken, for one of the given reasons. It cannot have received more than was sent:
/// a length that was checked, and then read again, is another.
pub(crate) fn flip(vif: VifKind, name: &str, order: &str, fits: &'static [&'static str]) {
    case_with(vif, name, End::Works, |rig| {
        let given: u64 = rig.order("given")?.parse()?;
        let answered = rig.order(order).or_else(|error| {
            // It broke in the middle: that is one of the ways in which it may end.
            if error.to_string().contains("no page") { Ok(String::new()) } else { Err(error) }
        })?;
        rig.ask("help", "help ")?;
        rig.reconnect("")?;
        let after = rig.status()?;
        only(rig, fits)?;
        let received = |rig: &Rig, status: &Value| -> Outcome<u64> {
            let keys = ["/interfaces/0/rx/zero_copy_bytes", "/interfaces/0/rx/copied_bytes"];
            keys.iter().map(|key| Ok(number(status, key)? - rig.before(key)?)).sum()
        };
        let (given, received) = (rig.order("given")?.parse::<u64>()? - given, received(rig, &after)?);
        eprintln!("  {answered} were answered; {given} bytes were given, {received} received");
        if received > given + FETCH {
            return Err(format!("{received} bytes were received, and {given} given").into());
        }
        rig.forgive()
    });
}

#[test]
fn h06_rx_rsp_prod_changes_while_it_is_read() {
    case("h06_rx_rsp_prod_changes_while_it_is_read", End::Works, |rig| {
        // A wrong value that is read first breaks the device. If it is read a second time after a right one, the
        // guest takes responses that do not exist, and reports other reasons.
        for _ in 0..4 {
            rig.order("flip index 20")?;
            rig.is_broken("rx ring: ")?;
            rig.reconnect("")?;
            only(rig, &["rx_ring"])?;
        }
        rig.forgive()
    });
}

#[test]
fn h21_a_response_whose_status_flips() {
    // The other status is an error's, which a backend may answer with.
    flip(VifKind::Plain, "h21_a_response_whose_status_flips", "flip status 20", &[]);
}

#[test]
fn h22_a_response_whose_more_data_flips() {
    flip(VifKind::Plain, "h22_a_response_whose_more_data_flips", "flip more 20", &["rx_incomplete"]);
}

#[test]
fn h25_an_extra_whose_type_flips() {
    flip(VifKind::Plain, "h25_an_extra_whose_type_flips", "flip extra 20", &["rx_extra", "rx_extra_unasked"]);
}

/// Checks that this case counted only the given reasons.
fn only(rig: &mut Rig, fits: &[&str]) -> Outcome {
    let status = rig.status()?;
    match rig.counted(&status)?.iter().find(|(kind, count)| *count > 0 && !fits.contains(&kind.as_str())) {
        Some((kind, count)) => Err(format!("{kind} was counted {count} times").into()),
        None => Ok(()),
    }
}

/// The toolstack's trust in the backend, and a new connection that uses it.
fn trust(rig: &mut Rig, word: &str) -> Outcome {
    rig.bed().xenstore_write(&rig.node("device/vif/0/trusted"), word)?;
    rig.reconnect("")
}

#[test]
fn h23_h24_a_payload_that_an_untrusted_backend_flips() {
    let name = "h23_h24_a_payload_that_an_untrusted_backend_flips";
    case(name, End::Works, |rig| {
        trust(rig, "0")?;
        rig.guest.wait_for_next("backend not trusted", domu_tests::SOON)?;
        // Every reply contains the bytes for which its checksum was verified.
        let answered: u32 = rig.order("flip payload 60")?.parse()?;
        eprintln!("  {answered} of 60 requests were answered");
        trust(rig, "1")
    });
}
