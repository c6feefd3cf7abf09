//! What a backend does, where a frontend stands, and what follows: values and one pure function.

use crate::abi::io_xenbus::XenbusState;
use crate::xenbus::Backend;

/// What a backend has done, as far as a frontend cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendChange {
    /// 1 or 3, or a number that is no state: it is not ready.
    NotReady,
    /// 2: it waits for us.
    Ready,
    /// 4, 7 or 8: it is connected; the last two while it changes its configuration.
    Connected,
    /// 5: it wants to close.
    Closing,
    /// 6: it has closed.
    Closed,
    /// Its directory is gone: its domain was destroyed, or the device removed.
    Vanished,
    /// There is another backend now; the frontend's [`Frontend::backend`](super::Frontend::backend) still names the old one.
    Moved(Backend),
}

impl BackendChange {
    /// What the value of a backend's `state` means; `None` for a node that is not there.
    #[must_use]
    pub const fn from_state(state: Option<XenbusState>) -> Self {
        match state {
            None => Self::Vanished,
            Some(XenbusState::Unknown | XenbusState::Initialising | XenbusState::Initialised) => {
                Self::NotReady
            }
            Some(XenbusState::InitWait) => Self::Ready,
            Some(XenbusState::Connected | XenbusState::Reconfiguring | XenbusState::Reconfigured) => {
                Self::Connected
            }
            Some(XenbusState::Closing) => Self::Closing,
            Some(XenbusState::Closed) => Self::Closed,
        }
    }
}

/// Where a frontend stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Our state is 1: nothing is shared.
    Initialising,
    /// Our state is 4, the backend has not answered with 4 yet. The rings may run already.
    Published,
    /// Both are connected.
    Connected,
    /// Our state is 6: nothing is shared any more.
    Closed,
}

/// What a frontend has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Make rings, write their nodes, switch to 4: [`Phase::Published`].
    Publish,
    /// Announce yourself on the network: [`Phase::Connected`].
    Up,
    /// Take everything down and switch to 5 and 6: [`Phase::Closed`].
    Close,
    /// Take everything down, read where the backend is, [`Frontend::reset`](super::Frontend::reset): [`Phase::Initialising`].
    Restart,
    /// Take everything down; there is nobody to tell. Wait for another backend: [`Phase::Closed`].
    Detach,
}

impl Phase {
    /// What to do about a change.
    ///
    /// | | NotReady | Ready | Connected | Closing, Closed | Vanished | Moved |
    /// |---|---|---|---|---|---|---|
    /// | Initialising | wait | publish | restart: it still serves a former user | restart | detach | restart |
    /// | Published    | wait | wait    | up      | close   | detach | restart |
    /// | Connected    | close | close: it forgot us | wait | close | detach | restart |
    /// | Closed       | wait | restart | restart | wait; Closed: restart if `online` | wait | restart |
    #[must_use]
    pub const fn next(self, change: &BackendChange, online: Online) -> Step {
        use BackendChange as B;
        match (self, change) {
            (_, B::Moved(_)) => Step::Restart,
            (Self::Closed, B::Vanished | B::NotReady | B::Closing)
            | (Self::Initialising | Self::Published, B::NotReady)
            | (Self::Published, B::Ready)
            | (Self::Connected, B::Connected) => Step::Wait,
            (_, B::Vanished) => Step::Detach,
            (Self::Initialising, B::Ready) => Step::Publish,
            (Self::Published, B::Connected) => Step::Up,
            // A backend that restarts while our state says 4 maps the rings that it finds there: it has to unmap them before
            // their grants end.
            (Self::Published | Self::Connected, B::Closing | B::Closed)
            | (Self::Connected, B::NotReady | B::Ready) => Step::Close,
            (Self::Closed, B::Closed) => match online {
                Online::Yes => Step::Restart,
                Online::No => Step::Wait,
            },
            (Self::Initialising, B::Connected | B::Closing | B::Closed)
            | (Self::Closed, B::Ready | B::Connected) => Step::Restart,
        }
    }
}

/// The backend's node `online`: whether a closed device may be opened again, or is about to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Online {
    /// It may.
    Yes,
    /// It will be removed.
    No,
}
