//! Our guest's own counters: differences of `/status.json`, a unit.

use crate::Outcome;
use crate::guests::Rig;
use serde_json::Value;
use std::collections::BTreeMap;

/// Counters by name.
pub(crate) type Counts = BTreeMap<String, f64>;

/// The counters, by their place in the document: all should be small, and the grants 0.
const COUNTERS: &[(&str, &str)] = &[
    ("evtchn_send", "/hypercalls/evtchn_send"),
    ("evtchn_other", "/hypercalls/evtchn_other"),
    ("block", "/hypercalls/block"),
    ("set_timer", "/hypercalls/set_timer"),
    ("grant_table", "/hypercalls/grant_table"),
    ("memory", "/hypercalls/memory"),
    ("sched_other", "/hypercalls/sched_other"),
    ("other_hypercalls", "/hypercalls/other"),
    ("notifications_sent", "/notifications/sent"),
    ("notifications_received", "/notifications/received"),
    ("grants_issued", "/grants/issued"),
    ("grants_ended", "/grants/ended"),
    ("packets_received", "/packets/received"),
    ("packets_sent", "/packets/sent"),
    ("copied_packets", "/interfaces/0/rx/copied_packets"),
    ("copied_bytes", "/interfaces/0/rx/copied_bytes"),
    ("stack_iterations", "/interfaces/0/stack/iterations"),
    ("socket_visits", "/interfaces/0/stack/socket_visits"),
];

/// Reads the counters now.
pub(crate) fn read(rig: &Rig, address: &str) -> Outcome<Counts> {
    let status = status(rig, address)?;
    let number = |place: &str| status.pointer(place).and_then(Value::as_f64);
    let found = COUNTERS.iter().filter_map(|(name, place)| Some(((*name).to_owned(), number(place)?)));
    Ok(found.collect())
}

/// Bytes of the heap that are used now.
pub(crate) fn heap(rig: &Rig, address: &str) -> Outcome<f64> {
    let used = status(rig, address)?.pointer("/heap/used_bytes").and_then(Value::as_f64);
    used.ok_or_else(|| "status.json has no /heap/used_bytes".into())
}

/// Port 80 has the guest's own pages only while no site is published.
fn status(rig: &Rig, address: &str) -> Outcome<Value> {
    let text = rig.run(&format!("wget -q -O - http://{address}:9090/status.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// The difference of two readings, a unit.
pub(crate) fn difference(before: &Counts, after: &Counts, units: f64) -> Counts {
    let change = |(name, after): (&String, &f64)| Some((name.clone(), (after - before.get(name)?) / units));
    after.iter().filter_map(change).collect()
}
