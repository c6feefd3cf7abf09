//! How a vif leaves its backend: in order, after an error, or after the backend has vanished.
//!
//! ```text
//!   Stop: no more frames ─► our state 5, 6 ─► the backend lets go ─► Release: rings and pages are ours again
//!                             └ a backend that is gone is told nothing, and our directory says 6 all the same
//! ```

use crate::life::{Life, PATIENCE};
use crate::mailbox::Command;
use crate::patience::within;
use crate::vif::ConnectError;
use xen::abi::io_xenbus::XenbusState;
use xen::xenbus::{BackendChange, Frontend, XenbusError};
use xen::{Errno, Machine};

impl<M: Machine> Life<M> {
    /// Ends a connection that the backend wants to end: no more frames, our state to 5 and 6, and when the backend has
    /// let go, everything back.
    pub(crate) async fn close(
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
                // The toolstack was faster, and has taken our directory away.
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
        // One that was ready to begin may be about to take up our rings: that it still says so means nothing.
        let forgot = matches!(seen, BackendChange::NotReady | BackendChange::Ready);
        let let_go: &[XenbusState] = if forgot { &[Closed] } else { &[Closed, InitWait] };
        frontend.switch_state(Closing).await?;
        frontend.switch_state(Closed).await?;
        // A backend that keeps our rings costs us two pages. It must not cost us the next backend.
        match within(sleep, PATIENCE, frontend.wait_backend(let_go)).await {
            Some(waited) => waited.map(|_| ()),
            None => {
                log::warn!(
                    "{}: the backend does not close; its rings are taken back all the same",
                    self.front
                );
                Ok(())
            }
        }
    }

    /// Takes everything back from a backend that is not there any more.
    pub(crate) async fn take_down(&self) {
        self.mailbox.ask(Command::Stop).await;
        self.mailbox.ask(Command::Release).await;
        self.close_control().await;
    }

    /// After a backend that vanished: one that comes back to the same directory must not find that we are connected, and
    /// take up rings that are not there any more.
    pub(crate) async fn say_closed(&self) {
        if let Some(frontend) = self.said_connected().await
            && let Err(error) = frontend.switch_state(XenbusState::Closed).await
        {
            log::debug!("{}: {error}", self.front);
        }
    }

    /// Gives up after an error, in whatever state: the backend is told, if it can be.
    pub(crate) async fn abandon(&self, sleep: &impl AsyncFn(u64)) {
        if let Some(frontend) = self.said_connected().await
            && let Err(error) = self.close(&frontend, &BackendChange::Connected, sleep).await
        {
            log::warn!("{}: {error}", self.front);
        }
        self.take_down().await;
    }

    /// Our directory, if it is there and says that we are connected.
    async fn said_connected(&self) -> Option<Frontend> {
        let frontend = Frontend::open(&self.xen.store, &self.front).await.ok()?;
        matches!(frontend.state().await, Ok(XenbusState::Connected)).then_some(frontend)
    }
}
