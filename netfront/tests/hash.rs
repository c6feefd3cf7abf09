//! The control ring, and queues chosen by a hash whose key is ours.

mod common;

use common::Rig;
use netfront::{Config, Feature, HashKey, Nic as _};
use smoltcp::wire::IpAddress;
use xen::Memory as _;
use xen_sim::VifConfig;
use xen_sim::netback::{Gso, Packet};

const QUEUES: usize = 4;

fn key() -> HashKey {
    HashKey::new(std::array::from_fn(|at| (at * 37 + 11) as u8))
}

fn vif() -> VifConfig {
    VifConfig::default().feature("multi-queue-max-queues", "8")
}

fn config() -> Config {
    // Other uses of the control ring have their own tests.
    let refuse = Feature::GREF_MAPPING;
    Config { queues: QUEUES, hash_key: Some(key()), refuse, ..Config::default() }
}

/// A connected vif with several queues, after the negotiation.
fn negotiated(vif: VifConfig, config: Config) -> Rig {
    let mut rig = Rig::connected_with(vif, config);
    rig.rounds(40);
    rig
}

fn addresses() -> (IpAddress, IpAddress) {
    (IpAddress::v4(192, 0, 2, 77), IpAddress::v4(198, 51, 100, 9))
}

/// A TCP segment to port 80 with `len` bytes of payload, the last one its number.
fn segment(port: u16, len: usize, number: u8) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    bytes.extend([8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 77, 198, 51, 100, 9]);
    bytes.extend(port.to_be_bytes());
    bytes.extend([0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
    bytes.resize(len, number);
    bytes
}

#[test]
fn the_backend_gets_key_and_table_and_flows_stay_on_their_queue() {
    let mut rig = negotiated(vif(), config());
    let hashing = rig.netback.hashing();
    assert!(hashing.toeplitz && hashing.flags == 15 && hashing.key.len() == 40);
    assert!(hashing.mapping.iter().enumerate().all(|(at, queue)| *queue as usize == at % QUEUES));
    assert_eq!(hashing.mapping.len(), 128);
    let stats = rig.device.stats();
    assert!(stats.features.hash);
    assert_eq!(
        (stats.device.ctrl_answered.get(), stats.device.ctrl_refused.get(), stats.device.ctrl_silent.get()),
        (7, 0, 0)
    );
    let mut used = [false; QUEUES];
    for port in 1000..1100 {
        let before: Vec<_> = rig.device.queue_packets().collect();
        let bytes = segment(port, 300, 1);
        assert_eq!(rig.give(bytes.clone()), Some(bytes));
        // The answer, hashed as the stack does it.
        let flow = rig.device.flow_key().expect("a key").flow((addresses().0, port), (addresses().1, 80));
        rig.device.steer(flow);
        assert!(rig.send(&segment(80, 100, 2)));
        let grown: Vec<bool> = rig
            .device
            .queue_packets()
            .zip(before)
            .map(|(now, then)| {
                let (in_, out) =
                    (now.rx_packets.since(then.rx_packets), now.tx_packets.since(then.tx_packets));
                assert_eq!(in_, out, "a flow comes and goes by the same queue");
                in_ == 1
            })
            .collect();
        used.iter_mut().zip(&grown).for_each(|(used, grown)| *used |= grown);
        rig.rounds(1);
    }
    assert_eq!(used, [true; QUEUES]);
    let rx = rig.device.stats().rx;
    assert_eq!((rx.hashed.get(), rx.hash_wrong_queue.get(), rx.hash_mismatch.get()), (100, 0, 0));
    assert!(rx.hash_checked >= 100 / 16, "one in 16 of each queue: {}", rx.hash_checked);
    rig.works();
}

#[test]
fn frames_with_a_hash_of_every_size_give_all_their_pages_back() {
    let mut rig = negotiated(vif(), config());
    let before = rig.device.stats().rx_pool;
    for (number, len) in [60, 1514, 5000, 40_000, 65_000].into_iter().enumerate() {
        let data = segment(2000, len, number as u8);
        let gso = (len > 1514).then_some(Gso { size: 1448, kind: 1 });
        let packet = Packet { data: data.clone(), csum_blank: true, data_validated: true, gso };
        assert_eq!(rig.give_packet(packet), Some(data), "{len}");
        let now = rig.device.stats().rx_pool;
        assert_eq!((now.free, now.in_ring, now.in_use), (before.free, before.in_ring, 0), "{len}");
    }
    assert_eq!(rig.device.stats().rx.hashed, 5);
}

#[test]
fn without_a_use_there_is_no_control_ring() {
    let refuse = Feature::HASH | Feature::GREF_MAPPING;
    for (vif, config) in [
        (vif(), Config { queues: 1, ..config() }),
        (vif(), Config { refuse, ..config() }),
        (vif(), Config { hash_key: None, ..config() }),
        (vif().without("feature-ctrl-ring"), config()),
    ] {
        let mut rig = negotiated(vif, config);
        assert!(!rig.netback.has_ctrl() && !rig.device.stats().features.hash);
        let front = rig.netback.frontend_path();
        for key in ["ctrl-ring-ref", "event-channel-ctrl"] {
            assert_eq!(rig.sim.store().read(&format!("{front}/{key}")), None);
        }
        rig.works();
    }
}

#[test]
fn a_backend_that_refuses_any_step_goes_on_as_before() {
    for refused in 1..=7 {
        let mut rig = Rig::with(vif(), config());
        rig.netback.faults(|faults| {
            faults.ctrl_response = Some(Box::new(move |response| {
                if response.kind == refused {
                    response.status = 1 + u32::from(refused) % 3;
                }
            }));
        });
        rig.until_up();
        rig.rounds(40);
        let stats = rig.device.stats();
        assert!(!stats.features.hash, "without {refused}");
        assert!(stats.device.ctrl_refused >= 1 && stats.device.ctrl_silent == 0);
        assert_eq!(stats.misbehaviour.total(), 0);
        assert!(refused == 7 || !rig.netback.hashing().toeplitz, "without {refused}: back to its own ways");
        let bytes = segment(1000, 200, 3);
        assert_eq!(rig.give(bytes.clone()), Some(bytes));
        rig.works();
    }
}

#[test]
fn a_backend_that_falls_silent_is_not_waited_for() {
    let mut rig = Rig::with(vif(), config());
    rig.netback.faults(|faults| faults.ctrl_silent = true);
    rig.until_up();
    rig.rounds(10);
    rig.works();
    rig.sim.advance(3_000_000_000);
    rig.rounds(10);
    let stats = rig.device.stats();
    assert_eq!((stats.device.ctrl_silent.get(), stats.device.ctrl_answered.get()), (1, 0));
    assert_eq!(rig.netback.stats().ctrl_requests, 1, "it is asked once");
    rig.works();
    // The next backend is asked again, and nothing was lost at the former one.
    rig.netback.faults(|faults| faults.ctrl_silent = false);
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.load();
    rig.until_up();
    rig.rounds(40);
    assert!(rig.device.stats().features.hash);
    rig.works();
}

#[test]
fn a_renewed_key_is_told_to_the_next_backend() {
    let mut rig = negotiated(vif(), config());
    let before = rig.netback.hashing().key;
    let renewed = HashKey::new([0x5a; 40]);
    rig.device.renew_hash_key(renewed);
    rig.netback.unload();
    rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
    rig.netback.load();
    rig.until_up();
    rig.rounds(40);
    assert_eq!(rig.netback.hashing().key, [0x5a; 40]);
    assert_ne!(before, [0x5a; 40]);
    let flow = |key: HashKey| key.flow((addresses().0, 9), (addresses().1, 80));
    assert_eq!(rig.device.flow_key().map(flow), Some(flow(renewed)), "the stack goes by the same key");
    rig.works();
}

#[test]
fn h76_invalid_answers_cost_only_the_control_ring() {
    use xen_sim::netback::Faults;
    type Spoil = fn(&mut Faults);
    let cases: [(&str, Spoil); 5] = [
        ("ctrl_id", |faults| faults.ctrl_response = Some(Box::new(|response| response.id ^= 1))),
        ("ctrl_type", |faults| faults.ctrl_response = Some(Box::new(|response| response.kind = 0xffff))),
        ("ctrl_status", |faults| {
            faults.ctrl_response = Some(Box::new(|response| response.status = u32::MAX))
        }),
        ("ctrl_ring", |faults| faults.ctrl_rsp_prod = Some(Box::new(|index| index.wrapping_add(200)))),
        ("ctrl_ring", |faults| faults.ctrl_rsp_prod = Some(Box::new(|index| index.wrapping_sub(9)))),
    ];
    for (rule, spoil) in cases {
        let mut rig = Rig::with(vif().lenient(), config());
        rig.netback.faults(spoil);
        rig.until_up();
        rig.rounds(20);
        assert_eq!(rig.misbehaved(rule), 1, "{rule}");
        let stats = rig.device.stats();
        assert_eq!((stats.misbehaviour.total(), stats.device.breaks.get()), (1, 0), "{rule}");
        assert!(!stats.features.hash && rig.device.link_up());
        let asked = rig.netback.stats().ctrl_requests;
        rig.works();
        rig.rounds(20);
        assert_eq!(rig.netback.stats().ctrl_requests, asked, "it is left alone");
    }
}

#[test]
fn h77_any_data_in_an_answer_is_brought_into_range() {
    for data in [0, 1, 3, 127, 129, 0x8000_0000, u32::MAX] {
        let mut rig = Rig::with(vif().lenient(), config());
        rig.netback
            .faults(|faults| faults.ctrl_response = Some(Box::new(move |response| response.data = data)));
        rig.until_up();
        rig.rounds(40);
        assert!(rig.netback.hashing().mapping.len() <= 128);
        assert_eq!(rig.netback.hashing().flags & !15, 0);
        assert_eq!(rig.device.stats().misbehaviour.total(), 0);
        let bytes = segment(1000, 200, 3);
        assert_eq!(rig.give(bytes.clone()), Some(bytes), "{data}");
        rig.works();
    }
}

#[test]
fn h78_hashes_that_lie_are_counted_and_their_frames_arrive() {
    let mut rig = negotiated(vif().lenient(), config());
    rig.netback.faults(|faults| {
        faults.rx_responses = Some(Box::new(|slots| {
            for slot in slots {
                if let xen_sim::netback::RxSlot::Extra(bytes) = slot {
                    bytes[4] ^= 1;
                }
            }
        }));
    });
    let bytes = segment(1000, 200, 3);
    assert_eq!(rig.give(bytes.clone()), Some(bytes));
    let rx = rig.device.stats().rx;
    assert_eq!((rx.hashed.get(), rx.hash_wrong_queue.get(), rx.hash_mismatch.get()), (1, 1, 1));
    // A hash by another algorithm, or of an unrequested type, makes its frame invalid: it was not negotiated.
    for (at, value) in [(3, 0), (2, 7), (3, 2)] {
        rig.netback.faults(|faults| {
            faults.rx_responses = Some(Box::new(move |slots| {
                for slot in slots {
                    if let xen_sim::netback::RxSlot::Extra(bytes) = slot {
                        bytes[at] = value;
                    }
                }
            }));
        });
        assert_eq!(rig.give(segment(1000, 200, 3)), None);
    }
    assert_eq!((rig.misbehaved("rx_extra_unasked"), rig.misbehaved("rx_extra")), (1, 2));
    rig.netback.faults(|faults| faults.rx_responses = None);
    rig.works();
}

#[test]
fn pages_of_a_control_ring_come_back_with_each_backend() {
    let mut rig = negotiated(vif(), config());
    let before = rig.xen.machine.free_pages();
    for _ in 0..3 {
        rig.netback.unload();
        rig.until("everything is taken back", |rig| rig.device.stats().backend.is_none());
        rig.netback.load();
        rig.until_up();
        rig.rounds(40);
    }
    assert_eq!(rig.xen.machine.free_pages(), before, "a ring and a table come and go");
}
