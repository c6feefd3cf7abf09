//! RFC 6298, 8985, 5681, 6582, 3522: loss.

scripts! {
    a_timeout_sends_the_first_segment_again, "RFC 6298 §5.4, §5.5", "
        open rtt 100ms
        send 2000
        > . 1:1000
        > P. 1001:1000
        # 100 ms + max(200 ms, 4 x 50 ms)
        wait 300ms
        > . 1:1000 at 300ms
        cwnd 1000
        wait 600ms
        > . 1:1000 at 900ms
        < . 1:0 ack 1001 win 10000
        > P. 1001:1000
        < . 1:0 ack 2001 win 10000
        idle
        counter timeouts 2
    ";
    no_timer_runs_when_all_is_acknowledged, "RFC 6298 §5.2", "
        open rtt 100ms
        send 10
        > P. 1:10
        timer 300ms
        < . 1:0 ack 11 win 10000
        timer none
    ";
    progress_starts_the_timer_over, "RFC 6298 §5.3", "
        open rtt 100ms
        send 3000
        > . 1:1000
        > . 1001:1000
        > P. 2001:1000
        wait 100ms
        < . 1:0 ack 1001 win 10000
        # 100 ms + max(200 ms, 4 x 37.5 ms)
        timer 300ms
    ";
    three_duplicates_without_sack, "RFC 5681 §3.2; RFC 6582 §3.2", "
        open win 20000 rtt 100ms
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
        < . 1:0 ack 1 win 20000
        > none
        < . 1:0 ack 1 win 20000
        > none
        < . 1:0 ack 1 win 20000
        > . 1:1000
        # A partial acknowledgment tells of the next hole.
        < . 1:0 ack 2001 win 20000
        > . 2001:1000
        < . 1:0 ack 10001 win 20000
        > none
        counter timeouts 0
        counter retransmissions 2
    ";
    limited_transmit_sends_new_data, "RFC 3042 §2; RFC 6675 §4", "
        open sack win 20000 rtt 100ms
        send 15000
        > . 1:1000
        > . 1001:1000
        > . 2001:1000
        > . 3001:1000
        > . 4001:1000
        > . 5001:1000
        > . 6001:1000
        > . 7001:1000
        > . 8001:1000
        > . 9001:1000
        wait 100ms
        < . 1:0 ack 1 win 20000 sack 1001-2001
        > . 10001:1000
        < . 1:0 ack 1 win 20000 sack 1001-3001
        > . 11001:1000
    ";
    the_tail_is_probed, "RFC 8985 §7.2, §7.3", "
        open sack win 20000 rtt 50ms
        send 3000
        > . 1:1000
        > . 1001:1000
        > P. 2001:1000
        wait 100ms
        > P. 2001:1000 at 100ms
        counter tail_probes 1
        counter timeouts 0
        wait 50ms
        < . 1:0 ack 1 win 20000 sack 2001-3001
        > . 1:1000
        < . 1:0 ack 1001 win 20000 sack 2001-3001
        > . 1001:1000
        < . 1:0 ack 3001 win 20000
        idle
    ";
    the_probe_prefers_new_data, "RFC 8985 §7.3", "
        open sack win 3500 rtt 50ms
        send 4000
        > . 1:1000
        > . 1001:1000
        > . 2001:1000
        wait 100ms
        > . 3001:500 at 100ms
        counter retransmissions 0
    ";
    a_needless_timeout_is_taken_back, "RFC 3522 §3.2; RFC 4015", "
        open ts 500 win 20000 rtt 100ms
        send 3000
        > . 1:988
        > . 989:988
        > . 1977:988
        > P. 2965:36
        wait 300ms
        > . 1:988 ts 1300 500
        cwnd 1000
        # The echo is of the first transmission: nothing was lost.
        < . 1:0 ack 989 win 20000 ts 800 1000
        cwnd 10000
        > none
        counter undone 1
        < . 1:0 ack 3001 win 20000 ts 800 1000
        counter retransmissions 1
    ";
    a_needful_timeout_stays, "RFC 3522 §3.2", "
        open ts 500 win 20000 rtt 100ms
        send 1900
        > . 1:988
        > P. 989:912
        wait 300ms
        > . 1:988 ts 1300 500
        < . 1:0 ack 989 win 20000 ts 800 1300
        > P. 989:912
        counter undone 0
    ";
    first_window_is_ten_segments, "RFC 6928 §2", "
        open win 60000
        set max_payload 60000
        send 20000
        > . 1:10000 size 1000
        > none
    ";
    slow_start_doubles, "RFC 5681 §3.1", "
        open win 60000 rtt 100ms
        set max_payload 60000
        send 60000
        > . 1:10000 size 1000
        wait 100ms
        < . 1:0 ack 10001 win 60000
        > . 10001:20000 size 1000
        cwnd 20000
    ";
    an_idle_window_shrinks, "RFC 5681 §4.1", "
        open win 60000 rtt 100ms
        set max_payload 60000
        send 30000
        > . 1:10000
        wait 100ms
        < . 1:0 ack 10001 win 60000
        > P. 10001:20000
        wait 100ms
        < . 1:0 ack 30001 win 60000
        cwnd 40000
        wait 10s
        send 30000
        > . 30001:10000
        > none
    ";
    syn_lost_twice_leaves_one_segment, "RFC 6928 §2; RFC 5681 §3.1", "
        passive
        < S 0:0 win 60000 mss 1000
        > S. 0:0
        wait 1s
        > S. 0:0
        wait 2s
        > S. 0:0
        < . 1:0 ack 1 win 60000
        send 5000
        > . 1:1000
        > none
    ";
    no_sample_from_what_was_sent_twice, "RFC 6298 §3 (Karn's algorithm), §5.5", "
        open rtt 100ms
        send 2000
        > . 1:1000
        > P. 1001:1000
        wait 300ms
        > . 1:1000
        wait 50ms
        < . 1:0 ack 2001 win 10000
        # The backoff stays until there is a sample.
        send 100
        > P. 2001:100
        timer 600ms
        wait 100ms
        < . 1:0 ack 2101 win 10000
        send 100
        > P. 2101:100
        timer 300ms
    ";
    a_timestamp_is_a_sample_even_then, "RFC 7323 §4.1; RFC 6298 §3", "
        open ts 500 rtt 100ms
        send 1900
        > . 1:988
        > P. 989:912
        wait 300ms
        > . 1:988
        wait 100ms
        < . 1:0 ack 1901 win 10000 ts 600 1300
        send 100
        > P. 1901:100
        timer 300ms
    ";
    what_lies_beyond_a_shrunken_window_waits, "RFC 9293 §3.8.6, MUST-34: be robust against a window that shrinks", "
        open win 10000 rtt 100ms
        send 4000
        > . 1:1000
        > . 1001:1000
        > . 2001:1000
        > P. 3001:1000
        wait 300ms
        > . 1:1000
        < . 1:0 ack 1001 win 500
        > . 1001:1000
        > none
        < . 1:0 ack 2001 win 10000
        > . 2001:1000
        > P. 3001:1000
    ";
    a_needless_recovery_is_taken_back, "RFC 3708 §2; RFC 2883 §4.1", "
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
        send 2000
        < . 1:0 ack 1 win 20000 sack 1001-4001
        > . 1:1000
        # The original was late; then what was sent again comes, too.
        < . 1:0 ack 10001 win 20000
        # 7 tenths, and what Reno would add for a window that is acknowledged (RFC 9438 §4.3).
        cwnd 7529
        > . 10001:1000
        > P. 11001:1000
        < . 1:0 ack 10001 win 20000 sack 1-1001
        cwnd 10000
        counter undone 1
    ";
    a_recovery_without_duplicates_stays, "RFC 3708 §2", "
        open sack win 20000 rtt 100ms
        send 5000
        > . 1:1000
        > . 1001:1000
        > . 2001:1000
        > . 3001:1000
        > P. 4001:1000
        wait 100ms
        < . 1:0 ack 1 win 20000 sack 1001-4001
        > . 1:1000
        send 1000
        > P. 5001:1000
        < . 1:0 ack 5001 win 20000
        send 1000
        > P. 6001:1000
        < . 1:0 ack 6001 win 20000
        send 1000
        > P. 7001:1000
        # More was acknowledged than was sent by the end of the recovery: what is reported now is of something else.
        < . 1:0 ack 7001 win 20000
        < . 1:0 ack 7001 win 20000 sack 1-1001
        counter undone 0
    ";
}
