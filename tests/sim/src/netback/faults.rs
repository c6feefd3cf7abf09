//! Fault injection into the backend: what a test makes it do wrong.

use super::pace::Pace;
use std::fmt;
use xen::abi::io_netif::{NetifCtrlResponse, NetifRxResponse, NetifTxResponse};
use zerocopy::FromBytes as _;

/// One slot of the receive ring, as netback is about to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxSlot {
    /// A response.
    Response(NetifRxResponse),
    /// The eight bytes of an extra.
    Extra([u8; 8]),
}

impl RxSlot {
    /// The response; an extra is taken as the response that its bytes spell.
    #[must_use]
    pub fn response(&mut self) -> &mut NetifRxResponse {
        if let Self::Extra(bytes) = *self {
            *self = Self::Response(NetifRxResponse::read_from_bytes(&bytes).expect("eight bytes"));
        }
        match self {
            Self::Response(response) => response,
            Self::Extra(_) => unreachable!("just replaced"),
        }
    }
}

/// How events are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// By the event index.
    #[default]
    ByRule,
    /// With each push.
    Always,
    /// Not at all.
    Never,
}

/// In which order transmit requests are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they came.
    #[default]
    Fifo,
    /// Last first.
    Reversed,
    /// Permuted; the same seed gives the same order.
    Permuted(u64),
}

type TxFault = Box<dyn FnMut(&mut Vec<NetifTxResponse>)>;
type RxFault = Box<dyn FnMut(&mut Vec<RxSlot>)>;
type CtrlFault = Box<dyn FnMut(&mut NetifCtrlResponse)>;
type IndexFault = Box<dyn FnMut(u32) -> u32>;

/// What a backend does wrong. The default is: nothing. The closures must not use the netback that they belong to.
#[derive(Default)]
pub struct Faults {
    /// Changes a batch of transmit responses before it is written: other ids, more, fewer, another order.
    pub tx_responses: Option<TxFault>,
    /// Changes the slots of one received packet before they are written.
    pub rx_responses: Option<RxFault>,
    /// Falsifies `rsp_prod` of the transmit ring at each push.
    pub tx_rsp_prod: Option<IndexFault>,
    /// Falsifies `rsp_prod` of the receive ring at each push.
    pub rx_rsp_prod: Option<IndexFault>,
    /// Changes a response of the control ring before it is written.
    pub ctrl_response: Option<CtrlFault>,
    /// Falsifies `rsp_prod` of the control ring at each push.
    pub ctrl_rsp_prod: Option<IndexFault>,
    /// Requests on the control ring are taken and not answered.
    pub ctrl_silent: bool,
    /// Requests of this type are taken and not answered.
    pub ctrl_deaf_to: Option<u16>,
    /// Order of transmit responses.
    pub order: Order,
    /// Events.
    pub notify: Notify,
    /// Transmit requests are taken and not answered until this is off again.
    pub hold_tx: bool,
    /// Nothing is received by the guest until this is off again.
    pub hold_rx: bool,
    /// Transmit requests are taken at once and answered late, in parts.
    pub tx_pace: Option<Pace>,
    /// Frames reach the guest late, in parts.
    pub rx_pace: Option<Pace>,
    /// Pages stay mapped after the response, until this is off again.
    pub keep_mapped: bool,
    /// Data is put at this offset of the page.
    pub rx_offset: u16,
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("tx_responses", &self.tx_responses.is_some())
            .field("rx_responses", &self.rx_responses.is_some())
            .field("order", &self.order)
            .field("notify", &self.notify)
            .field("hold_tx", &self.hold_tx)
            .field("hold_rx", &self.hold_rx)
            .field("tx_pace", &self.tx_pace)
            .field("rx_pace", &self.rx_pace)
            .field("keep_mapped", &self.keep_mapped)
            .finish_non_exhaustive()
    }
}

impl Order {
    /// Puts a batch into this order.
    pub(crate) fn apply<T>(&mut self, batch: &mut [T]) {
        match self {
            Self::Fifo => {}
            Self::Reversed => batch.reverse(),
            Self::Permuted(seed) => {
                for index in (1..batch.len()).rev() {
                    // A linear congruential generator is enough to shuffle (Knuth's constants).
                    *seed =
                        seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    batch.swap(index, (*seed >> 33) as usize % (index + 1));
                }
            }
        }
    }
}
