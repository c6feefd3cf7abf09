//! Tests of the command line as a whole, and of its documentation.

use super::address::Ip;
use super::*;
use alloc::string::ToString;
use core::net::Ipv4Addr;

fn error(line: &str) -> String {
    Config::parse(line.as_bytes()).unwrap_err()[0].to_string()
}

#[test]
fn an_empty_line_means_the_defaults() {
    assert_eq!(Config::parse(b"  ").unwrap(), Config::default());
}

#[test]
fn every_key_is_read() {
    let line = b"ip=192.0.2.10/24 gw=192.0.2.1 dns=192.0.2.2,192.0.2.3 host=web-1 log=debug \
        pool.rx=64 pool.tx=128 pool.threshold=0 vif.queues=8 vif.refuse=sg,split watchdog=30 app.peer=a=b";
    let config = Config::parse(line).unwrap();
    let Ip::Static { address, prefix, gateway, dns } = config.addresses.of(0, true) else { panic!("static") };
    assert_eq!((address.to_string(), *prefix, dns.len()), ("192.0.2.10".to_owned(), 24, 2));
    assert_eq!(*gateway, Some(Ipv4Addr::new(192, 0, 2, 1)));
    assert_eq!(config.host.as_deref(), Some("web-1"));
    assert_eq!(config.log, log::LevelFilter::Debug);
    let pool = &config.pool;
    assert_eq!((pool.rx, pool.tx, pool.threshold), (Some(64), Some(128), Some(0)));
    assert_eq!(config.watchdog, Some(30));
    assert_eq!(config.queues, 8);
    assert_eq!(config.refuse, Feature::SCATTER_GATHER | Feature::SPLIT_EVENT_CHANNELS);
    assert_eq!(config.app("peer"), Some("a=b"));
}

#[test]
fn errors_name_key_value_and_what_would_be_right() {
    assert_eq!(
        error("ip=10.0.0.300/24"),
        "command line: ip=10.0.0.300/24 is wrong: dhcp, or an IPv4 address with its prefix length, like \
         ip=192.0.2.10/24"
    );
    assert!(error("ip=10.0.0.3").contains("prefix length"));
    assert!(error("ip=10.0.0.3/33").contains("prefix length"));
    assert!(error("vif.queues=9").contains("a number of queues from 1 to 8"));
    assert!(error("vif.queues=0").contains("a number of queues from 1 to 8"));
    assert!(error("vif.refuse=sg,tso").contains("some of sg, csum4, "));
    assert!(error("vif.refuse=").contains("some of sg, csum4, "));
    assert!(error("watchdog=1").contains("a number of seconds from 2 to 3600"));
    assert!(error("speed=9").contains("the keys are ip, gw"));
    assert!(error("quiet").contains("key=value"));
    assert!(error("gw=10.0.0.1").contains("add a static ip="));
    assert!(error("log=loud").contains("one of off, error, warn"));
    assert!(error("host=-x").contains("RFC 1123"));
    assert!(error("app.=1").contains("app.NAME"));
}

#[test]
fn all_words_that_are_wrong_are_reported() {
    assert_eq!(Config::parse(b"a=1 b=2 log=info").unwrap_err().len(), 2);
    assert!(Config::parse(&[0xff, b'=']).unwrap_err()[0].right.contains("UTF-8"));
}

#[test]
fn appliances_declare_keys_of_their_own() {
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Options {
        idle: usize,
    }
    const KEYS: &[Key<Options>] = &[Key {
        name: "idle",
        value: cmdline::Value::Number {
            unit: "seconds",
            least: 1,
            most: 9,
            set: |options, value| options.idle = value,
        },
        default: "5",
        help: "silence",
        example: "7",
    }];
    let options = |line: &str| Config::parse(line.as_bytes()).unwrap().app_options(KEYS);
    assert_eq!(options("app.idle=3 app.idle=4 log=off").unwrap(), Options { idle: 4 });
    let texts = |line| options(line).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        texts("app.idle=x app.speed=1"),
        [
            "command line: app.idle=x is wrong: a number of seconds from 1 to 9, like app.idle=7",
            "command line: app.speed=1 is wrong: the keys are app.idle"
        ]
    );
}

#[test]
fn examples_and_defaults_are_right() {
    for key in KEYS.iter().chain(pool::KEYS) {
        let value = if key.name == "seed" { "x".repeat(LEAST_SEED) } else { key.example.to_owned() };
        assert_eq!(key.set(&mut Config::default(), key.name, &value), Ok(()));
    }
    for key in address::KEYS {
        assert_eq!(key.set(&mut VifWords::default(), key.name, key.example), Ok(()));
    }
    // A default that is a value means the same as no word.
    let defaults = KEYS.iter().chain(pool::KEYS).map(|key| (key.name, key.default));
    let defaults = defaults.chain(address::KEYS.iter().map(|key| (key.name, key.default)));
    for (name, default) in defaults.filter(|(_, default)| *default != "none" && !default.contains(' ')) {
        let with = Config::parse(alloc::format!("{name}={default}").as_bytes()).unwrap();
        let without = Config::parse(b"").unwrap();
        let vif = |config: &Config| (config.addresses.of(0, true).clone(), config.addresses.of6(0, true));
        assert_eq!(vif(&with), vif(&without), "{name}");
        assert_eq!((with.log, with.queues), (without.log, without.queues), "{name}");
        assert_eq!(with.pool.choices(64 << 20), without.pool.choices(64 << 20), "{name}");
    }
}

#[test]
fn docs_configuration_is_made_from_the_tables() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let mut updated = document.clone();
    for (name, table) in [
        ("vif", cmdline::table(address::KEYS, "")),
        ("guest", cmdline::table(KEYS, "")),
        ("pool", cmdline::table(pool::KEYS, "")),
    ] {
        updated = cmdline::replace_section(&updated, name, &table).unwrap();
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &updated).unwrap();
    } else {
        assert!(document == updated, "docs/configuration.md is out of date: run make docs");
    }
}
