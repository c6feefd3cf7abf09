//! RFC 9293: opening, closing, windows, acknowledgments.

scripts! {
    passive_open_answers_with_our_options, "RFC 9293 §3.5, §3.10.7.2", "
        passive mss 1460
        < S 0:0 win 8000 mss 1400 ws 3 sackok ts 77 0
        > S. 0:0 ack 1 win 65535 mss 1460 ws 7 sackok ts 1000 77
        state SynReceived
        < . 1:0 ack 1 win 1000 ts 78 1000
        state Established
        > none
    ";
    passive_open_without_options_gets_none, "RFC 9293 §3.7.1, MUST-15; RFC 7323 §1.3; RFC 2018 §2", "
        passive mss 1460
        < S 0:0 win 8000
        > S. 0:0 ack 1 nots
        < . 1:0 ack 1 win 8000
        send 600
        > . 1:536 ack 1 nots
        > P. 537:64
    ";
    active_open_is_answered, "RFC 9293 §3.5, figure 6; §3.10.7.3", "
        connect mss 1460
        > S 0:0 mss 1460 ws 7 sackok ts 1000 0
        state SynSent
        < S. 0:0 ack 1 win 8000 mss 1000 ws 2 sackok ts 5 1000
        > . 1:0 ack 1
        state Established
    ";
    simultaneous_open_reaches_established, "RFC 9293 §3.5, figure 7; MUST-10", "
        connect
        > S 0:0
        < S 0:0 win 8000 mss 1000
        state SynReceived
        > S. 0:0 ack 1
        < S. 0:0 ack 1 win 8000 mss 1000
        state Established
        > none
        send 10
        > P. 1:10 ack 1
    ";
    syn_sent_resets_an_ack_of_nothing, "RFC 9293 §3.10.7.3, first", "
        connect
        > S 0:0
        < . 0:0 ack 9 win 100
        reply Reset
        state SynSent
        < R. 0:0 ack 9
        reply None
        state SynSent
        < S. 0:0 ack 0 win 100 mss 1000
        reply Reset
        state SynSent
    ";
    syn_sent_is_refused_by_rst_with_our_ack, "RFC 9293 §3.10.7.3, second", "
        connect
        > S 0:0
        < R 0:0
        state SynSent
        < R. 0:0 ack 1
        state Closed
        reason Refused
    ";
    syn_is_sent_again_with_backoff, "RFC 6298 §2.1, §5.5; RFC 9293 §3.8.3", "
        connect
        > S 0:0
        wait 1s
        > S 0:0 at 1s
        wait 2s
        > S 0:0 at 3s
        wait 4s
        > S 0:0 at 7s
    ";
    syn_is_given_up, "RFC 9293 §3.8.3, MUST-23", "
        set connect_timeout_ms 2500
        connect
        > S 0:0
        wait 1s
        > S 0:0
        wait 2s
        state Closed
        reason TimedOut
        > none
    ";
    syn_received_resets_a_wrong_ack, "RFC 9293 §3.10.7.4, fifth", "
        passive
        < S 0:0 win 8000 mss 1000
        > S. 0:0
        < . 1:0 ack 2 win 8000
        reply Reset
        state SynReceived
        < . 1:0 ack 0 win 8000
        reply Reset
        state SynReceived
    ";
    syn_received_answers_the_syn_once_more, "RFC 9293 §3.10.7.4, fourth", "
        passive
        < S 0:0 win 8000 mss 1000
        > S. 0:0 ack 1
        < S 0:0 win 8000 mss 1000
        > S. 0:0 ack 1
        < . 1:0 ack 1 win 8000
        state Established
    ";
    syn_received_takes_data_with_the_ack, "RFC 9293 §3.10.7.4, seventh", "
        passive
        < S 0:0 win 8000 mss 1000
        > S. 0:0 ack 1
        < P. 1:100 ack 1 win 8000
        state Established
        recv 100
        wait 40ms
        > . 1:0 ack 101 at 40ms
    ";
    syn_received_goes_away_by_rst, "RFC 9293 §3.10.7.4, second", "
        passive
        < S 0:0 win 8000 mss 1000
        > S. 0:0 ack 1
        < R 1:0
        state Closed
        reason Reset
        > none
    ";
    data_in_order_is_read, "RFC 9293 §3.10.7.4, seventh", "
        open
        < P. 1:100 ack 1 win 10000
        < P. 101:50 ack 1 win 10000
        recv 150
        wait 40ms
        > . 1:0 ack 151 at 40ms
    ";
    acknowledgment_is_delayed_40_ms, "RFC 9293 §3.8.6.3, MUST-40 and 41; RFC 1122 §4.2.3.2", "
        open
        < P. 1:100 ack 1 win 10000
        > none
        wait 39ms
        > none
        wait 1ms
        > . 1:0 ack 101
    ";
    every_second_full_segment_is_acknowledged, "RFC 9293 §3.8.6.3, SHLD-19; RFC 5681 §4.2", "
        open
        < . 1:1000 ack 1 win 10000
        > none
        < . 1001:1000 ack 1 win 10000
        > . 1:0 ack 2001
        < . 2001:1000 ack 1 win 10000
        < . 3001:1000 ack 1 win 10000
        > . 1:0 ack 4001
    ";
    acknowledgment_rides_on_data, "RFC 9293 §3.8.6.3", "
        open
        < P. 1:100 ack 1 win 10000
        recv 100
        send 200
        > P. 1:200 ack 101
        wait 100ms
        > none
    ";
    first_segments_are_acknowledged_at_once, "RFC 5681 §4.2 (quick acknowledgments)", "
        set quick_acks 2
        open
        < . 1:1000 ack 1 win 10000
        > . 1:0 ack 1001
        < . 1001:1000 ack 1 win 10000
        > . 1:0 ack 2001
        < . 2001:1000 ack 1 win 10000
        > none
        < . 3001:1000 ack 1 win 10000
        > . 1:0 ack 4001
    ";
    octets_before_the_window_are_acknowledged, "RFC 9293 §3.10.7.4, first", "
        open
        < . 1:1000 ack 1 win 10000
        < . 1001:1000 ack 1 win 10000
        > . 1:0 ack 2001
        < . 1:1000 ack 1 win 10000
        > . 1:0 ack 2001
        counter out_of_window 1
        recv 2000
    ";
    octets_beyond_the_window_are_acknowledged, "RFC 9293 §3.10.7.4, first", "
        set receive_window 2000
        open shown 2000
        < . 2001:10 ack 1 win 10000
        > . 1:0 ack 1
        counter out_of_window 1
        recv 0
    ";
    overlap_is_trimmed_on_both_sides, "RFC 9293 §3.10.7.4: segments are trimmed to the window", "
        set receive_window 2000
        open shown 2000
        < . 1:1000 ack 1 win 10000
        < . 501:3000 ack 1 win 10000
        > . 1:0 ack 2001 win 0
        recv 2000
        > . 1:0 ack 2001 win 2000
    ";
    ack_of_what_was_not_sent_is_answered, "RFC 9293 §3.10.7.4, fifth; RFC 5961 §5", "
        open
        < P. 1:10 ack 2 win 10000
        > . 1:0 ack 1
        counter ack_unsent 1
        recv 0
    ";
    a_segment_without_ack_is_dropped, "RFC 9293 §3.10.7.4, fifth", "
        open
        < P 1:10 win 10000
        > none
        recv 0
        counter no_ack 1
    ";
    data_with_an_older_ack_is_taken, "RFC 9293 §3.10.7.4, fifth: a duplicate ACK can be ignored, the text is not", "
        open
        send 2000
        > . 1:1000
        > P. 1001:1000
        < . 1:0 ack 2001 win 10000
        < P. 1:100 ack 1001 win 10000
        recv 100
        wait 40ms
        > . 2001:0 ack 101
    ";
    window_follows_the_newest_segment_only, "RFC 9293 §3.10.7.4, fifth: SND.WL1 and SND.WL2", "
        open win 3000
        send 1000
        > P. 1:1000
        < P. 11:10 ack 1001 win 2000
        > . 1001:0
        # An older segment, reordered, shows another window: not taken.
        < P. 1:10 ack 1001 win 9000
        > . 1001:0 ack 21
        send 4000
        > . 1001:1000
        > . 2001:1000
        > none
        < . 21:0 ack 3001 win 2000
        > . 3001:1000
        > P. 4001:1000
    ";
    close_is_fin_and_ack_both_ways, "RFC 9293 §3.6, case 1, figure 12", "
        open
        shutdown
        > F. 1:0 ack 1
        state FinWait1
        < . 1:0 ack 2 win 10000
        state FinWait2
        < F. 1:0 ack 2 win 10000
        > . 2:0 ack 2
        state TimeWait
        wait 60s
        state Closed
        reason Finished
    ";
    peer_closes_first, "RFC 9293 §3.6, case 2", "
        open
        < F. 1:0 ack 1 win 10000
        > . 1:0 ack 2
        state CloseWait
        recv end
        send 100
        > P. 1:100 ack 2
        shutdown
        > F. 101:0 ack 2
        state LastAck
        < . 2:0 ack 102 win 10000
        state Closed
        reason Finished
        idle
    ";
    both_close_at_once, "RFC 9293 §3.6, case 3, figure 13", "
        open
        shutdown
        > F. 1:0 ack 1
        < F. 1:0 ack 1 win 10000
        state Closing
        > . 2:0 ack 2
        < . 2:0 ack 2 win 10000
        state TimeWait
    ";
    fin_follows_all_data, "RFC 9293 §3.10.4", "
        open
        send 1500
        shutdown
        send 1 closed
        > . 1:1000
        > FP. 1001:500
        < . 1:0 ack 1502 win 10000
        state FinWait2
    ";
    half_close_still_receives, "RFC 9293 §3.6: MUST receive until the peer closes", "
        open
        shutdown
        > F. 1:0
        < . 1:0 ack 2 win 10000
        < P. 1:100 ack 2 win 10000
        recv 100
        wait 40ms
        > . 2:0 ack 101
        state FinWait2
    ";
    time_wait_answers_a_fin_and_starts_over, "RFC 9293 §3.10.7.4, eighth", "
        open
        shutdown
        > F. 1:0
        < F. 1:0 ack 2 win 10000
        > . 2:0 ack 2
        state TimeWait
        wait 50s
        < F. 1:0 ack 2 win 10000
        > . 2:0 ack 2
        wait 50s
        state TimeWait
        wait 10s
        state Closed
    ";
    fin_out_of_order_waits_for_its_turn, "RFC 9293 §3.10.7.4, eighth", "
        open
        < F. 101:0 ack 1 win 10000
        > . 1:0 ack 1
        state Established
        < P. 1:100 ack 1 win 10000
        > . 1:0 ack 102
        state CloseWait
        recv 100
        recv end
    ";
    abort_sends_rst, "RFC 9293 §3.10.5", "
        open
        send 100
        > P. 1:100
        abort
        > R. 101:0 ack 1
        state Closed
        reason Aborted
        idle
    ";
    data_after_the_peers_fin_is_not_taken, "RFC 9293 §3.10.7.4, seventh", "
        open
        < F. 1:0 ack 1 win 10000
        > . 1:0 ack 2
        < P. 2:10 ack 1 win 10000
        > . 1:0 ack 2
        counter unwanted_data 1
        recv 0
    ";
    zero_window_is_probed_with_an_octet, "RFC 9293 §3.8.6.1, MUST-36", "
        open win 0 rtt 20ms
        send 1000
        > none
        wait 220ms
        > . 1:1 ack 1 at 220ms
        < . 1:0 ack 1 win 0
        wait 1s
        > . 1:1 at 440ms
        < . 1:0 ack 1 win 0
        wait 2s
        > . 1:1 at 320ms
        counter window_probes 1
        < . 1:0 ack 1 win 5000
        > . 1:1
        > P. 2:999
    ";
    closed_window_is_kept_open_as_long_as_it_answers, "RFC 9293 §3.8.6.1, MUST-37", "
        open win 0 rtt 20ms
        timeout 1s
        send 10
        wait 220ms
        > . 1:1
        < . 1:0 ack 1 win 0
        wait 440ms
        > . 1:1
        < . 1:0 ack 1 win 0
        wait 880ms
        > . 1:1
        < . 1:0 ack 1 win 0
        wait 1760ms
        > . 1:1
        < . 1:0 ack 1 win 0
        state Established
    ";
    small_windows_are_not_filled, "RFC 9293 §3.8.6.2.1, MUST-38", "
        open win 5000
        send 1000
        > P. 1:1000
        < . 1:0 ack 1001 win 200
        send 1000
        > none
        < . 1:0 ack 1001 win 1000
        > P. 1001:1000
    ";
    receive_window_moves_in_steps, "RFC 9293 §3.8.6.2.2, MUST-39", "
        set receive_window 4000
        open shown 4000
        < . 1:1000 ack 1 win 10000
        < . 1001:1000 ack 1 win 10000
        > . 1:0 ack 2001 win 2000
        < . 2001:1000 ack 1 win 10000
        < . 3001:1000 ack 1 win 10000
        > . 1:0 ack 4001 win 0
        recv 4000
        > . 1:0 ack 4001 win 4000
    ";
    receive_window_never_shrinks, "RFC 9293 §3.8.6, SHLD-14", "
        open shown 4000
        set receive_grant 1000
        < . 1:1000 ack 1 win 10000
        < . 1001:1000 ack 1 win 10000
        > . 1:0 ack 2001 win 2000
        recv 2000
        < . 2001:1000 ack 1 win 10000
        < . 3001:1000 ack 1 win 10000
        > . 1:0 ack 4001 win 0
        recv 2000
        > . 1:0 ack 4001 win 1000
    ";
    nagle_holds_small_segments, "RFC 9293 §3.7.4, MUST-17", "
        open
        nagle on
        send 100
        > P. 1:100
        send 100
        send 100
        > none
        < . 1:0 ack 101 win 10000
        > P. 101:200
    ";
    without_nagle_small_segments_go, "RFC 9293 §3.7.4, MUST-17: it can be turned off", "
        open
        send 100
        > P. 1:100
        send 100
        > P. 101:100
    ";
    urgent_data_is_read_in_line, "RFC 9293 §3.8.5, MUST-31", "
        open
        < PU. 1:100 ack 1 win 10000
        recv 100
        wait 40ms
        > . 1:0 ack 101
    ";
    keep_alive_asks_and_gives_up, "RFC 9293 §3.8.4, MUST-24 to 28", "
        open
        keepalive 10s
        timeout 5s
        idle
        wait 10s
        > . 0:0 ack 1 at 10s
        < . 1:0 ack 1 win 10000
        wait 10s
        > . 0:0 ack 1 at 10s
        wait 5s
        > R. 1:0 at 15s
        state Closed
        reason TimedOut
    ";
    keep_alive_is_off_at_first, "RFC 9293 §3.8.4, MUST-25", "
        open
        timer none
    ";
    keep_alive_of_the_peer_is_answered, "RFC 9293 §3.8.4", "
        open
        < . 0:0 ack 1 win 10000
        > . 1:0 ack 1
        < . 0:1 ack 1 win 10000
        > . 1:0 ack 1
    ";
    user_timeout_ends_the_connection, "RFC 9293 §3.8.3, MUST-21; §3.9.1.1", "
        open rtt 20ms
        timeout 1s
        send 100
        > P. 1:100
        wait 220ms
        > P. 1:100
        wait 440ms
        > P. 1:100
        wait 880ms
        > R. 101:0
        state Closed
        reason TimedOut
    ";
    send_refuses_when_full_and_tells, "RFC 9293 §3.9.1.3", "
        set send_buffer 2000
        open
        send 1500
        send 1500
        send 1 full
        > . 1:1000
        > . 1001:1000
        > P. 2001:1000
    ";
    data_for_a_reader_that_left_is_acknowledged, "RFC 9293 §3.10.7.4, seventh", "
        open
        shut_read
        < P. 1:100 ack 1 win 10000
        recv 0
        wait 40ms
        > . 1:0 ack 101
        counter unwanted_data 1
    ";
    fin_wait_2_of_a_released_connection_ends, "RFC 9293 §3.6 (timer as in every implementation)", "
        open
        shut_read
        shutdown
        > F. 1:0
        < . 1:0 ack 2 win 10000
        state FinWait2
        wait 60s
        state Closed
    ";
    fin_beyond_the_window_is_not_taken, "RFC 9293 §3.10.7.4: what lies beyond the window is trimmed, FIN included", "
        set receive_window 2000
        open shown 2000
        < F. 1:3000 ack 1 win 10000
        > . 1:0 ack 2001 win 0
        state Established
        recv 2000
        > . 1:0 ack 2001 win 2000
        < F. 2001:1000 ack 1 win 10000
        > . 1:0 ack 3002
        state CloseWait
    ";
    old_data_is_acknowledged_without_limit, "RFC 9293 §3.10.7.4, first; RFC 5961 §7 limits challenges only", "
        set challenge_acks 0
        open
        < . 1:1000 ack 1 win 10000
        < . 1001:1000 ack 1 win 10000
        > . 1:0 ack 2001
        < . 1:1000 ack 1 win 10000
        > . 1:0 ack 2001
        < . 1:0 ack 1 win 10000
        > none
    ";
    receive_window_waits_for_a_full_segment, "RFC 9293 §3.8.6.2.2, MUST-39", "
        set receive_window 4000
        open shown 4000
        < . 1:500 ack 1 win 10000
        < . 501:500 ack 1 win 10000
        take 500
        send 10
        > P. 1:10 ack 1001 win 3000
        take 500
        send 10
        > P. 11:10 ack 1001 win 4000
    ";
}
