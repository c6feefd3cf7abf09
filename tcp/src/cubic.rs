//! CUBIC congestion control (RFC 9438) in integers, with HyStart++ in its first slow start.
//!
//! ```text
//!   cwnd ▲                              .'        W_cubic(t) = C × (t - K)³ + W_max      C = 0.4 segments/s³
//!  W_max ┤- - - - - -_.-------------.-'           K          = ∛((W_max - cwnd at t=0) / C)
//!        │        .-'  concave   convex           cwnd       = max of W_cubic and of what Reno would have (W_est)
//!  0.7 × ┤      /
//!        └──────┴────────────┴──────────► t       t = 0 at the first acknowledgment after recovery
//!               0            K
//! ```
//!
//! Windows are in bytes, `t` and `K` in milliseconds. Remainders of divisions of the growth are kept in
//! 1/256 bytes, so that a large window grows on small acknowledgments too. During recovery PRR ([`crate::prr`]) limits the
//! sender, and [`Cubic::on_ack`] is not called.

use crate::hystart::{CSS_GROWTH_DIVISOR, HyStart, Phase};

/// The largest window: 1 GiB. (RFC 7323 §2.3)
pub const MAX_CWND: u32 = 1 << 30;
/// ssthresh before any congestion: arbitrarily high. (RFC 5681 §3.1)
pub const INFINITE_SSTHRESH: u32 = u32::MAX;
/// Bytes of one acknowledgment that count in slow start, at least eight segments: a receiver that merges segments (LRO,
/// GRO) acknowledges as many at once. RFC 9406 §4.3 has eight segments for a sender without pacing.
const SLOW_START_LIMIT: u32 = 65_536;
/// Bytes of one acknowledgment that count in congestion avoidance: keeps the products below 2^64.
const AVOIDANCE_LIMIT: u32 = 1 << 24;
/// Largest distance from `K` in milliseconds, for the same reason: 2^20 ms cubed are 2^60.
const MAX_OFFSET_MS: u64 = 1 << 20;

/// The limit of the sender while the acknowledged data was in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The congestion window: it was full, and may grow.
    Cwnd,
    /// The application or the peer's window: the congestion window was not used up, and stays. (RFC 9438 §5.8)
    Application,
}

/// An acknowledgment of new data outside recovery.
#[derive(Debug, Clone, Copy)]
pub struct Ack {
    /// Bytes that it newly acknowledges, SACK included.
    pub acked: u32,
    /// Now, in microseconds of a monotonic clock.
    pub now_us: u64,
    /// Its sample of the round-trip time in microseconds.
    pub rtt_us: Option<u32>,
    /// SRTT in microseconds.
    pub srtt_us: u32,
    /// Bytes in flight after it.
    pub in_flight: u32,
    /// The limit of the sender.
    pub limit: Limit,
}

/// The state before a congestion event, restored if the event was spurious. (RFC 9438 §4.9)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Undo {
    cwnd: u32,
    ssthresh: u32,
    w_max: u32,
    cwnd_prior: u32,
    epoch: Option<Epoch>,
}

/// One stage of congestion avoidance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Epoch {
    /// Its begin, in milliseconds modulo 2^32.
    start_ms: u32,
    /// `K` in milliseconds.
    k_ms: u32,
    /// `W_est`: the window of a Reno sender, in bytes.
    w_est: u32,
}

/// Congestion control of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cubic {
    cwnd: u32,
    ssthresh: u32,
    /// `W_max` in bytes; 0 before the first congestion and after a timeout.
    w_max: u32,
    /// The window before the last reduction.
    cwnd_prior: u32,
    epoch: Option<Epoch>,
    undo: Option<Undo>,
    /// The time of the last acknowledgment, in milliseconds modulo 2^32.
    last_ack_ms: u32,
    mss: u16,
    /// Remainders of the growth of `cwnd` and `w_est` in 1/256 bytes.
    cwnd_rest: u8,
    w_est_rest: u8,
    /// No acknowledgment has followed the last timeout.
    in_timeout: bool,
    hystart: HyStart,
}

const _: () = assert!(size_of::<Cubic>() <= 96);

/// Initial window in bytes: ten segments, at most 14,600 bytes, at least two segments. (RFC 6928 §2)
#[must_use]
pub fn initial_window(mss: u16) -> u32 {
    let mss = u32::from(mss);
    mss.saturating_mul(10).min(mss.saturating_mul(2).max(14_600))
}

impl Cubic {
    /// A new connection with segments of `mss` bytes.
    #[must_use]
    pub fn new(mss: u16) -> Self {
        Self::resume(mss, initial_window(mss), INFINITE_SSTHRESH)
    }

    /// A connection whose other state was dropped while it was idle.
    #[must_use]
    pub fn resume(mss: u16, cwnd: u32, ssthresh: u32) -> Self {
        let mut hystart = HyStart::new();
        if ssthresh != INFINITE_SSTHRESH {
            hystart.end();
        }
        Self {
            cwnd: cwnd.clamp(u32::from(mss.max(1)), MAX_CWND),
            ssthresh,
            w_max: 0,
            cwnd_prior: 0,
            epoch: None,
            undo: None,
            last_ack_ms: 0,
            mss: mss.max(1),
            cwnd_rest: 0,
            w_est_rest: 0,
            in_timeout: false,
            hystart,
        }
    }

    /// Congestion window in bytes.
    #[must_use]
    pub const fn cwnd(&self) -> u32 {
        self.cwnd
    }

    /// Slow start threshold in bytes; [`INFINITE_SSTHRESH`] before the first congestion.
    #[must_use]
    pub const fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    /// Whether the window is below the threshold. (RFC 5681 §3.1)
    #[must_use]
    pub const fn in_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// Changes the segment size. The window in bytes stays, but is at least one segment.
    pub fn set_mss(&mut self, mss: u16) {
        self.mss = mss.max(1);
        self.cwnd = self.cwnd.max(self.segment());
    }

    /// Sets the first window to one segment: SYN or SYN-ACK was lost more than once. (RFC 6928 §2, RFC 5681 §3.1)
    pub fn on_lost_handshake(&mut self) {
        self.cwnd = self.segment();
    }

    /// Handles an acknowledgment of new data outside recovery. (RFC 9438 §4.2 to §4.5, §4.10)
    pub fn on_ack(&mut self, ack: &Ack) {
        let now_ms = milliseconds(ack.now_us);
        let since_last = now_ms.wrapping_sub(self.last_ack_ms);
        self.last_ack_ms = now_ms;
        self.in_timeout = false;
        if ack.acked == 0 {
            return;
        }
        if ack.limit == Limit::Application {
            // Time in which the window was not used up does not count. (RFC 9438 §5.8)
            if let Some(epoch) = &mut self.epoch {
                epoch.start_ms = epoch.start_ms.wrapping_add(since_last);
            }
            return;
        }
        if self.in_slow_start() {
            self.slow_start(ack);
        } else {
            self.avoid_congestion(ack, now_ms);
        }
    }

    /// Reduces the window after a loss found by acknowledgments, or an ECN mark, once for each flight. `in_flight` is
    /// FlightSize, from SND.UNA to SND.NXT. (RFC 9438 §4.6, §4.7)
    pub fn on_congestion(&mut self, _now_us: u64, in_flight: u32) {
        self.save();
        self.reduce(in_flight);
        self.cwnd = self.ssthresh;
    }

    /// Handles an expired retransmission timer. The window becomes one segment; the threshold falls only at the first expiry
    /// without an acknowledgment. (RFC 9438 §4.8, RFC 5681 §3.1)
    pub fn on_rto(&mut self, _now_us: u64, in_flight: u32) {
        if !self.in_timeout {
            self.save();
            self.reduce(in_flight);
        }
        self.in_timeout = true;
        // The first stage after a timeout has K = 0 and starts from its own window.
        self.w_max = 0;
        self.cwnd = self.segment();
    }

    /// Undoes the last reduction, which was spurious: the path only delayed or reordered. Has no effect without a reduction,
    /// or if it was undone before. (RFC 9438 §4.9)
    pub fn undo(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        self.cwnd = self.cwnd.max(undo.cwnd);
        self.ssthresh = self.ssthresh.max(undo.ssthresh);
        self.w_max = undo.w_max;
        self.cwnd_prior = undo.cwnd_prior;
        self.epoch = undo.epoch;
        self.in_timeout = false;
    }

    /// Ends the time in which [`Cubic::undo`] may restore the window: the recovery is over.
    pub fn forget_undo(&mut self) {
        self.undo = None;
    }

    /// Reduces the window after `idle_us` without a sent segment: by half for each RTO, down to the initial window. RFC 5681
    /// §4.1 drops to it at once; RFC 7661 §1 explains why a slower reduction is allowed.
    pub fn on_restart(&mut self, idle_us: u64, rto_us: u32) {
        let halvings = idle_us.checked_div(u64::from(rto_us)).unwrap_or(0);
        let floor = initial_window(self.mss).min(self.cwnd);
        if halvings > 0 && self.cwnd > floor {
            // Slow start then leads back nearly to the former window.
            if self.ssthresh != INFINITE_SSTHRESH {
                self.ssthresh = self.ssthresh.max(fraction(self.cwnd, 3, 4));
            }
            let shifted = self.cwnd.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0);
            self.cwnd = shifted.max(floor);
        }
        if let Some(epoch) = &mut self.epoch {
            epoch.start_ms = epoch.start_ms.wrapping_add(milliseconds(idle_us));
            self.last_ack_ms = self.last_ack_ms.wrapping_add(milliseconds(idle_us));
        }
    }

    fn segment(&self) -> u32 {
        u32::from(self.mss)
    }

    fn save(&mut self) {
        self.undo = Some(Undo {
            cwnd: self.cwnd,
            ssthresh: self.ssthresh,
            w_max: self.w_max,
            cwnd_prior: self.cwnd_prior,
            epoch: self.epoch,
        });
    }

    /// Threshold and `W_max` of a congestion event, with fast convergence. (RFC 9438 §4.6, §4.7)
    fn reduce(&mut self, in_flight: u32) {
        self.hystart.end();
        self.w_max = if self.cwnd < self.w_max { fraction(self.cwnd, 17, 20) } else { self.cwnd };
        self.cwnd_prior = self.cwnd;
        self.epoch = None;
        self.ssthresh = fraction(self.cwnd.min(in_flight), 7, 10).max(self.segment().saturating_mul(2));
    }

    /// RFC 5681 §3.1, with the growth that HyStart++ allows (RFC 9406 §4.3).
    fn slow_start(&mut self, ack: &Ack) {
        let counted = ack.acked.min(self.segment().saturating_mul(8).max(SLOW_START_LIMIT));
        let phase = match self.hystart.phase() {
            Phase::Done => None,
            _ => Some(self.hystart.on_ack(ack.acked, ack.rtt_us, ack.in_flight)),
        };
        match phase {
            Some(Phase::Css(_)) => self.grow(counted / CSS_GROWTH_DIVISOR),
            // Conservative slow start has finished its rounds: congestion avoidance begins.
            Some(Phase::Done) => self.ssthresh = self.cwnd,
            Some(Phase::SlowStart) | None => self.grow(counted),
        }
    }

    /// Slow start ends at the threshold.
    fn grow(&mut self, bytes: u32) {
        self.cwnd = self.cwnd.saturating_add(bytes).min(self.ssthresh).min(MAX_CWND);
    }

    fn avoid_congestion(&mut self, ack: &Ack, now_ms: u32) {
        let mut epoch = self.epoch.unwrap_or_else(|| self.begin_epoch(now_ms));
        let acked = ack.acked.min(AVOIDANCE_LIMIT);
        self.grow_reno(&mut epoch, acked);
        self.epoch = Some(epoch);

        let t = u64::from(now_ms.wrapping_sub(epoch.start_ms));
        if self.w_cubic(t, epoch.k_ms) < u64::from(epoch.w_est) {
            // Reno-friendly region. (§4.3)
            self.cwnd = self.cwnd.max(epoch.w_est).min(MAX_CWND);
            return;
        }
        // Concave or convex region: reach the curve's value of one round trip later. (§4.4, §4.5)
        let then = t.saturating_add(u64::from(ack.srtt_us / 1000));
        let (least, most) = (u64::from(self.cwnd), u64::from(self.cwnd) * 3 / 2);
        let target = self.w_cubic(then, epoch.k_ms).clamp(least, most);
        let product = target.saturating_sub(least).saturating_mul(u64::from(acked)) << 8;
        let (bytes, rest) = divide(product, self.cwnd, self.cwnd_rest);
        self.cwnd_rest = rest;
        self.cwnd = self.cwnd.saturating_add(bytes).min(MAX_CWND);
    }

    /// `K`, and `W_max` where there was no congestion before. (RFC 9438 §4.2, §4.8, §4.10)
    fn begin_epoch(&mut self, now_ms: u32) -> Epoch {
        let mut k_ms = 0;
        if self.w_max > self.cwnd {
            // K³ = (W_max - cwnd) / 0.4 in s³; times 10^9 in ms³.
            let cube = u64::from(self.w_max.saturating_sub(self.cwnd)).saturating_mul(2_500_000_000);
            k_ms = cube_root(cube.checked_div(u64::from(self.mss)).unwrap_or(0));
        } else {
            self.w_max = self.cwnd;
        }
        self.cwnd_rest = 0;
        self.w_est_rest = 0;
        Epoch { start_ms: now_ms, k_ms, w_est: self.cwnd }
    }

    /// `W_est` grows by α segments a window, α = 3 × (1 - 0.7) / (1 + 0.7) = 9/17 up to the window before the reduction,
    /// and 1 above. (RFC 9438 §4.3)
    fn grow_reno(&mut self, epoch: &mut Epoch, acked: u32) {
        let product = u64::from(acked).saturating_mul(u64::from(self.mss)) << 8;
        let product = if epoch.w_est < self.cwnd_prior { product.saturating_mul(9) / 17 } else { product };
        let (bytes, rest) = divide(product, self.cwnd, self.w_est_rest);
        self.w_est_rest = rest;
        epoch.w_est = epoch.w_est.saturating_add(bytes).min(MAX_CWND);
    }

    /// `W_cubic(t)` in bytes; 0 where the curve is below. (RFC 9438 §4.2, equation 1)
    fn w_cubic(&self, t_ms: u64, k_ms: u32) -> u64 {
        let k = u64::from(k_ms);
        let offset = t_ms.abs_diff(k).min(MAX_OFFSET_MS);
        // 0.4 × segments × ms³ / 10^9, divided in two steps.
        let cube = offset.saturating_mul(offset).saturating_mul(offset) / 1_000_000;
        let bytes = cube.saturating_mul(u64::from(self.mss)).saturating_mul(4) / 10_000;
        let w_max = u64::from(self.w_max);
        if t_ms < k { w_max.saturating_sub(bytes) } else { w_max.saturating_add(bytes) }
    }
}

/// `value × numerator / denominator`.
fn fraction(value: u32, numerator: u32, denominator: u32) -> u32 {
    let product = u64::from(value).saturating_mul(u64::from(numerator));
    u32::try_from(product.checked_div(u64::from(denominator)).unwrap_or(0)).unwrap_or(u32::MAX)
}

/// `product / divisor + rest` in 1/256, as whole and rest.
fn divide(product: u64, divisor: u32, rest: u8) -> (u32, u8) {
    let quotient = product.checked_div(u64::from(divisor)).unwrap_or(0).saturating_add(u64::from(rest));
    (u32::try_from(quotient >> 8).unwrap_or(u32::MAX), u8::try_from(quotient & 0xff).unwrap_or(0))
}

/// Modulo 2^32: 49 days.
fn milliseconds(us: u64) -> u32 {
    u32::try_from((us / 1000) & u64::from(u32::MAX)).unwrap_or(0)
}

/// The largest number whose cube is at most `value`: one bit of the root in each of 22 rounds.
fn cube_root(value: u64) -> u32 {
    let (mut left, mut root) = (value, 0_u64);
    for shift in (0..=63).rev().step_by(3) {
        root <<= 1;
        // (root + 1)³ - root³
        let step = root.wrapping_mul(root.wrapping_add(1)).wrapping_mul(3).wrapping_add(1);
        if (left >> shift) >= step {
            left = left.wrapping_sub(step << shift);
            root |= 1;
        }
    }
    u32::try_from(root).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
