//! Leaving a backend: in order, after an error, or after the backend has vanished.
//!
//! ```text
//!   Stop: no more frames ─► our state 5, 6 ─► the backend closes ─► Release: rings and pages are ours again
//!                             └ a backend that is gone is told nothing, and our directory says 6 all the same
//! ```

use super::store::ConnectError;
use super::timeout::within;
use super::{ConnectionTask, TIMEOUT};
use crate::device::mailbox::Command;
use alloc::format;
use xen::abi::io_xenbus::XenbusState;
use xen::xenbus::{BackendChange, Frontend, XenbusError};
use xen::{Errno, Machine};

impl<M: Machine> ConnectionTask<M> {
    /// Ends a connection that the backend wants to end: stops frames, sets our state to 5 and 6, and takes everything
    /// back when the backend has closed.
    pub(super) async fn close(
        &self,
        frontend: &Frontend,
        seen: &BackendChange,
        sleep: &impl AsyncFn(u64),
    ) -> Result<(), ConnectError> {
        self.mailbox.ask(Command::Stop).await;
        if matches!(seen, BackendChange::Connected | BackendChange::Closing) {
            self.end_mappings(sleep).await;
        }
        let told = self.tell_closed(frontend, seen, sleep).await;
        self.mailbox.ask(Command::Release).await;
        self.close_control().await;
        match told {
            Err(XenbusError::Store(error))
                if matches!(error.errno(), Some(Errno::EACCES | Errno::ENOENT)) =>
            {
                // The toolstack has removed our directory already.
                Ok(())
            }
            Err(XenbusError::BackendGone { .. }) => Ok(()),
            told => Ok(told?),
        }
    }

    async fn tell_closed(
        &self,
        frontend: &Frontend,
        seen: &BackendChange,
        sleep: &impl AsyncFn(u64),
    ) -> Result<(), XenbusError> {
        use XenbusState::{Closed, Closing, InitWait};
        // A backend that was ready to connect may be about to take up our rings: InitWait does not mean that it let go.
        let forgot = matches!(seen, BackendChange::NotReady | BackendChange::Ready);
        let let_go: &[XenbusState] = if forgot { &[Closed] } else { &[Closed, InitWait] };
        frontend.switch_state(Closing).await?;
        frontend.switch_state(Closed).await?;
        // A backend that keeps our rings costs us two pages. It must not keep us from the next backend.
        match within(sleep, TIMEOUT, frontend.wait_backend(let_go)).await {
            Some(waited) => waited.map(|_| ()),
            None => {
                self.say_once(
                    log::Level::Warn,
                    "the backend does not close; its rings are taken back".into(),
                );
                Ok(())
            }
        }
    }

    /// Takes everything back from a backend that does not use it any more.
    pub(super) async fn take_down(&self) {
        self.mailbox.ask(Command::Stop).await;
        self.mailbox.ask(Command::Release).await;
        self.close_control().await;
    }

    /// Takes everything back from a backend that is gone, and ends all grants to it.
    pub(super) async fn revoke(&self) {
        self.mailbox.ask(Command::Stop).await;
        self.mailbox.ask(Command::Revoke).await;
        self.close_control().await;
    }

    /// Sets our state to Closed after the backend has vanished. A backend that comes back to the same directory must not
    /// find us connected, and take up rings that are gone.
    pub(super) async fn say_closed(&self) {
        if let Some(frontend) = self.said_connected().await
            && let Err(error) = frontend.switch_state(XenbusState::Closed).await
        {
            log::debug!("{}: {error}", self.front);
        }
    }

    /// Gives up after an error, in any state. The backend is told, if that is possible.
    pub(super) async fn abandon(&self, sleep: &impl AsyncFn(u64)) {
        if let Some(frontend) = self.said_connected().await
            && let Err(error) = self.close(&frontend, &BackendChange::Connected, sleep).await
        {
            self.say_once(log::Level::Warn, format!("{error}"));
        }
        self.take_down().await;
    }

    /// Our directory, if it exists and says that we are connected.
    async fn said_connected(&self) -> Option<Frontend> {
        let frontend = Frontend::open(&self.xen.store, &self.front).await.ok()?;
        matches!(frontend.state().await, Ok(XenbusState::Connected)).then_some(frontend)
    }
}
