//! Variants of `xl.cfg`: all on one machine, a guest for each.

use crate::asked_for;
use crate::guest_check;
use crate::table::Table;
use bed::{DomainConfig, Options, Release, SharedBed, Value};
use domu_tests::Outcome;
use domu_tests::guest::config;

const SECTION: &str = "xl.cfg";

/// Numbers and texts: a key and its value, as they are written in `xl.cfg`.
const KEYS: &[(&str, &str)] = &[
    ("memory", "3"),
    ("memory", "4"),
    ("memory", "5"),
    ("memory", "256"),
    ("memory", "5000"),
    ("maxmem", "64"),
    ("vcpus", "2"),
    ("vcpus", "4"),
    ("maxvcpus", "4"),
    ("cpu_weight", "100"),
    ("cap", "50"),
    ("cpus", "\"0\""),
    ("max_grant_frames", "1"),
    ("max_grant_frames", "2"),
    ("max_maptrack_frames", "1"),
    ("max_grant_version", "1"),
    ("max_event_channels", "4"),
    ("nestedhvm", "1"),
    ("hap", "0"),
    ("nx", "0"),
    ("timer_mode", "\"no_delay_for_missed_ticks\""),
    ("tsc_mode", "\"always_emulate\""),
    ("tsc_mode", "\"native\""),
    ("rtc_timeoffset", "3600"),
    ("localtime", "1"),
    ("acpi", "0"),
    ("apic", "0"),
    ("viridian", "1"),
    ("altp2m", "\"external\""),
    ("driver_domain", "1"),
    ("cpuid", "\"host,rdrand=x,xsave=0\""),
    ("cpuid", "\"host,nx=0\""),
    ("on_reboot", "\"preserve\""),
    ("on_poweroff", "\"destroy\""),
    ("name", "\"a-name-of-70-characters-0123456789-0123456789-0123456789-0123456789-01\""),
    ("name", "\"Mühlteich\""),
    ("uuid", "\"00000000-0000-4000-8000-000000000001\""),
    ("xenstore_quota", "\"nodes=200\""),
    ("passthrough", "\"disabled\""),
];

/// Vifs: a list, as it is written in `xl.cfg`.
const VIFS: &[&[&str]] = &[
    &["bridge=xenbr0", "bridge=xenbr0"],
    &["bridge=xenbr0"; 8],
    &["bridge=xenbr0,devid=7"],
    &["bridge=xenbr0,devid=1", "bridge=xenbr0,devid=3"],
    &["bridge=xenbr0,trusted=0"],
    &["bridge=xenbr0,rate=10MB/s"],
    &["bridge=xenbr0,mtu=1280"],
    &["bridge=xenbr0,type=vif,vifname=pond0"],
];

/// Runs every selected variant.
pub(crate) fn run(release: Release, table: &mut Table) -> Outcome {
    let variants: Vec<(String, DomainConfig)> =
        variants()?.into_iter().filter(|(name, _)| asked_for("xl.cfg", name)).collect();
    if variants.is_empty() {
        return Ok(());
    }
    // Room for one guest of 5,000 MiB; memory that no guest writes to costs the host nothing.
    let bed = SharedBed::start(&Options::default().release(release).memory_mib(7168).without_snapshot())?;
    for (name, config) in variants {
        let verdict = guest_check::verdict(&bed, &config);
        table.put(SECTION, &name, verdict)?;
        // Whatever the result, it must not affect the next variant.
        bed.dom0(
            "xl list | tail -n +3 | awk '{print $1}' | while read -r name; do xl destroy \"$name\"; done",
        )?;
    }
    Ok(())
}

fn variants() -> Outcome<Vec<(String, DomainConfig)>> {
    let plain = config("web", "variant", "")?;
    let mut all = vec![("(as in the repository)".to_owned(), plain.clone())];
    for (key, value) in KEYS {
        let typed = match value.strip_prefix('"') {
            Some(text) => Value::Text(text.trim_end_matches('"').to_owned()),
            None => Value::Number((*value).to_owned()),
        };
        all.push((format!("{key}={value}"), plain.clone().set(key, typed)));
    }
    for vifs in VIFS {
        let name = if vifs.len() == 8 { "8 × bridge=xenbr0".to_owned() } else { vifs.join("', '") };
        all.push((format!("vif=['{name}']"), plain.clone().vif(vifs.iter().copied())));
    }
    Ok(all)
}
