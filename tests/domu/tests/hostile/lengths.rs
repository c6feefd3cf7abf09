//! False lengths, chains and extras: H26 to H38.

use crate::cases;
use crate::rig::End::Counted;

cases! {
    h26_data_that_leaves_its_page: Counted("rx_bounds"), ["rx 4000:98: 4095:2: 1:4096: 0:4097: 0:32767:"];
    h27_data_at_the_end_of_all_pages: Counted("rx_bounds"), ["rx 65535:1: 65535:32767: 65535:98:"];
    h28_a_frame_of_no_bytes: Counted("rx_short"), ["rx 0:0: 100:0: 0:0:v"];
    h29_a_frame_shorter_than_its_header: Counted("rx_short"), ["rx 0:1: 0:13: 4083:13:"];
    h30_chains_of_18_slots_and_more: Counted("rx_fragments"), ["rx 0:100:m*17 0:100:", "ping 1", "rx 0:100:m*18 0:100:"];
    h31_a_chain_that_never_ends: Counted("rx_incomplete"), ["rx 0:98:m*40"];
    h32_a_chain_that_ends_at_rsp_prod: Counted("rx_incomplete"), ["rx 0:98:m"];
    h34_an_extra_that_is_missing: Counted("rx_incomplete"), ["rx 0:98:x"];
    h35_extras_of_no_known_type: Counted("rx_extra"),
        ["rx 0:98:x e:0:0:000000000000", "rx 0:98:x e:6:0:000000000000", "rx 0:98:x e:255:0:ffffffffffff"];
    h35_extras_without_end: Counted("rx_extra_unasked"), ["rx 0:98:x e:1:1:a80501000000*30"];
    h36_gso_of_no_known_kind: Counted("rx_extra"), ["rx 0:98:xc e:1:0:a805ff000000"];
    h36_gso_of_no_size: Counted("rx_extra_unasked"), ["rx 0:98:xc e:1:0:000001000000", "rx 0:98:xc e:1:0:ffff01000000"];
    h37_a_blank_checksum_that_was_not_negotiated: Counted("rx_checksum_blank"), ["rx 0:98:c 0:20:c 0:1514:cv"];
    h38_a_frame_longer_than_the_mtu: Counted("rx_long"), ["rx 0:1515: 0:4096:"];
}
