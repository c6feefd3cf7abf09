//! The client's counters.

crate::counters! {
    /// What the xenstore client has counted since boot.
    pub struct XsStats {
        /// Requests queued.
        requests,
        /// Answers to requests of a task or of the clean-up.
        replies,
        /// Watch events that reached a watch.
        events,
        /// Watch events without a valid token, or for a watch that does not exist any more.
        stale_events,
        /// Answers to requests that were never sent, and second answers.
        stray_replies,
        /// Answers that broke the protocol.
        bad_replies,
        /// Requests of the clean-up and of a reconnect that were refused.
        refused_silently,
        /// Bytes in the ring at the start: answers to a former user of the ring.
        leftover_bytes,
        /// Notifications sent.
        notifications,
        /// Notifications that Xen refused.
        notify_failures,
        /// Connections after the first one: after a restore, or a reset by either side.
        reconnects,
        /// Times that all waiting requests failed because xenstored did not answer.
        given_up,
    }
}
