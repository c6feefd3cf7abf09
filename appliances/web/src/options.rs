//! The command line of the appliance: the keys `app.NAME=`.

use crate::publish::StoreOptions;
use crate::site::Admin;
use alloc::string::String;
use alloc::vec::Vec;
use datafront::block::WhenFull;
use kernel::cmdline::{Key, Value};

/// The values of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The channels on which dom0 may push at the same time.
    pub channels: Vec<String>,
    /// Seconds that a connection may be silent between two requests.
    pub idle_seconds: usize,
    /// How the content is published.
    pub store: StoreOptions,
    /// Whether the site is served over TLS.
    pub tls: Tls,
    /// The access log, and what happens when nobody takes it; `None`: there is none.
    pub log: Option<WhenFull>,
    /// KiB of memory for the log, and for whatever else dom0 has not taken yet.
    pub log_kib: usize,
    /// Seconds for which browsers are told to use TLS only (RFC 6797); 0: they are not told.
    pub hsts_seconds: usize,
}

/// Whether the site is served over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// On port 80 in the clear.
    #[default]
    Off,
    /// On port 80 in the clear, and on port 443.
    On,
    /// On port 443; port 80 redirects to it.
    Only,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            channels: Vec::from([String::from("push")]),
            idle_seconds: 60,
            store: StoreOptions::default(),
            tls: Tls::Off,
            log: None,
            log_kib: 1024,
            hsts_seconds: 0,
        }
    }
}

/// Channels at most: each has rings and a buffer of its own.
const MOST_CHANNELS: usize = 8;
/// Characters of a channel's name: libxenvchan takes paths of up to 49 characters.
const LONGEST_NAME: usize = 16;

/// The port for everybody.
pub const PUBLIC_PORT: u16 = 80;

/// The keys.
pub const KEYS: &[Key<Options>] = &[
    Key {
        name: "push",
        value: Value::Text {
            syntax: "1 to 8 different names, separated by commas, each of 1 to 16 letters, digits, - and _",
            set: |options, value| {
                options.channels = channels(value)?;
                Some(())
            },
        },
        default: "push",
        help: "the channels on which dom0 may push at the same time, see [datafront.md](datafront.md)",
        example: "site,logs",
    },
    Key {
        name: "idle",
        value: Value::Number {
            unit: "seconds",
            least: 1,
            most: 86_400,
            set: |options, value| options.idle_seconds = value,
        },
        default: "60",
        help: "how long a connection may be silent between two requests before it is closed",
        example: "30",
    },
    Key {
        name: "replace",
        value: Value::OneOf {
            words: &["last", "first"],
            set: |options, value| {
                options.store.replace_first = value == "first";
                Some(())
            },
        },
        default: "last",
        help: "when old content goes that a push replaces: after the new is complete, so that both must fit; or before it \
               arrives, if both do not fit",
        example: "first",
    },
    Key {
        name: "hosts",
        value: Value::OneOf {
            words: &["off", "on"],
            set: |options, value| {
                options.store.hosts = value == "on";
                Some(())
            },
        },
        default: "off",
        help: "whether the first folder of a pushed path is the name of the host that it is for; `_` is for all others",
        example: "on",
    },
    Key {
        name: "tls",
        value: Value::OneOf {
            words: &["off", "on", "only"],
            set: |options, value| {
                options.tls = match value {
                    "on" => Tls::On,
                    "only" => Tls::Only,
                    _ => Tls::Off,
                };
                Some(())
            },
        },
        default: "off",
        help: "whether the site is served over TLS on port 443 too, or only there: then port 80 redirects; certificates are \
               pushed, see [tls.md](tls.md)",
        example: "only",
    },
    Key {
        name: "hsts",
        value: Value::Number {
            unit: "seconds",
            least: 0,
            most: 63_072_000,
            set: |options, value| options.hsts_seconds = value,
        },
        default: "0",
        help: "for how long browsers that came over TLS are told to use nothing else (Strict-Transport-Security); 0 tells \
               them nothing",
        example: "31536000",
    },
    Key {
        name: "log",
        value: Value::OneOf {
            words: &["off", "drop", "wait"],
            set: |options, value| {
                options.log = match value {
                    "drop" => Some(WhenFull::DropOldest),
                    "wait" => Some(WhenFull::Wait),
                    _ => None,
                };
                Some(())
            },
        },
        default: "off",
        help: "an access log and counters for dom0's `pull`, see [pull.md](pull.md); while nobody pulls and the memory is used \
               up, the oldest lines are dropped and counted, or requests wait",
        example: "drop",
    },
    Key {
        name: "log.memory",
        value: Value::Number {
            unit: "KiB",
            least: 64,
            most: 1_048_576,
            set: |options, value| options.log_kib = value,
        },
        default: "1024",
        help: "memory for the log that dom0 has not taken yet; at most an eighth of the ledger",
        example: "256",
    },
    Key {
        name: "admin",
        value: Value::Text {
            syntax: "port:1 to port:65535 without 80, path: and a path of 3 to 64 characters that begins and ends with /, or off",
            set: |options, value| {
                options.store.admin = admin(value)?;
                Some(())
            },
        },
        default: "port:9090",
        help: "where the guest's own pages are: on a port of their own (and on port 80 until something is published), below a \
               path of port 80, or nowhere",
        example: "path:/-/",
    },
];

/// Where the own pages are: `port:` and a number but the public one, `path:` and a path, or `off`.
fn admin(value: &str) -> Option<Admin> {
    if value == "off" {
        return Some(Admin::Off);
    }
    if let Some(digits) = value.strip_prefix("port:") {
        let port = digits.parse().ok().filter(|port: &u16| ![0, PUBLIC_PORT].contains(port))?;
        // A sign is no digit.
        return Some(Admin::Port(port)).filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    }
    let path = value.strip_prefix("path:")?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let is_path =
        path.starts_with('/') && path.ends_with('/') && !path.contains("//") && !path.contains("/.");
    let fits = (3..=64).contains(&path.len());
    (is_path && fits && path.bytes().all(legal)).then(|| Admin::Path(path.into()))
}

fn channels(value: &str) -> Option<Vec<String>> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let mut names: Vec<String> = Vec::new();
    for name in value.split(',') {
        let is_name = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(legal);
        if !is_name || names.iter().any(|known| known == name) || names.len() >= MOST_CHANNELS {
            return None;
        }
        names.push(name.into());
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::{Admin, KEYS, Options};
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use kernel::config::Config;

    fn parsed(line: &str) -> Result<Options, Vec<alloc::string::String>> {
        let options = Config::parse(line.as_bytes()).unwrap().app_options(KEYS);
        options.map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn names_of_channels_are_few_short_and_different() {
        let channels = |line: &str| parsed(line).map(|options| options.channels);
        assert_eq!(channels("").unwrap(), ["push"]);
        assert_eq!(channels("app.push=site,log_1,a-b").unwrap(), ["site", "log_1", "a-b"]);
        assert_eq!(channels("app.push=1,2,3,4,5,6,7,8").unwrap().len(), 8);
        for bad in ["", "a,", "a,a", "a/b", "seventeen-letters", "1,2,3,4,5,6,7,8,9"] {
            let errors = channels(&alloc::format!("app.push={bad}")).unwrap_err();
            assert!(errors[0].ends_with("like app.push=site,logs"), "{errors:?}");
        }
    }

    #[test]
    fn idle_is_a_number_of_seconds_up_to_a_day() {
        let idle = |line: &str| parsed(line).map(|options| options.idle_seconds);
        assert_eq!((idle(""), idle("app.idle=1"), idle("app.idle=86400")), (Ok(60), Ok(1), Ok(86_400)));
        for bad in ["", "0", "-1", "86401", "1m", "99999999999999999999"] {
            let errors = idle(&alloc::format!("app.idle={bad}")).unwrap_err();
            assert!(errors[0].ends_with("like app.idle=30"), "{errors:?}");
        }
    }

    #[test]
    fn own_pages_are_on_a_port_or_below_a_path() {
        let admin = |line: &str| parsed(line).map(|options| options.store.admin);
        assert_eq!((admin(""), admin("app.admin=port:81")), (Ok(Admin::Port(9090)), Ok(Admin::Port(81))));
        assert_eq!(admin("app.admin=path:/-/"), Ok(Admin::Path("/-/".into())));
        assert_eq!((admin("app.admin=off"), admin("app.admin=port:65535").is_ok()), (Ok(Admin::Off), true));
        let long = alloc::format!("path:/{}/", "a".repeat(63));
        for bad in [
            "",
            "on",
            "9090",
            "port:",
            "port:0",
            "port:80",
            "port:+81",
            "port:65536",
            "path:/",
            "path:-/",
            "path:/a",
            "path://",
            "path:/a//b/",
            "path:/../",
            "path:/%20/",
            &long,
        ] {
            let errors = admin(&alloc::format!("app.admin={bad}")).unwrap_err();
            assert!(errors[0].contains("app.admin"), "{bad}: {errors:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(parsed("app.idel=5").unwrap_err()[0].contains("push"));
    }

    #[test]
    fn docs_configuration_is_made_from_the_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let document = std::fs::read_to_string(&path).unwrap();
        let updated =
            kernel::cmdline::replace_section(&document, "web", &kernel::cmdline::table(KEYS, "app."))
                .unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &updated).unwrap();
        } else {
            assert!(document == updated, "docs/configuration.md is out of date: run make docs");
        }
    }
}
