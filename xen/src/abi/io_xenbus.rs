//! States of a device's two ends. Header `io/xenbus.h`, Xen 4.17.
//!
//! Each end of a device writes its own state, as a decimal number, into its xenstore directory and watches the
//! other's. The state machine that reacts is not here.

use crate::abi::number::numbers;

numbers! {
    /// State of one end of a device, frontend or backend.
    ///
    /// Source: `xen/include/public/io/xenbus.h`, `enum xenbus_state`, Xen 4.17.
    #[doc(alias = "xenbus_state")]
    pub enum XenbusState: u32 {
        /// The node is missing or makes no sense.
        Unknown = 0 => "XenbusStateUnknown",
        /// Not ready.
        Initialising = 1 => "XenbusStateInitialising",
        /// Early initialisation is done; waits for the other end or for hotplug scripts.
        InitWait = 2 => "XenbusStateInitWait",
        /// Waits for the other end to connect.
        Initialised = 3 => "XenbusStateInitialised",
        /// Works.
        Connected = 4 => "XenbusStateConnected",
        /// Closes because of an error or because the device is taken away.
        Closing = 5 => "XenbusStateClosing",
        /// Closed; may start again.
        Closed = 6 => "XenbusStateClosed",
        /// Changes its configuration.
        Reconfiguring = 7 => "XenbusStateReconfiguring",
        /// Has changed its configuration.
        Reconfigured = 8 => "XenbusStateReconfigured",
    }
}

#[cfg(test)]
mod tests {
    use super::XenbusState;
    use crate::abi::Unknown;

    #[test]
    fn states_are_parsed_and_an_undefined_one_is_refused() {
        assert_eq!(XenbusState::try_from(4), Ok(XenbusState::Connected));
        assert_eq!(XenbusState::try_from(9), Err(Unknown(9)));
    }
}
