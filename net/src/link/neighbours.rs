//! Neighbours that frames wait for.
//!
//! smoltcp sends one request in a second for all neighbours together, so one neighbour that does not answer delays all
//! others. Each neighbour that a job waits for is therefore asked for from here, once in a second. smoltcp receives the
//! answer.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::IpAddress;

use crate::base::time;

/// Between two requests for one neighbour, and between two of smoltcp's for all.
const INTERVAL: Duration = Duration::from_secs(1);

/// Neighbours asked for in one interval. More wait for the next one.
const MOST: usize = 32;

/// Neighbours that jobs wait for.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    recent: VecDeque<(IpAddress, Instant)>,
    pub(crate) due: Vec<IpAddress>,
    /// When smoltcp asked for anybody.
    smoltcp: Option<Instant>,
}

impl Asks {
    /// A job has just found out that it must wait for `neighbour`, if we know which. Whoever finds that out first in a
    /// second has made smoltcp ask.
    pub(crate) fn want(&mut self, neighbour: Option<IpAddress>, now: Instant) {
        let over = |at: Instant| time::after(at, INTERVAL) <= now;
        let smoltcp_asked = self.smoltcp.is_none_or(over);
        if smoltcp_asked {
            self.smoltcp = Some(now);
        }
        self.recent.retain(|(_, at)| !over(*at));
        let Some(neighbour) = neighbour else { return };
        if self.recent.len() >= MOST || self.recent.iter().any(|(known, _)| *known == neighbour) {
            return;
        }
        self.recent.push_back((neighbour, now));
        if !smoltcp_asked {
            self.due.push(neighbour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_neighbour_is_asked_for_once_a_second() {
        let (mut asks, mut now) = (Asks::default(), Instant::from_secs(5));
        let neighbour = |last| Some(IpAddress::v4(10, 0, 0, last));
        for last in [1, 2, 1, 2, 3] {
            asks.want(neighbour(last), now);
        }
        assert_eq!(asks.due.len(), 2, "2 and 3");
        asks.due.clear();
        now = time::after(now, INTERVAL);
        asks.want(None, now);
        asks.want(neighbour(1), now);
        assert_eq!(asks.due.len(), 1, "smoltcp has asked for another one");
        for last in 0..=255 {
            asks.want(neighbour(last), now);
        }
        assert_eq!(asks.due.len(), MOST);
    }
}
