//! RFC 3168, 5927, 8201, 4821: what the path tells.

scripts! {
    ecn_is_agreed_on_when_the_peer_asks, "RFC 3168 §6.1.1", "
        passive
        < SEW 0:0 win 8000 mss 1000
        > SE. 0:0 ack 1
        < . 1:0 ack 1 win 8000
        send 100
        > P. 1:100 ect
        < . 1:0 ack 101 win 8000
        > none
    ";
    ecn_is_not_spoken_unasked, "RFC 3168 §6.1.1", "
        passive
        < S 0:0 win 8000 mss 1000
        > S. 0:0 ack 1
        < . 1:0 ack 1 win 8000
        send 100
        > P. 1:100 noect
    ";
    a_mark_is_echoed_until_cwr, "RFC 3168 §6.1.3", "
        open ecn
        < P. 1:100 ack 1 win 10000 ce
        > E. 1:0 ack 101 noect
        < P. 101:100 ack 1 win 10000
        recv 200
        send 10
        > PE. 1:10 ack 201
        < PW. 201:100 ack 11 win 10000
        recv 100
        send 10
        > P. 11:10 ack 301
    ";
    an_echo_halts_the_rate_once, "RFC 3168 §6.1.2", "
        open ecn sack win 60000 rtt 100ms
        set max_payload 60000
        send 30000
        > . 1:10000 ect
        wait 100ms
        < E. 1:0 ack 2001 win 60000
        counter congestion_marks 1
        # RFC 6937: 7 of 10 that are delivered.
        > W. 10001:1000 ect
        < E. 1:0 ack 10001 win 60000
        > . 11001:6000 ect
        counter congestion_marks 1
        wait 100ms
        < . 1:0 ack 11001 win 60000
        > . 17001:1000
    ";
    too_big_lowers_the_size_and_sends_again, "RFC 8201 §4; RFC 5927 §7", "
        open mss 1400 peer_mss 1400 win 20000 rtt 100ms
        send 2800
        > . 1:1400
        > P. 1401:1400
        toobig 1 1000 true
        > . 1:1000
        > . 1001:1000
        > P. 2001:800
        cwnd 14000
    ";
    a_larger_size_is_probed_by_one_segment_after_a_while, "RFC 8201 §4; RFC 4821 §7", "
        open mss 1400 peer_mss 1400 win 20000 rtt 100ms
        send 2800
        > . 1:1400
        > P. 1401:1400
        toobig 1 1000 true
        > . 1:1000
        > . 1001:1000
        > P. 2001:800
        wait 50ms
        < . 1:0 ack 2801 win 20000
        # Not before its time.
        wait 300s
        send 1400
        > . 2801:1000
        > P. 3801:400
        wait 50ms
        < . 1:0 ack 4201 win 20000
        wait 480s
        send 2400
        > . 4201:1400
        > P. 5601:1000
        wait 50ms
        < . 1:0 ack 6601 win 20000
        counter path_mtu_raised 1
        send 1400
        > P. 6601:1400
    ";
    a_probe_that_is_lost_is_sent_in_smaller_segments, "RFC 4821 §7.6", "
        open sack mss 1400 peer_mss 1400 win 20000 rtt 100ms
        send 2800
        > . 1:1400
        > P. 1401:1400
        toobig 1 1000 true
        > . 1:1000
        > . 1001:1000
        > P. 2001:800
        wait 50ms
        < . 1:0 ack 2801 win 20000
        wait 720s
        send 4400
        > . 2801:1400
        > . 4201:1000
        > . 5201:1000
        > P. 6201:1000
        wait 50ms
        < . 1:0 ack 2801 win 20000 sack 4201-7201
        > . 2801:1000
        > . 3801:400
        wait 50ms
        < . 1:0 ack 7201 win 20000
        counter path_mtu_raised 0
        send 1400
        > . 7201:1000
        > P. 8201:400
    ";
    too_big_about_nothing_in_flight_is_ignored, "RFC 5927 §4.1, §7", "
        open mss 1400 peer_mss 1400
        send 1400
        > P. 1:1400
        toobig 1401 600 false
        toobig 0 600 false
        < . 1:0 ack 1401 win 10000
        toobig 1 600 false
        counter icmp_invalid 3
        send 1400
        > P. 1401:1400
    ";
    too_big_goes_no_lower_than_the_floor, "RFC 5927 §7; RFC 8201 §4", "
        open mss 1400 peer_mss 1400
        send 1400
        > P. 1:1400
        set max_payload 60000
        toobig 1 1 true
        > P. 1:1400 size 64
    ";
    full_segments_that_vanish_become_smaller, "RFC 4821 §7.7", "
        open mss 1400 peer_mss 1400 win 20000 rtt 100ms
        send 1400
        > P. 1:1400
        wait 300ms
        > P. 1:1400
        wait 600ms
        > P. 1:1400
        wait 1200ms
        > . 1:1024
        counter black_holes 1
        < . 1:0 ack 1025 win 20000
        > P. 1025:376
    ";
    unreachable_does_not_end_a_connection, "RFC 5927 §5.2; RFC 9293 §3.9.2.2, MUST-56", "
        open
        send 100
        > P. 1:100
        unreachable 1 hard
        state Established
    ";
    unreachable_ends_an_open, "RFC 9293 §3.9.2.2, SHLD-26", "
        connect
        > S 0:0
        unreachable 5 hard
        state SynSent
        unreachable 0 soft
        state SynSent
        unreachable 0 hard
        state Closed
        reason Unreachable
    ";
    a_mark_on_the_last_acknowledgment_counts, "RFC 3168 §6.1.2", "
        open ecn sack win 60000 rtt 100ms
        set max_payload 60000
        send 10000
        > P. 1:10000 ect
        wait 100ms
        < E. 1:0 ack 10001 win 60000
        counter congestion_marks 1
        cwnd 7000
        send 1000
        > PW. 10001:1000 ect
    ";
}
