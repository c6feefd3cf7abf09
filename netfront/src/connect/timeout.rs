//! Waiting for a future with a time limit.
//!
//! ```text
//!   future ready first ─► Some(value)      limit over first ─► None
//! ```

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

/// Waits for a future, at most `limit` nanoseconds. `None`: the time is over, and the future was dropped.
pub(super) async fn within<T>(
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
