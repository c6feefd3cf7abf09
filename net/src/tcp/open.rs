//! The beginning of connections: received SYNs, finished handshakes, and connections that this host opens.

use alloc::rc::Rc;

use smoltcp::time::Duration;
use smoltcp::wire::IpAddress;
use tcp::handshake::{HalfOpen, timestamp_clock};
use tcp::sources::Refused;
use tcp::syn_cache::Taken;
use tcp::time_wait::Verdict;
use tcp::tuple::FourTuple;
use tcp::{Flags, Open, Reply, Segment, Seq, State, Tcb};

use crate::base::chunk::Chunk;
use crate::base::counters::{Counters, DropReason, Drops};
use crate::base::error::NetError;
use crate::base::options::TcpOptions;
use crate::base::time;
use crate::tcp::conn::{Conn, Owner};
use crate::tcp::link::Link;
use crate::tcp::listener::Listener;
use crate::tcp::memory::Wanted;
use crate::tcp::options::ConnOptions;
use crate::tcp::shard::Shard;

/// The MSS of a peer that sends no MSS option. RFC 9293, section 3.7.1.
const DEFAULT_MSS_V4: u16 = 536;
const DEFAULT_MSS_V6: u16 = 1220;

/// The order of use is exact to this step.
const USE_STEP: Duration = Duration::from_millis(125);

/// The answer to a segment without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// None.
    None,
    /// This segment.
    Send(Segment),
    /// This reset, if the rate limit allows it.
    Reset(Segment),
}

/// What is counted.
pub(crate) struct Tally<'a> {
    pub(crate) counters: &'a mut Counters,
    pub(crate) drops: &'a mut Drops,
}

/// A received segment.
pub(crate) struct Arrival<'a> {
    pub(crate) tuple: &'a FourTuple,
    pub(crate) segment: &'a Segment,
    /// The interface that it came from.
    pub(crate) link: &'a Link,
}

/// The payload, when [`Shard::receive`] asks for it. Returns `None` without memory for a copy.
pub(crate) trait TakePayload: FnOnce() -> Option<Chunk> {}

impl<F: FnOnce() -> Option<Chunk>> TakePayload for F {}

impl Shard {
    /// Takes a segment. Calls `payload` only if the payload is needed.
    pub(crate) fn receive(
        &mut self,
        arrival: &Arrival<'_>,
        payload: impl TakePayload,
        tally: &mut Tally<'_>,
    ) -> Answer {
        let (tuple, segment) = (arrival.tuple, arrival.segment);
        let controls = segment.flags.intersection(Flags::SYN | Flags::ACK | Flags::RST | Flags::FIN);
        if let Some(id) = self.conns.find(tuple) {
            if controls != Flags::SYN || !self.has_ended(id) {
                return self.deliver(id, segment, payload, tally);
            }
            // The application still has a connection that has ended. The peer may open the next one.
            self.conns.free_name(id);
        }
        let verdict = self.time_waits.on_segment(tuple, segment, self.at);
        let past = match verdict {
            None => None,
            Some(Verdict::Drop) => return Answer::None,
            Some(Verdict::Ack(ack)) => return Answer::Send(ack),
            Some(Verdict::Challenge(ack)) => {
                let now = u64::try_from(self.at.total_micros()).unwrap_or(0);
                let allowed = self.env.challenge_acks.take(now);
                return if allowed { Answer::Send(ack) } else { Answer::None };
            }
            Some(Verdict::Open { past }) => {
                tally.counters.time_wait_recycled.bump();
                Some(past)
            }
        };
        let listened = self.listeners.get(tuple.local_port).is_some();
        if listened && controls == Flags::SYN && tuple.remote_port != 0 {
            return self.begin_handshake(arrival, past, tally);
        }
        if let Some(half) = self.half_open.as_ref().and_then(|half_open| half_open.get(tuple)) {
            return self.half_open_segment(arrival, &half, payload, tally);
        }
        if listened && let Some(half) = self.cookies.check(tuple, segment, self.at, &self.env.config) {
            if !self.admit(tuple.remote, tally) {
                return Answer::None;
            }
            tally.counters.cookies_accepted.bump();
            return self.finish_handshake(arrival, &half, None, payload, tally);
        }
        segment.reset_for().map_or(Answer::None, Answer::Reset)
    }

    /// Whether a connection has ended: it neither sends nor receives.
    fn has_ended(&self, id: u32) -> bool {
        self.get(id).is_some_and(|conn| conn.tcb.state() == State::Closed && !conn.tcb.wants_transmit())
    }

    /// Passes a segment to its connection. Without memory for the payload the connection gets the acknowledgement alone,
    /// and the peer retransmits the payload.
    fn deliver(
        &mut self,
        id: u32,
        segment: &Segment,
        payload: impl TakePayload,
        tally: &mut Tally<'_>,
    ) -> Answer {
        let counters = &mut *tally.counters;
        let Some(conn) = self.get(id) else { return Answer::None };
        let (opening, wanted) = (conn.tcb.state() == State::SynSent, Wanted::of(conn, segment));
        if time::after(conn.tcb.heard_at(), USE_STEP) <= self.at {
            self.conns.touch(id);
        }
        let room = segment.payload_len == 0 || self.take_room_for(id, wanted, counters);
        let payload = if room { payload() } else { None };
        let mut alone = None;
        let payload = payload.unwrap_or_else(|| {
            tally.drops.bump(DropReason::Memory);
            let flags = segment.flags.difference(Flags::FIN | Flags::PSH);
            alone = Some(Segment { flags, payload_len: 0, ..*segment });
            Chunk::EMPTY
        });
        let segment = alone.as_ref().unwrap_or(segment);
        let reply = self.update(id, counters, |conn, at, env| conn.tcb.on_segment(segment, payload, at, env));
        if opening && self.get(id).is_some_and(|conn| conn.tcb.state() == State::Established) {
            counters.connected.bump();
        }
        match reply {
            Some(Reply::Reset) => segment.reset_for().map_or(Answer::None, Answer::Reset),
            _ => Answer::None,
        }
    }

    /// A SYN for a port with a listener: it is answered from the SYN cache, or by a cookie.
    fn begin_handshake(&mut self, arrival: &Arrival<'_>, past: Option<Seq>, tally: &mut Tally<'_>) -> Answer {
        let (tuple, segment, mss) = (arrival.tuple, arrival.segment, arrival.link.mss(arrival.tuple.local));
        let full = self.listeners.get(tuple.local_port).is_none_or(|listener| listener.is_full());
        if full {
            tally.drops.bump(DropReason::Backlog);
            return Answer::None;
        }
        if self.conns.count_of_source(tuple.remote) >= most(self.limits.connections_per_source) {
            tally.drops.bump(DropReason::SourceLimit);
            return Answer::None;
        }
        let micros = u64::try_from(self.at.total_micros()).unwrap_or(0);
        let iss = match past {
            Some(past) => self.isn.isn_after(tuple, micros, past.0),
            None => self.isn.isn(tuple, micros),
        };
        let default = if matches!(tuple.local, IpAddress::Ipv4(_)) { DEFAULT_MSS_V4 } else { DEFAULT_MSS_V6 };
        let again = self
            .half_open
            .as_ref()
            .and_then(|half_open| half_open.get(tuple))
            .filter(|half| half.irs == segment.seq);
        let mut half = again.unwrap_or_else(|| HalfOpen::new(segment, Seq(iss), default, &self.env.config));
        let clock = timestamp_clock(self.at, self.isn.timestamp_offset(tuple));
        let kept = again.is_some()
            || self.half_open.as_mut().is_some_and(|cache| cache.insert(tuple, &half, self.at).is_ok());
        let value = if kept {
            clock
        } else if !self.may_admit(tuple.remote, tally.counters) {
            tally.drops.bump(DropReason::Memory);
            return Answer::None;
        } else {
            let cookie = self.cookies.issue(tuple, &half, self.at, clock);
            half.iss = cookie.iss;
            tally.counters.cookies_sent.bump();
            cookie.timestamp
        };
        Answer::Send(half.syn_ack(mss, value, &self.env.config))
    }

    /// A segment for a half-open connection.
    fn half_open_segment(
        &mut self,
        arrival: &Arrival<'_>,
        half: &HalfOpen,
        payload: impl TakePayload,
        tally: &mut Tally<'_>,
    ) -> Answer {
        let (tuple, segment) = (arrival.tuple, arrival.segment);
        if segment.flags.contains(Flags::RST) {
            // RFC 5961, section 3.2: only the exact sequence number resets.
            if segment.seq == half.irs.add(1) {
                self.take_half_open(tuple);
            }
            return Answer::None;
        }
        if half.is_finished_by(segment, &self.env.config) {
            let full = self.listeners.get(tuple.local_port).is_some_and(Listener::is_full);
            if full {
                tally.drops.bump(DropReason::Backlog);
            }
            if full || !self.admit(tuple.remote, tally) {
                // The peer believes that it is connected: it will be when there is room.
                self.half_open.iter_mut().for_each(|cache| cache.note_answer(tuple, self.at));
                return Answer::None;
            }
            let rtt = self.take_half_open(tuple).and_then(|taken| taken.rtt);
            return self.finish_handshake(arrival, half, rtt, payload, tally);
        }
        // An unacceptable acknowledgement: RFC 9293, section 3.10.7.4, SYN-RECEIVED.
        let odd = segment.flags.contains(Flags::ACK) && segment.ack != half.iss.add(1);
        if odd { segment.reset_for().map_or(Answer::None, Answer::Reset) } else { Answer::None }
    }

    fn take_half_open(&mut self, tuple: &FourTuple) -> Option<Taken> {
        self.half_open.as_mut()?.take(tuple, self.at)
    }

    /// Takes the memory for one more connection.
    fn admit(&mut self, peer: IpAddress, tally: &mut Tally<'_>) -> bool {
        let admitted = self.make_room(peer, tally.counters);
        if !admitted {
            tally.drops.bump(DropReason::Connections);
        }
        admitted
    }

    /// Passes a connection whose handshake is finished and whose memory is taken to its listener.
    fn finish_handshake(
        &mut self,
        arrival: &Arrival<'_>,
        half: &HalfOpen,
        rtt: Option<Duration>,
        payload: impl TakePayload,
        tally: &mut Tally<'_>,
    ) -> Answer {
        let Arrival { tuple, segment, link } = *arrival;
        let Some(listener) = self.listeners.get(tuple.local_port) else {
            self.give_room();
            return segment.reset_for().map_or(Answer::None, Answer::Reset);
        };
        if listener.is_full() {
            // The peer retransmits it.
            tally.drops.bump(DropReason::Backlog);
            self.give_room();
            return Answer::None;
        }
        match self.establish(tuple, half, rtt, link, tally) {
            Some(id) => self.deliver(id, segment, payload, tally),
            None => Answer::None,
        }
    }

    /// Adds a connection whose handshake is finished and whose memory is taken, and gives it to its listener. `None`: the
    /// table refuses it.
    fn establish(
        &mut self,
        tuple: &FourTuple,
        half: &HalfOpen,
        rtt: Option<Duration>,
        link: &Link,
        tally: &mut Tally<'_>,
    ) -> Option<u32> {
        let options = Rc::clone(&self.listeners.get(tuple.local_port)?.options);
        let timestamp_offset = self.isn.timestamp_offset(tuple);
        let mss = link.mss(tuple.local);
        let open = Open { iss: half.iss, timestamp_offset, announced_mss: mss, path_mss: mss };
        let agreed = half.agreed(rtt, &self.env.config);
        let mut tcb = Tcb::established(&open, &agreed, self.at, &mut self.env);
        configure(&mut tcb, &options);
        let mut conn = Conn::new(tcb, options, Owner::Ready);
        conn.flow = link.flow(tuple);
        match self.conns.insert(tuple, conn) {
            Ok(id) => {
                self.offer(id);
                Some(id)
            }
            Err(why) => {
                self.give_room();
                let reason = if why == Refused::Share { DropReason::SourceLimit } else { DropReason::Memory };
                tally.drops.bump(reason);
                None
            }
        }
    }

    /// Connects peers whose handshake was finished while the backlog was full, as far as there is room now. Their
    /// windows are not known until they send: what they sent before was dropped.
    pub(crate) fn admit_answered(&mut self, link: &Link, tally: &mut Tally<'_>) {
        loop {
            let Self { half_open, listeners, .. } = self;
            let has_room = |port| listeners.get(port).is_some_and(|listener| !listener.is_full());
            let Some(cache) = half_open else { return };
            let Some((tuple, half)) = cache.next_answered(has_room) else { return };
            if !self.make_room(tuple.remote, tally.counters) {
                return;
            }
            let Some(id) = self.establish(&tuple, &half, None, link, tally) else { return };
            self.take_half_open(&tuple);
            self.refresh(id, false, tally.counters);
        }
    }

    /// Retransmits due SYN-ACKs of half-open connections.
    pub(crate) fn poll_half_open(&mut self, link: &Link) -> Option<(FourTuple, Segment)> {
        let (tuple, half) = self.half_open.as_mut()?.poll(self.at)?;
        let clock = timestamp_clock(self.at, self.isn.timestamp_offset(&tuple));
        Some((tuple, half.syn_ack(link.mss(tuple.local), clock, &self.env.config)))
    }

    /// Begins to open a connection. Returns its number and its name.
    pub(crate) fn connect(
        &mut self,
        ends: (IpAddress, IpAddress, u16),
        options: TcpOptions,
        link: &Link,
        counters: &mut Counters,
    ) -> Result<(u32, FourTuple), NetError> {
        let (local, remote, remote_port) = ends;
        if !self.make_room(remote, counters) {
            return Err(NetError::TooManyConnections);
        }
        let Self { ports, conns, listeners, .. } = self;
        let tuple = |local_port| FourTuple { local, local_port, remote, remote_port };
        let is_free = |port| listeners.get(port).is_none() && conns.find(&tuple(port)).is_none();
        let Some(port) = ports.pick(local, remote, remote_port, is_free) else {
            self.give_room();
            return Err(NetError::NoPorts);
        };
        let tuple = tuple(port);
        let micros = u64::try_from(self.at.total_micros()).unwrap_or(0);
        let iss = Seq(self.isn.isn(&tuple, micros));
        let timestamp_offset = self.isn.timestamp_offset(&tuple);
        let mss = link.mss(local);
        let open = Open { iss, timestamp_offset, announced_mss: mss, path_mss: mss };
        let options = ConnOptions::new(options);
        // It counts from here on, also while the SYN waits for its neighbour.
        self.env.config.connect_timeout_ms = options.connect_timeout_ms;
        let mut tcb = Tcb::connect(&open, self.at, &mut self.env);
        configure(&mut tcb, &options);
        let mut conn = Conn::new(tcb, Rc::new(options), Owner::Held);
        conn.flow = link.flow(&tuple);
        let Ok(id) = self.conns.insert(&tuple, conn) else {
            self.give_room();
            return Err(NetError::TooManyConnections);
        };
        self.update(id, counters, |_, _, _| ());
        Ok((id, tuple))
    }
}

fn configure(tcb: &mut Tcb<Chunk>, options: &TcpOptions) {
    tcb.set_nagle(options.nagle);
    tcb.set_keep_alive(options.keep_alive.map(time::duration));
    tcb.set_user_timeout(options.timeout.map(time::duration));
}

fn most(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
