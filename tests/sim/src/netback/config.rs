//! What a vif is made with: the toolstack's nodes, the backend's features, and how strict it is.

use xen::DomId;

/// When the hotplug script has put the vif onto its bridge: `hotplug-status` is "connected".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hotplug {
    /// Before the guest starts.
    Done,
    /// This many nanoseconds after the vif was attached.
    After(u64),
    /// When the test calls [`super::Netback::hotplug`].
    Manual,
}

/// A vif. The default is what libxl and Linux 6.1's netback provide.
#[derive(Clone, Debug)]
pub struct VifConfig {
    /// Its number in `device/vif`.
    pub handle: u32,
    /// The domain that the backend lives in.
    pub backend: DomId,
    /// The guest's address.
    pub mac: [u8; 6],
    /// Whether the frontend's directory has it; else only the backend's.
    pub mac_at_frontend: bool,
    /// The node `mtu`, if any.
    pub mtu: Option<String>,
    /// The node `trusted`, if any.
    pub trusted: Option<String>,
    /// The frontend's state at the start: 4 or 6 is what a former guest left.
    pub frontend_state: u32,
    /// When the bridge is ready.
    pub hotplug: Hotplug,
    /// Nodes that netback writes at its probe.
    pub features: Vec<(String, String)>,
    /// Pages of a queue that stay mapped if the frontend asks for it; `None`: not supported, as in Linux's netback.
    pub gref_mapping: Option<u32>,
    /// A frontend that breaks a rule stops the test. Otherwise netback does what Linux's does, and records the rule.
    pub strict: bool,
    /// Pages that the frontend posts are filled with [`super::POISON`], which must still be there when data comes.
    pub poison: bool,
    /// A posted page may contain only zeros and poison.
    pub check_cleared: bool,
}

impl Default for VifConfig {
    fn default() -> Self {
        let features = [
            ("feature-sg", "1"),
            ("feature-gso-tcpv4", "1"),
            ("feature-gso-tcpv6", "1"),
            ("feature-ipv6-csum-offload", "1"),
            ("feature-rx-copy", "1"),
            ("feature-xdp-headroom", "1"),
            ("feature-rx-flip", "0"),
            ("feature-multicast-control", "1"),
            ("feature-dynamic-multicast-control", "1"),
            ("feature-split-event-channels", "1"),
            ("multi-queue-max-queues", "2"),
            ("feature-ctrl-ring", "1"),
        ];
        Self {
            handle: 0,
            backend: DomId(0),
            mac: [0x00, 0x16, 0x3e, 0x00, 0x00, 0x01],
            mac_at_frontend: true,
            mtu: Some("1500".to_owned()),
            trusted: Some("1".to_owned()),
            frontend_state: 1,
            hotplug: Hotplug::Done,
            features: features.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
            gref_mapping: None,
            strict: true,
            // Under Miri, each byte costs a thousand times as much.
            poison: cfg!(not(miri)),
            check_cleared: false,
        }
    }
}

impl VifConfig {
    /// With this value of a feature node.
    #[must_use]
    pub fn feature(mut self, key: &str, value: &str) -> Self {
        self.features.retain(|(known, _)| known != key);
        self.features.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Without a feature node.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.features.retain(|(known, _)| known != key);
        self
    }

    /// With another handle, and the address that goes with it.
    #[must_use]
    pub const fn handle(mut self, handle: u32) -> Self {
        self.handle = handle;
        self.mac[5] = 1 + handle as u8;
        self
    }

    /// With this address.
    #[must_use]
    pub const fn mac(mut self, mac: [u8; 6]) -> Self {
        self.mac = mac;
        self
    }

    /// With this value of `trusted`; `None` writes no such node.
    #[must_use]
    pub fn trusted(mut self, value: Option<&str>) -> Self {
        self.trusted = value.map(str::to_owned);
        self
    }

    /// With the frontend in this state at the start.
    #[must_use]
    pub const fn frontend_state(mut self, state: u32) -> Self {
        self.frontend_state = state;
        self
    }

    /// With the bridge ready at this time.
    #[must_use]
    pub const fn hotplug(mut self, hotplug: Hotplug) -> Self {
        self.hotplug = hotplug;
        self
    }

    /// With room for this many pages of each queue that stay mapped.
    #[must_use]
    pub const fn gref_mapping(mut self, size: u32) -> Self {
        self.gref_mapping = Some(size);
        self
    }

    /// With a netback that does not stop the test when the frontend breaks a rule.
    #[must_use]
    pub const fn lenient(mut self) -> Self {
        self.strict = false;
        self
    }
}
