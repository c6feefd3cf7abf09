//! RFC 5961: blind attacks.

scripts! {
    rst_with_the_exact_number_closes, "RFC 5961 §3.2, case 2", "
        open
        < R 1:0
        state Closed
        reason Reset
        > none
    ";
    rst_in_the_window_is_challenged, "RFC 5961 §3.2, case 3", "
        open
        < R 2:0
        > . 1:0 ack 1
        state Established
        counter rst_in_window 1
        counter challenge_acks 1
    ";
    rst_outside_the_window_is_silent, "RFC 5961 §3.2, case 1", "
        open shown 4000
        < R 4001:0
        > none
        < R 0:0
        > none
        state Established
    ";
    syn_in_the_connection_is_challenged, "RFC 5961 §4.2", "
        open
        < S 500:0 win 100 mss 1000
        > . 1:0 ack 1
        state Established
        counter syn_in_connection 1
    ";
    syn_of_a_peer_that_restarted_is_challenged, "RFC 5961 §4.2: irrespective of the sequence number", "
        open
        send 100
        > P. 1:100
        < S -90000:0 win 100 mss 1000
        > . 101:0 ack 1
        # The peer answers from CLOSED with the number that it was told.
        < R 1:0
        state Closed
        reason Reset
    ";
    ack_older_than_the_largest_window_is_challenged, "RFC 5961 §5.2", "
        open win 1000
        send 1000
        > P. 1:1000
        < . 1:0 ack 1001 win 1000
        send 1000
        > P. 1001:1000
        < . 1:0 ack 2001 win 1000
        < P. 1:10 ack 1000 win 1000
        > . 2001:0 ack 1
        counter ack_too_old 1
        recv 0
        < P. 1:10 ack 1001 win 1000
        recv 10
        wait 40ms
        > . 2001:0 ack 11
    ";
    challenges_are_limited, "RFC 5961 §7", "
        set challenge_acks 2
        open
        < R 2:0
        > . 1:0
        < R 3:0
        > . 1:0
        < R 4:0
        > none
        counter challenge_acks_limited 1
        wait 1s
        < R 5:0
        > . 1:0
    ";
    time_wait_is_not_assassinated, "RFC 1337 §3", "
        open
        shutdown
        > F. 1:0
        < F. 1:0 ack 2 win 10000
        > . 2:0 ack 2
        < R 2:0
        state TimeWait
    ";
}
