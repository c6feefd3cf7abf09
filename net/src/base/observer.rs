//! Who sees every frame, for a capture.

use alloc::rc::Rc;

use smoltcp::time::Instant;
use xen::SystemTime;

use crate::base::time;

/// Sees the frames of an interface as they come and go: received ones before anything is made of them, sent ones as they are
/// handed to the device, which may still complete their checksum or cut them.
///
/// It is called in the middle of an iteration, and must not call the stack.
pub trait Observer {
    /// A frame, from the Ethernet header on, and when the iteration began in which it came or went.
    fn frame(&self, at: SystemTime, frame: &[u8]);
}

/// Where frames are shown, with the time.
#[derive(Clone, Copy)]
pub(crate) struct Show<'a> {
    observer: Option<&'a dyn Observer>,
    now: Instant,
}

impl<'a> Show<'a> {
    #[inline]
    pub(crate) fn new(observer: &'a Option<Rc<dyn Observer>>, now: Instant) -> Self {
        Self { observer: observer.as_deref(), now }
    }

    /// Shows a frame, if there is somebody.
    #[inline]
    pub(crate) fn frame(self, frame: &[u8]) {
        if let Some(observer) = self.observer {
            observer.frame(time::system_time(self.now), frame);
        }
    }
}
