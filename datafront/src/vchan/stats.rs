//! What a channel counts.

xen::counters! {
    /// What a server has counted since it was opened, over all its clients.
    pub struct Stats {
        /// Clients that have connected.
        clients,
        /// Bytes read from clients.
        read_bytes,
        /// Bytes written to clients.
        written_bytes,
        /// Events sent to clients.
        events,
        /// Clients that broke a rule of the channel.
        broken,
    }
}
