//! The options of a connection as the engine needs them.

use core::ops::Deref;
use core::time::Duration;

use crate::base::options::TcpOptions;

/// The options of a listener's connections, or of one that this host opens, with its durations in milliseconds: they are
/// read at each segment.
#[derive(Debug)]
pub(crate) struct ConnOptions {
    options: TcpOptions,
    /// 0: an acknowledgement is not delayed.
    pub(super) ack_delay_ms: u32,
    pub(super) connect_timeout_ms: u32,
}

impl ConnOptions {
    pub(crate) fn new(options: TcpOptions) -> Self {
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let ack_delay_ms = options.ack_delay.map_or(0, millis);
        let connect_timeout_ms = millis(options.connect_timeout);
        Self { options, ack_delay_ms, connect_timeout_ms }
    }
}

impl Deref for ConnOptions {
    type Target = TcpOptions;

    fn deref(&self) -> &TcpOptions {
        &self.options
    }
}
