//! The counters of a queue, by direction.
//!
//! Packets and bytes are whole Ethernet frames. `rx` is backend → us, `tx` is us → backend.

xen::counters! {
    /// What is counted on the way in.
    pub struct RxStats {
        /// Frames given to the stack.
        packets,
        /// Frames copied out of their page: shorter than the threshold, or from a backend that is not trusted.
        copied_packets,
        /// Frames read in their page, without a copy.
        zero_copy_packets,
        /// Bytes of frames given to the stack.
        bytes,
        /// Bytes of copied frames.
        copied_bytes,
        /// Bytes of frames read in their page.
        zero_copy_bytes,
        /// Frames that applications retained after their iteration.
        retained_packets,
        /// Frames that were not retained, because the retention limit was reached or memory was missing.
        retained_refused,
        /// Frames over several slots, each assembled by one copy.
        chains,
        /// Frames that the backend merged from several segments.
        gso_packets,
        /// Frames with a blank checksum: they never were on a wire.
        checksum_blank,
        /// Frames with a hash.
        hashed,
        /// Frames on another queue than their hash says.
        hash_wrong_queue,
        /// Frames whose hash was computed here too.
        hash_checked,
        /// Frames whose hash differs from the one computed here.
        hash_mismatch,
        /// Bytes cleared in pages before these went back to the backend.
        cleared_bytes,
        /// Frames dropped, for any reason.
        dropped,
        /// Frames that the backend reported as failed.
        backend_errors,
        /// Responses taken from the ring.
        responses,
        /// Requests written to the ring.
        requests,
        /// Notifications sent.
        notifications,
        /// Iterations in which the pool was empty before the ring was full.
        starved,
    }
}

xen::counters! {
    /// What is counted on the way out.
    pub struct TxStats {
        /// Frames queued.
        packets,
        /// Frames over several slots.
        chains,
        /// Bytes of frames queued.
        bytes,
        /// Frames that the backend segments into TCP segments.
        gso_packets,
        /// Frames whose checksum the backend completes.
        checksum_blank,
        /// Responses taken from the ring.
        responses,
        /// Frames that the backend dropped.
        backend_dropped,
        /// Frames that the backend failed to send.
        backend_errors,
        /// Frames refused because they are shorter than a header or longer than the interface sends.
        refused,
        /// Requests to the backend to let a multicast group in, or to keep it out.
        group_requests,
        /// Multicast requests that the backend refused.
        groups_refused,
        /// Frames that were queued and not shown to the backend when it went away.
        lost_queued,
        /// Frames that were shown to the backend and not answered when it went away.
        lost_in_flight,
        /// Notifications sent.
        notifications,
        /// Times that no frame could be sent because a slot or a page was missing.
        exhausted,
    }
}
