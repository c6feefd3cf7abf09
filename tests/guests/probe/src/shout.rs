//! `app.do=shout`: sends frames to the groups in `app.to=`, hardware addresses separated by commas, some to each.
//!
//! The frames have an EtherType that no stack knows, so every receiver counts them as such.

use alloc::format;
use alloc::string::{String, ToString};
use core::str::FromStr;
use kernel::System;
use kernel::net::EthernetAddress;

/// For local experiments. (IEEE 802, 9.2.3)
const ETHERTYPE: u16 = 0x88b5;
const FRAMES: usize = 5;
/// Until the last frame has been sent and answered.
const REST_NS: u64 = 300_000_000;

pub(crate) async fn shout(system: &System) -> Result<(), String> {
    let net = system.net().await;
    let groups = system.config().app("to").unwrap_or_default();
    let tap = net.tap(ETHERTYPE, FRAMES).map_err(|error| error.to_string())?;
    net.configured().await;
    for group in groups.split(',') {
        let group =
            EthernetAddress::from_str(group).map_err(|_| format!("{group} is no hardware address"))?;
        for _ in 0..FRAMES {
            tap.send(group, &[0x5a; 60]).await.map_err(|error| error.to_string())?;
        }
    }
    system.sleep(REST_NS).await;
    Ok(())
}
