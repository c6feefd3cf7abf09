//! False ids and statuses: H10 to H20.

use crate::cases;
use crate::rig::End::{Broken, Counted, Works};

cases! {
    h10_tx_id_256: Broken("tx_id_range", "with id 256,"), ["hold", "provoke 2", "wait 100", "tx 256 0"];
    h11_tx_id_ffff: Broken("tx_id_range", "with id 65535,"), ["hold", "provoke 2", "wait 100", "tx 65535 0"];
    h12_tx_id_that_was_never_sent: Broken("tx_id_idle", "not in flight"),
        ["hold", "provoke 2", "wait 100", "tx idle 0"];
    h13_the_same_tx_id_twice: Broken("tx_id_idle", "not in flight"),
        ["hold", "provoke 3", "wait 100", "tx last 0", "tx last 0"];
    h14_tx_ids_in_another_order_are_allowed: Works,
        ["hold", "provoke 12", "wait 200", "release backwards", "ping 5"];
    h15_rx_id_of_another_slot: Broken("rx_id", "rx response "), ["rx 0:98::+1"];
    h16_rx_id_of_a_slot_that_was_answered: Broken("rx_id", "rx response "), ["rx 0:98:", "rx 0:98::+65535"];
    h17_null_response_without_an_extra: Broken("tx_null", "NETIF_RSP_NULL"),
        ["hold", "provoke 2", "wait 100", "tx last 1"];
    h18_tx_statuses_that_are_no_okay: Counted("tx_status"),
        ["hold", "provoke 5", "wait 200", "tx last 7", "release", "ping 1"];
    h18_tx_statuses_that_are_allowed: Works,
        ["hold", "provoke 5", "wait 200", "tx last -1", "release", "ping 1"];
    h18_rx_statuses_that_are_no_length: Counted("rx_status"), ["rx 0:-9: 0:-32768: 0:-100:"];
    h18_rx_statuses_that_are_allowed: Works, ["rx 0:-1: 0:-2:"];
    h19_an_extra_for_which_nobody_asked: Counted("rx_extra_unasked"),
        ["rx 0:98:x e:1:0:a80501000000", "rx 0:98:x e:4:0:010100000000"];
    h20_a_tx_id_that_is_negative_to_some: Broken("tx_id_range", "with id 32768,"),
        ["hold", "provoke 2", "wait 100", "tx 32768 0"];
    h20_an_rx_id_that_is_negative_to_some: Broken("rx_id", "rx response 65535"), ["rx 0:98::65535"];
}
