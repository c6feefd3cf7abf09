//! Waiting with an end: a future, or a time, or the earlier of two.

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

/// The earlier of two times, as far as there are any.
#[must_use]
pub fn earlier<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Waits for a future, but not longer than `limit` nanoseconds.
pub(crate) async fn within<T>(
    sleep: &impl AsyncFn(u64),
    limit: u64,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut nap = pin!(sleep(limit));
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        nap.as_mut().poll(cx).map(|()| None)
    })
    .await
}
