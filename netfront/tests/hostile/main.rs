//! A backend that breaks the rules, one test per rule: no panic, every page accounted for, and the device either works on
//! or is broken by name and healed by a new connection. The numbers are those of the project's list of hostile cases.

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod events;
mod frames;
mod indexes;
mod pages;

use common::{Rig, frame};
use netfront::{Config, Feature, Nic as _};
use xen::abi::io_netif::{NetRxFlags, NetifRxResponse};
use xen_sim::VifConfig;
use xen_sim::netback::{Index, RxSlot, Side};

const MORE: u16 = NetRxFlags::MORE_DATA.bits();
const EXTRA: u16 = NetRxFlags::EXTRA_INFO.bits();

/// A backend that may break rules, and a frontend connected to it.
fn rig() -> Rig {
    Rig::connected_with(VifConfig::default().lenient(), Config::default())
}

/// The same, with a frontend that refuses every feature.
fn plain() -> Rig {
    let config = Config { refuse: Feature::all(), ..Config::default() };
    Rig::connected_with(VifConfig::default().lenient(), config)
}

/// The device is broken by this rule, stays quiet, and is healed by the backend's restart.
fn broken_and_healed(rig: &mut Rig, rule: &str) {
    rig.rounds(3);
    assert!(!rig.device.link_up());
    assert_eq!(rig.misbehaved(rule), 1, "{:?}", rig.device.broken());
    assert_eq!(rig.device.stats().device.breaks, 1);
    assert!(rig.device.peek().is_none());
    assert!(!rig.send(&frame(60, 1)));
    let sent = notifications(rig);
    let req_prod = rig.netback.ring(Side::Rx).index(Index::ReqProd);
    rig.rounds(5);
    assert_eq!(rig.netback.ring(Side::Rx).index(Index::ReqProd), req_prod, "the rings are left alone");
    assert_eq!(notifications(rig), sent);
    let error = rig.sim.store().read("/local/domain/1/error/device/vif/0/error").expect("published");
    assert!(error.starts_with("broken by the backend: "), "{error}");
    restarted(rig);
}

fn notifications(rig: &Rig) -> u64 {
    let stats = rig.device.stats();
    stats.rx.notifications.get() + stats.tx.notifications.get()
}

fn restarted(rig: &mut Rig) {
    rig.netback.faults(|faults| *faults = xen_sim::netback::Faults::default());
    let generation = rig.device.link_generation();
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.load();
    rig.until_up();
    assert_eq!(rig.device.link_generation(), generation + 1);
    assert_eq!(rig.device.broken(), None);
    drop(rig.sent());
    rig.works();
}

/// One frame is spoilt as `spoil` says; it is dropped by this rule, and the next one arrives.
fn dropped(rule: &str, len: usize, spoil: impl FnMut(&mut Vec<RxSlot>) + 'static) {
    dropped_by(rig(), rule, len, spoil);
}

fn dropped_by(mut rig: Rig, rule: &str, len: usize, spoil: impl FnMut(&mut Vec<RxSlot>) + 'static) {
    rig.netback.faults(|faults| faults.rx_responses = Some(Box::new(spoil)));
    rig.netback.send(frame(len, 1));
    rig.sim.run();
    rig.netback.faults(|faults| faults.rx_responses = None);
    rig.rounds(2);
    assert_eq!(rig.received, Vec::<Vec<u8>>::new(), "{rule}");
    if rule.is_empty() {
        assert_eq!(rig.device.stats().misbehaviour.total(), 0);
        assert_eq!(rig.device.stats().rx.backend_errors, 1);
    } else {
        assert_eq!(rig.misbehaved(rule), 1, "{rule}: {:?}", rig.device.stats().misbehaviour);
    }
    assert_eq!(rig.device.stats().rx.dropped, 1);
    let pool = rig.device.stats().rx_pool;
    assert_eq!((pool.in_ring, pool.free), (256, 256), "every page came back");
    rig.works();
}

fn response(slots: &mut [RxSlot], at: usize) -> &mut NetifRxResponse {
    slots[at].response()
}
