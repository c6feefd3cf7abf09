//! The options of a connection as the engine needs them.

use core::ops::Deref;
use core::time::Duration;

use crate::base::options::TcpOptions;

/// The options of a listener's connections, or of one that this host opens, with the numbers that each segment needs in the
/// engine's units.
#[derive(Debug)]
pub(crate) struct ConnOptions {
    options: TcpOptions,
    /// Bytes.
    pub(super) rx_buffer: u32,
    pub(super) tx_buffer: u32,
    /// 0: an acknowledgement is not delayed.
    pub(super) ack_delay_ms: u32,
    pub(super) connect_timeout_ms: u32,
}

impl ConnOptions {
    pub(crate) fn new(options: TcpOptions) -> Self {
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let ack_delay_ms = options.ack_delay.map_or(0, millis);
        let connect_timeout_ms = millis(options.connect_timeout);
        let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let (rx_buffer, tx_buffer) = (size(options.rx_buffer), size(options.tx_buffer));
        Self { options, rx_buffer, tx_buffer, ack_delay_ms, connect_timeout_ms }
    }
}

impl Deref for ConnOptions {
    type Target = TcpOptions;

    fn deref(&self) -> &TcpOptions {
        &self.options
    }
}
