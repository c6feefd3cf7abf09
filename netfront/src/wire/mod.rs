//! The protocol of Xen's `io/netif.h`, without rings and without state: what requests and responses may say.
//!
//! | file | contents |
//! |---|---|
//! | `feature` | features of the protocol, and which of them depend on others |
//! | `policy` | which pages are cleared, and who decides about trust |
//! | `misbehaviour` | the rules that a backend can break, and what follows |
//! | `check_rx` | validation of responses and received frames |
//! | `check_tx` | validation of our own requests |
//! | `offload` | checksums that are left to the backend, or completed here |
//! | `hashing` | the hash by which the backend chooses a queue |
//! | `rate` | the limit on what the backend takes from us |

pub mod check_rx;
pub mod check_tx;
pub(crate) mod feature;
pub(crate) mod hashing;
pub mod misbehaviour;
pub mod offload;
pub(crate) mod policy;
pub(crate) mod rate;
