//! RFC 7323: timestamps, window scale, wrapped numbers.

scripts! {
    timestamps_are_echoed, "RFC 7323 §3.2, §4.3", "
        open ts 500
        wait 5ms
        < P. 1:100 ack 1 win 10000 ts 505 1000
        recv 100
        send 100
        > P. 1:100 ack 101 ts 1005 505
    ";
    delayed_acknowledgment_echoes_the_first, "RFC 7323 §4.3, case A", "
        open ts 500
        < . 1:988 ack 1 win 10000 ts 505 1000
        < . 989:988 ack 1 win 10000 ts 506 1000
        > . 1:0 ack 1977 ts 1000 505
    ";
    a_hole_echoes_what_came_before_it, "RFC 7323 §4.3, case B", "
        open sack ts 500
        < . 1:100 ack 1 win 10000 ts 505 1000
        < . 201:100 ack 1 win 10000 ts 507 1000
        > . 1:0 ack 101 ts 1000 505
        < . 101:100 ack 1 win 10000 ts 506 1000
        > . 1:0 ack 301 ts 1000 506
        recv 300
    ";
    an_older_timestamp_is_dropped, "RFC 7323 §5.3, R1", "
        open ts 500
        < P. 1:100 ack 1 win 10000 ts 499 1000
        > . 1:0 ack 1 ts 1000 500
        counter paws 1
        recv 0
    ";
    an_old_timestamp_after_24_days_is_taken, "RFC 7323 §5.5", "
        open ts 500
        wait 36000m
        < P. 1:100 ack 1 win 10000 ts 499 1000
        recv 100
        wait 40ms
        > . 1:0 ack 101
        counter paws 0
    ";
    rst_is_not_judged_by_its_timestamp, "RFC 7323 §5.2", "
        open ts 500
        < R 1:0 ts 1 0
        state Closed
    ";
    a_segment_without_the_option_is_dropped, "RFC 7323 §3.2", "
        open ts 500
        < P. 1:100 ack 1 win 10000
        > none
        recv 0
        counter paws 1
    ";
    window_scale_applies_to_both_directions, "RFC 7323 §2.2, §2.3", "
        passive mss 1000
        < S 0:0 win 2000 mss 1000 ws 4
        > S. 0:0 ack 1 win 65535 ws 7
        < . 1:0 ack 1 win 1000
        # 1000 << 4: all of it. Ours: 65535 octets were promised, in steps of 128.
        send 16000
        > . 1:1000 win 512
        > . 1001:1000
        > . 2001:1000
        > . 3001:1000
        > . 4001:1000
        > . 5001:1000
        > . 6001:1000
        > . 7001:1000
        > . 8001:1000
        > . 9001:1000
    ";
    a_full_segment_makes_room_for_options, "RFC 6691 §2; RFC 7323 appendix A", "
        open ts 500
        send 1000
        > . 1:988 ts 1000 500
        > P. 989:12
    ";
}
