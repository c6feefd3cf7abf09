//! Chains, descriptors and blank checksums for a guest that asked for all of them: H25, H30 to H38 once more.
//!
//! With a plain vif they are refused because they were not negotiated, before their content is checked (`lengths.rs`).

use crate::cases;
use crate::reads::flip;
use crate::rig::End::{Counted, Works};
use crate::rig::VifKind::Whole;

cases! {
    with Whole;
    // The first slot is a complete echo request; the rest is padding.
    h30_a_chain_as_long_as_allowed: Works, ["provoke 0", "rx 0:60:m*18 0:60:", "replies 1"];
    h30_a_chain_of_20_slots: Counted("rx_slots"), ["rx 0:60:m*19 0:60:", "ping 1", "rx 0:60:m*50 0:60:"];
    h31_a_chain_that_never_ends: Counted("rx_incomplete"), ["rx 0:98:m*40"];
    h32_a_chain_that_ends_at_rsp_prod: Counted("rx_incomplete"), ["rx 0:98:m", "rx 0:98:mx e:1:0:a80501000000"];
    h33_a_chain_of_more_than_65535_bytes: Counted("rx_long"),
        ["rx 0:4096:mx e:1:0:a80501000000 0:4096:m*15 0:4096:", "ping 1", "rx 0:1000:m 0:1000:"];
    h34_an_extra_that_is_missing: Counted("rx_incomplete"), ["rx 0:98:x"];
    h35_extras_of_no_known_type: Counted("rx_extra"),
        ["rx 0:98:x e:0:0:000000000000", "rx 0:98:x e:6:0:000000000000", "rx 0:98:x e:255:0:ffffffffffff"];
    h35_extras_without_end: Counted("rx_incomplete"), ["rx 0:98:x e:1:1:a80501000000*30"];
    h36_gso_of_a_size: Works,
        ["provoke 0", "rx 0:98:xc e:1:0:a80501000000 0:98:xv e:1:0:010001000000 0:98:x e:1:0:ffff02000000", "replies 3"];
    h36_gso_of_no_size: Counted("rx_gso_size"), ["rx 0:98:xc e:1:0:000001000000", "rx 0:98:xc e:1:0:000002000000"];
    h36_gso_of_no_known_kind: Counted("rx_extra"), ["rx 0:98:xc e:1:0:a805ff000000"];
    h37_blank_checksums_of_what_has_none: Works,
        ["rx 0:98:cn 0:34:ct 0:36:ct 0:50:ctv 0:54:ct 0:14:c 0:20:cv 0:1514:cn 4000:36:ct 0:49:ct", "ping 1"];
    h38_a_frame_longer_than_the_mtu: Counted("rx_long"), ["rx 0:1515: 0:4096:"];
}

#[test]
fn h25_an_extra_whose_type_flips() {
    // Read once, it is the one, the other, or a piece of each: never one that is fine and still promises another.
    flip(Whole, "h25_an_extra_whose_type_flips with a whole vif", "flip extra 20", &["rx_extra"]);
}
