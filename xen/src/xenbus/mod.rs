//! Xenbus: how the two ends of a device find each other, open, and close.
//!
//! ```text
//!   frontend (we)                              backend
//!   1 Initialising ────────────────────────►   1 Initialising
//!        │  wait  ◄──────────────────────────  2 InitWait
//!   4 Connected (rings written before) ────►   4 Connected       (may come late: hotplug)
//!   6 Closed ◄──── 5 Closing, 6 Closed, gone, or another one: the device restarts, or is removed
//! ```
//!
//! Each end writes its own `state` and watches the other's. [`Frontend`] reads and writes the nodes; [`BackendWatch`]
//! tells what the backend does as a [`BackendChange`]; [`Phase::next`] says what a frontend does about it, and is a pure
//! function. Rings, grants and ports are the driver's; so are time limits: every wait here can be dropped at any
//! point, for instance by a `select` with a timer.
//!
//! A state read from the store is a value, not a step: backends jump, repeat and restart, and the first event of a
//! watch comes at registration. A backend domain that is started again has another id and another path.

mod phase;
#[cfg(test)]
mod tests;

pub use phase::{BackendChange, Online, Phase, Step};

use crate::Errno;
use crate::abi::io_xenbus::XenbusState;
use crate::ids::DomId;
use crate::xenstore::{Watch, XenStore, XsError, number};
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;

/// Why a device cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XenbusError {
    /// The store said no, or could not be asked.
    Store(XsError),
    /// The frontend's directory has no `backend` or `backend-id`: the toolstack has removed the device.
    Removed {
        /// The node that is missing.
        path: String,
    },
    /// The backend went away while we waited for it.
    BackendGone {
        /// Its directory.
        path: String,
    },
}

impl From<XsError> for XenbusError {
    fn from(error: XsError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for XenbusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Removed { path } => write!(f, "{path} is missing; the device was removed, attach it again"),
            Self::BackendGone { path } => {
                write!(f, "the backend at {path} is gone; start its domain and attach the device again")
            }
        }
    }
}

impl core::error::Error for XenbusError {}

/// Where the other end is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its directory.
    pub path: String,
    /// Its domain; not always 0.
    pub domid: DomId,
}

/// Our end of a device.
#[derive(Clone, Debug)]
pub struct Frontend {
    store: XenStore,
    path: String,
    backend: Backend,
}

impl Frontend {
    /// The device whose directory is `path`, such as `device/vif/0`.
    ///
    /// # Errors
    /// [`XenbusError::Removed`] if the toolstack has not filled it.
    pub async fn open(store: &XenStore, path: &str) -> Result<Self, XenbusError> {
        let backend = find_backend(store, path).await?;
        Ok(Self { store: store.clone(), path: path.into(), backend })
    }

    /// Our directory.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The backend, as it was last looked for.
    #[must_use]
    pub const fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Looks for the backend again: after a restore, or if it has [`BackendChange::Moved`].
    ///
    /// # Errors
    /// [`XenbusError::Removed`] if there is none any more.
    pub async fn find_backend(&mut self) -> Result<&Backend, XenbusError> {
        self.backend = find_backend(&self.store, &self.path).await?;
        Ok(&self.backend)
    }

    /// The path of a node in our directory.
    #[must_use]
    pub fn node(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// The path of a node in the backend's directory.
    #[must_use]
    pub fn backend_node(&self, name: &str) -> String {
        format!("{}/{name}", self.backend.path)
    }

    /// Our own state as the store has it; [`XenbusState::Unknown`] if it is missing or makes no sense.
    ///
    /// # Errors
    /// What the store says.
    pub async fn state(&self) -> Result<XenbusState, XsError> {
        Ok(read_state(&self.store, &self.node("state")).await?.unwrap_or(XenbusState::Unknown))
    }

    /// The backend's state; `None` if its directory is gone.
    ///
    /// # Errors
    /// What the store says.
    pub async fn backend_state(&self) -> Result<Option<XenbusState>, XsError> {
        read_state(&self.store, &self.backend_node("state")).await
    }

    /// Whether the backend may be opened again once it has closed. No word means no.
    ///
    /// # Errors
    /// What the store says.
    pub async fn online(&self) -> Result<Online, XsError> {
        let online = gone_is_none(self.store.read_opt(&self.backend_node("online")).await)?;
        Ok(if online.flatten().is_some_and(|value| value.trim() == "1") { Online::Yes } else { Online::No })
    }

    /// Tells the backend our state. Writes also a state that is there already: that wakes the backend's watch.
    ///
    /// # Errors
    /// What the store says.
    pub async fn switch_state(&self, state: XenbusState) -> Result<(), XsError> {
        self.store.write(&self.node("state"), format!("{}", state.raw())).await
    }

    /// Watches the backend, and where it is.
    ///
    /// # Errors
    /// What the store says.
    pub async fn watch(&self) -> Result<BackendWatch, XsError> {
        let state = self.store.watch(&self.backend_node("state")).await?;
        let place = self.store.watch(&self.node("backend")).await?;
        Ok(BackendWatch { frontend: self.clone(), state, place })
    }

    /// Waits until the backend's state is one of `states`; which.
    ///
    /// # Errors
    /// [`XenbusError::BackendGone`] if it vanished or moved meanwhile, or was not there.
    pub async fn wait_backend(&self, states: &[XenbusState]) -> Result<XenbusState, XenbusError> {
        let watch = self.watch().await?;
        loop {
            let change = watch.changed().await?;
            if matches!(change, BackendChange::Vanished | BackendChange::Moved(_)) {
                return Err(XenbusError::BackendGone { path: self.backend.path.clone() });
            }
            // Read again: `change` is coarser than a state.
            if let Some(state) = self.backend_state().await?.filter(|state| states.contains(state)) {
                return Ok(state);
            }
        }
    }

    /// Brings both ends to where a new device starts, from whatever a former user (boot loader, kernel before a kexec,
    /// ourselves, a backend that restarted) has left: 5, wait for 5; 6, wait for 6; 1, wait for 2. It begins where the
    /// *backend* stands: one that has closed already, or never opened, answers no 5.
    ///
    /// Without a former user it is nothing but the last wait.
    ///
    /// # Errors
    /// [`XenbusError::BackendGone`]; what the store says.
    pub async fn reset(&self) -> Result<(), XenbusError> {
        use XenbusState::{Closed, Closing, InitWait, Initialising};
        let Some(mut theirs) = self.backend_state().await? else {
            return Err(XenbusError::BackendGone { path: self.backend.path.clone() });
        };
        let ours = self.state().await?;
        if BackendChange::from_state(Some(theirs)) == BackendChange::Connected {
            self.switch_state(Closing).await?;
            theirs = self.wait_backend(&[Closing, Closed, InitWait]).await?;
        }
        if theirs == Closing {
            self.switch_state(Closed).await?;
            theirs = self.wait_backend(&[Closed, InitWait]).await?;
        }
        // To one that is closed 1 is said again, also if the node has it already: it may not have looked.
        if theirs == Closed || ours != Initialising {
            self.switch_state(Initialising).await?;
        }
        self.wait_backend(&[InitWait]).await?;
        Ok(())
    }
}

/// What the backend does, one change after the other. It belongs to the backend that the [`Frontend`] named when it was
/// made: after [`Frontend::find_backend`], make a new one.
#[derive(Debug)]
pub struct BackendWatch {
    frontend: Frontend,
    state: Watch,
    place: Watch,
}

impl BackendWatch {
    /// Waits for the next event, and reads the present state then. The first comes at once; two changes in a row may be
    /// one, and one may be told twice. Dropped while it waits, it loses nothing that a later call would not see.
    ///
    /// # Errors
    /// What the store says.
    pub async fn changed(&self) -> Result<BackendChange, XsError> {
        poll_fn(|cx| {
            let state = self.state.poll_changed(cx);
            let place = self.place.poll_changed(cx);
            if state.is_ready() || place.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.now().await
    }

    /// The present state.
    ///
    /// # Errors
    /// What the store says.
    pub async fn now(&self) -> Result<BackendChange, XsError> {
        let Frontend { store, path, backend, .. } = &self.frontend;
        // Together: where the backend is, and the state of the one that is known.
        let [directory, id] = place_of(path);
        let paths = [directory, id, self.frontend.backend_node("state")];
        let [directory_path, id_path, _] = &paths;
        let [directory, id, state] = store.read_all(&paths).await;
        match backend_of((directory_path, directory), (id_path, id)) {
            Ok(found) if found != *backend => return Ok(BackendChange::Moved(found)),
            Ok(_) => {}
            Err(XenbusError::Store(error)) => return Err(error),
            Err(_) => return Ok(BackendChange::Vanished),
        }
        Ok(BackendChange::from_state(state_of(state)?))
    }
}

/// Reads where the backend of a frontend is.
async fn find_backend(store: &XenStore, frontend: &str) -> Result<Backend, XenbusError> {
    let paths = place_of(frontend);
    let [directory_path, id_path] = &paths;
    let [directory, id] = store.read_all(&paths).await;
    backend_of((directory_path, directory), (id_path, id))
}

/// The nodes that say where the backend is.
fn place_of(frontend: &str) -> [String; 2] {
    [format!("{frontend}/backend"), format!("{frontend}/backend-id")]
}

/// What the nodes of [`place_of`] say.
fn backend_of(
    (directory_path, directory): (&str, Result<Option<String>, XsError>),
    (id_path, id): (&str, Result<Option<String>, XsError>),
) -> Result<Backend, XenbusError> {
    let removed = |path: &str| XenbusError::Removed { path: path.into() };
    let path = directory?.filter(|path| !path.is_empty()).ok_or_else(|| removed(directory_path))?;
    let id = id?.ok_or_else(|| removed(id_path))?;
    Ok(Backend { path, domid: DomId(number(id_path, &id)?) })
}

/// Reads a state; `None` if there is no such node (any more).
async fn read_state(store: &XenStore, path: &str) -> Result<Option<XenbusState>, XsError> {
    state_of(store.read_opt(path).await)
}

/// What a node's value says of a state.
fn state_of(value: Result<Option<String>, XsError>) -> Result<Option<XenbusState>, XsError> {
    let value = match value {
        Err(XsError::NotText { .. }) => return Ok(Some(XenbusState::Unknown)),
        value => gone_is_none(value)?.flatten(),
    };
    let state =
        |value: String| value.trim().parse::<u32>().ok().and_then(|raw| XenbusState::try_from(raw).ok());
    Ok(value.map(|value| state(value).unwrap_or(XenbusState::Unknown)))
}

/// For a node that is gone with its parents, xenstored answers `EACCES` to a domain that may not read the remaining
/// parent: it does not reveal what exists.
fn gone_is_none<T>(result: Result<T, XsError>) -> Result<Option<T>, XsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.errno(), Some(Errno::EACCES | Errno::ENOENT)) => Ok(None),
        Err(error) => Err(error),
    }
}
