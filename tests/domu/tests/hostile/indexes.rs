//! False indexes: H01 to H08. (H09, a correct index that wraps, takes 2^32 frames.)

use crate::cases;
use crate::rig::End::{Broken, Works};

cases! {
    h01_tx_rsp_prod_one_beyond_what_was_requested: Broken("tx_ring", "tx ring: "), ["ring tx beyond +1"];
    h02_rx_rsp_prod_a_ring_ahead: Broken("rx_ring", "rx ring: "), ["ring rx rsp_prod +257"];
    h03_tx_rsp_prod_back_by_one: Broken("tx_ring", "tx ring: "), ["ring tx rsp_prod -1"];
    h03_rx_rsp_prod_back_by_one: Broken("rx_ring", "rx ring: "), ["ring rx rsp_prod -1"];
    h04_tx_rsp_prod_back_across_the_wrap: Broken("tx_ring", "tx ring: "), ["ring tx rsp_prod 4294967295"];
    h04_rx_rsp_prod_back_across_the_wrap: Broken("rx_ring", "rx ring: "), ["ring rx rsp_prod 4294967295"];
    h05_tx_rsp_prod_jumps_by_two_to_the_31: Broken("tx_ring", "tx ring: "), ["ring tx rsp_prod +2147483648"];
    h05_rx_rsp_prod_jumps_by_two_to_the_31: Broken("rx_ring", "rx ring: "), ["ring rx rsp_prod +2147483648"];
    h07_garbage_in_the_event_indexes: Works, [
        "ring tx req_event 2779096485", "ring rx req_event 2779096485", "ring tx rsp_event 2779096485",
        "ring rx rsp_event 2779096485", "ping 5", "ring rx req_event 0", "ring tx rsp_event 0", "ping 5",
    ];
    h08_our_own_req_prod_is_overwritten: Works, [
        "ring rx req_prod 3735928559", "ring tx req_prod 3735928559", "ping 5", "ring rx req_prod 0", "ping 5",
    ];
}
