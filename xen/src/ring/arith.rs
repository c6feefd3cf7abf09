//! The arithmetic of a ring's indexes, and nothing else: pure functions of numbers that run freely and wrap.
//!
//! ```text
//!   front:  rsp_cons ≤ rsp_prod_seen ≤ rsp_prod ≤ req_prod (pushed) ≤ req_prod_pvt ≤ rsp_cons + size    modulo 2^bits
//!   back:   rsp_prod (pushed) ≤ rsp_prod_pvt ≤ req_cons ≤ req_prod_seen ≤ req_prod ≤ rsp_prod_pvt + size
//! ```
//!
//! Only differences mean anything, and each is taken from the same end: the consumer's index or the old producer index. The functions
//! are written once and made for two widths: [`index32`] is what a ring uses; [`index8`] is small enough that
//! `tests/model` tries every state there is.

macro_rules! index {
    ($(#[$doc:meta])* $module:ident, $int:ty) => {
        $(#[$doc])*
        pub mod $module {
            /// Requests written and not yet answered, or answered and not yet taken.
            #[inline]
            #[must_use]
            pub const fn outstanding(req_prod_pvt: $int, rsp_cons: $int) -> $int {
                req_prod_pvt.wrapping_sub(rsp_cons)
            }

            /// `RING_FREE_REQUESTS`: slots that can still be filled, of a ring that has `size`.
            #[inline]
            #[must_use]
            pub const fn free_requests(size: $int, req_prod_pvt: $int, rsp_cons: $int) -> $int {
                size.wrapping_sub(outstanding(req_prod_pvt, rsp_cons))
            }

            /// The slot of an index in a ring of `size` slots, a power of two.
            #[inline]
            #[must_use]
            pub const fn slot(size: $int, index: $int) -> $int {
                index & size.wrapping_sub(1)
            }

            /// The end of `RING_PUSH_REQUESTS_AND_CHECK_NOTIFY` and of its twin for responses: whether the peer's event
            /// index lies among the entries that were just shown, those after `old` up to `new`.
            #[inline]
            #[must_use]
            pub const fn wants_notification(old: $int, new: $int, event: $int) -> bool {
                new.wrapping_sub(event) < new.wrapping_sub(old)
            }

            /// How many responses there are to take, by the peer's `rsp_prod`. `None` if it claims more than it was
            /// shown (`pushed`), or less than it claimed before (`seen`).
            #[inline]
            #[must_use]
            pub const fn responses(rsp_cons: $int, seen: $int, pushed: $int, rsp_prod: $int) -> Option<$int> {
                let ready = rsp_prod.wrapping_sub(rsp_cons);
                if ready > pushed.wrapping_sub(rsp_cons) || ready < seen.wrapping_sub(rsp_cons) {
                    return None;
                }
                Some(ready)
            }

            /// How many requests there are to take, by the peer's `req_prod`. `None` if more requests than the ring
            /// has slots would be without a response (`RING_REQUEST_PROD_OVERFLOW`), or if the peer takes back
            /// requests that it has shown (`seen`). `cons` is our `req_cons`, `rsp_prod_pvt` one past our last response.
            #[inline]
            #[must_use]
            pub const fn requests(
                size: $int,
                cons: $int,
                seen: $int,
                rsp_prod_pvt: $int,
                req_prod: $int,
            ) -> Option<$int> {
                let ready = req_prod.wrapping_sub(cons);
                let unanswered = req_prod.wrapping_sub(rsp_prod_pvt);
                if unanswered > size || ready > size || ready < seen.wrapping_sub(cons) {
                    return None;
                }
                Some(ready)
            }
        }
    };
}

index!(
    /// Indexes of 32 bits: those of a ring.
    index32,
    u32
);
index!(
    /// Indexes of 8 bits: a ring that wraps soon, for tests that try everything.
    index8,
    u8
);
