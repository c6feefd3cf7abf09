//! A handshake makes no large allocation, however long the chain that was pushed: its sizes are the client's and dom0's.

#[path = "../../../tls/tests/support/mod.rs"]
#[allow(dead_code, reason = "shared with the tests of tls")]
mod support;

use allocation_tests::{Counted, LEAST, count};
use std::sync::Arc;
use support::*;
use tls::{CHAIN_LIMIT, Identities, RefusalReason, Server};

/// Chains: the lengths of the certificates' extensions, as far as they do not grow.
const SHAPES: [&[usize]; 4] = [&[], &[300], &[10, 900], &[10, 10, 10, 10, 10]];

#[test]
fn a_handshake_makes_no_large_allocation() {
    let pair = Pair::p256("leaf.test");
    let config = Arc::new(client_config(&[&pair]));
    for shape in SHAPES {
        let mut longest = 0;
        for len in (0..).step_by(150) {
            let extensions = [&[len], shape].concat();
            let (file, bytes) = chain(&extensions);
            let identities = match Identities::from_files(&[file], now()) {
                Ok(identities) => identities,
                Err(refusal) => {
                    assert!(matches!(refusal.reason, RefusalReason::ChainTooLong(_)), "{refusal}");
                    break;
                }
            };
            longest = longest.max(bytes);
            let server = Server::new([7; 32]);
            server.tick(1, now());
            server.set_identities(identities).unwrap();
            let hello = sent(&mut connect(&config, "leaf.test"));
            let mut session = server.accept().unwrap();
            let counted = count(LEAST, || assert_eq!(session.receive(&hello), Ok(hello.len())));
            assert_eq!(counted, Counted::default(), "extensions of {extensions:?}, {bytes} bytes");
            assert!(session.take_output().len() > bytes);
        }
        assert!(longest > CHAIN_LIMIT - 300, "{shape:?}: {longest} bytes");
    }
}
