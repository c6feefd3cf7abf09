//! The client's counters.

/// The client's counters since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XsStats {
    /// Requests queued.
    pub requests: u64,
    /// Answers for which a task, or the clean-up, waited.
    pub replies: u64,
    /// Watch events that reached a watch.
    pub events: u64,
    /// Watch events for a watch that does not exist (any more), or without a proper token.
    pub stale_events: u64,
    /// Answers to nothing that was asked, and second answers.
    pub stray_replies: u64,
    /// Answers that broke the protocol.
    pub bad_replies: u64,
    /// Requests of the clean-up and of [`reconnect`](crate::xenstore::XenStore::reconnect) that were refused.
    pub refused_silently: u64,
    /// Bytes of a former user's answers that were in the ring at the start.
    pub leftover_bytes: u64,
    /// Notifications sent.
    pub notifications: u64,
    /// Notifications that Xen refused.
    pub notify_failures: u64,
    /// Connections after the first: a restore, a reset by either side.
    pub reconnects: u64,
    /// Times at which the requests that waited failed because the daemon did not answer.
    pub given_up: u64,
}
