//! RFC 2018, 2883, 6675: selective acknowledgment.

scripts! {
    out_of_order_data_is_reported, "RFC 2018 §4", "
        open sack
        < . 1001:1000 ack 1 win 10000
        > . 1:0 ack 1 sack 1001-2001
        < . 3001:1000 ack 1 win 10000
        > . 1:0 ack 1 sack 3001-4001,1001-2001
        < . 2001:1000 ack 1 win 10000
        > . 1:0 ack 1 sack 1001-4001
        < . 1:1000 ack 1 win 10000
        > . 1:0 ack 4001 sack none
        recv 4000
    ";
    the_newest_block_comes_first, "RFC 2018 §4", "
        open sack
        < . 1001:100 ack 1 win 10000
        > . 1:0 sack 1001-1101
        < . 2001:100 ack 1 win 10000
        > . 1:0 sack 2001-2101,1001-1101
        < . 3001:100 ack 1 win 10000
        > . 1:0 sack 3001-3101,2001-2101,1001-1101
        < . 1101:100 ack 1 win 10000
        > . 1:0 sack 1001-1201,3001-3101,2001-2101
    ";
    three_blocks_fit_beside_timestamps, "RFC 2018 §3", "
        open sack ts 500
        < . 1001:10 ack 1 win 10000 ts 500 1000
        > . 1:0
        < . 2001:10 ack 1 win 10000 ts 500 1000
        > . 1:0
        < . 3001:10 ack 1 win 10000 ts 500 1000
        > . 1:0
        < . 4001:10 ack 1 win 10000 ts 500 1000
        > . 1:0 sack 4001-4011,3001-3011,2001-2011
    ";
    without_permission_no_block_is_sent, "RFC 2018 §2", "
        open
        < . 1001:1000 ack 1 win 10000
        > . 1:0 ack 1 sack none
    ";
    a_duplicate_is_reported, "RFC 2883 §4.1", "
        open sack
        < . 1:1000 ack 1 win 10000
        < . 1001:1000 ack 1 win 10000
        > . 1:0 ack 2001
        < . 1:1000 ack 1 win 10000
        > . 1:0 ack 2001 sack 1-1001
        < . 2001:1000 ack 1 win 10000
        < . 3001:1000 ack 1 win 10000
        > . 1:0 ack 4001 sack none
    ";
    a_duplicate_out_of_order_is_reported_before_its_block, "RFC 2883 §4.2", "
        open sack
        < . 1001:1000 ack 1 win 10000
        > . 1:0 sack 1001-2001
        < . 1001:1000 ack 1 win 10000
        > . 1:0 ack 1 sack 1001-2001,1001-2001
    ";
    a_gap_is_sent_again_and_nothing_else, "RFC 6675 §5; RFC 8985 §6.2", "
        open sack win 20000 rtt 100ms
        send 10000
        > . 1:1000
        > . 1001:1000
        > . 2001:1000
        > . 3001:1000
        > . 4001:1000
        > . 5001:1000
        > . 6001:1000
        > . 7001:1000
        > . 8001:1000
        > P. 9001:1000
        wait 100ms
        < . 1:0 ack 1 win 20000 sack 1001-2001
        > none
        < . 1:0 ack 1 win 20000 sack 1001-3001
        > none
        < . 1:0 ack 1 win 20000 sack 1001-4001
        > . 1:1000
        > none
        < . 1:0 ack 10001 win 20000
        > none
        idle
        counter retransmissions 1
        counter recoveries 1
    ";
    impossible_blocks_are_ignored, "RFC 2018 §8; RFC 6675 §4", "
        open sack win 20000 rtt 100ms
        send 3000
        > . 1:1000
        > . 1001:1000
        > P. 2001:1000
        < . 1:0 ack 1 win 20000 sack 2001-1001
        < . 1:0 ack 1 win 20000 sack 1001-9001
        < . 1:0 ack 1 win 20000 sack 1001-1001
        counter sack_invalid 3
        > none
        counter recoveries 0
    ";
}
