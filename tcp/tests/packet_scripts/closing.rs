//! Closing, resets, TIME-WAIT, limits of what strangers can bring about.

use crate::script::Script;

pub const SCRIPTS: &[Script] = &[
    (
        "RFC 9293 §3.8.6, SHLD-14",
        "a window does not go back with the peer's FIN",
        "config window 16385
         config windowmax 65536
         established
         shutdown
         > F. 1:1 ack 1 win 16385
         < F. 1:1 ack 2 win 65535
         > . 2:2 ack 2 win 16384",
    ),
    (
        "RFC 9293 §3.6, figure 12",
        "a close by us goes through FIN-WAIT to TIME-WAIT",
        "established mss 1000
         shutdown
         > F. 1:1 ack 1
         state FinWait1
         +10 < . 1:1 ack 2 win 9000
         state FinWait2
         event FIN_ACKED
         +10 < F. 1:1 ack 2 win 9000
         > . 2:2 ack 2
         state TimeWait
         event TIME_WAIT
         nothing 59000
         state TimeWait
         nothing 2000
         state Closed
         reason Finished",
    ),
    (
        "RFC 9293 §3.6, case 2",
        "a close by the peer goes through CLOSE-WAIT and LAST-ACK",
        "established mss 1000
         < F. 1:1 ack 1 win 9000
         > . 1:1 ack 2
         state CloseWait
         end
         shutdown
         > F. 1:1 ack 2
         state LastAck
         +10 < . 2:2 ack 2 win 9000
         state Closed
         reason Finished",
    ),
    (
        "RFC 9293 §3.6, figure 13",
        "both close at once",
        "established mss 1000
         shutdown
         > F. 1:1 ack 1
         < F. 1:1 ack 1 win 9000
         > . 2:2 ack 2
         state Closing
         +10 < . 2:2 ack 2 win 9000
         state TimeWait",
    ),
    (
        "RFC 9293 §3.10.4",
        "a close sends the data first",
        "established mss 1000
         write 1500
         > . 1:1001 ack 1
         > P. 1001:1501 ack 1
         shutdown
         > F. 1501:1501 ack 1",
    ),
    (
        "RFC 9293 §3.10.4",
        "a FIN rides on the last data",
        "established mss 1000 win 1000
         write 1500
         > . 1:1001 ack 1
         shutdown
         +10 < . 1:1 ack 1001 win 9000
         > FP. 1001:1501 ack 1",
    ),
    (
        "RFC 6298 §5.4",
        "a lost FIN is sent again",
        "established mss 1000
         shutdown
         > F. 1:1 ack 1
         +210 > F. 1:1 ack 1
         +420 > F. 1:1 ack 1",
    ),
    (
        "RFC 9293 §3.6, MUST-11",
        "data is taken after our FIN",
        "established mss 1000
         shutdown
         > F. 1:1 ack 1
         +10 < . 1:1 ack 2 win 9000
         < . 1:101 ack 2 win 9000
         > . 2:2 ack 101
         read 100
         < F. 101:201 ack 2 win 9000
         > . 2:2 ack 202
         read 100
         end",
    ),
    (
        "RFC 9293 §3.6",
        "data is sent after the peer's FIN",
        "established mss 1000
         < F. 1:1 ack 1 win 9000
         > . 1:1 ack 2
         write 100
         > P. 1:101 ack 2
         +10 < . 2:2 ack 101 win 9000
         state CloseWait",
    ),
    (
        "RFC 9293 §3.10.7.4, fifth",
        "a FIN and the ACK of ours in one segment lead to TIME-WAIT",
        "established mss 1000
         shutdown
         > F. 1:1 ack 1
         < F. 1:1 ack 2 win 9000
         > . 2:2 ack 2
         state TimeWait",
    ),
    (
        "RFC 9293 §3.10.7.4, eighth",
        "the peer's FIN again in TIME-WAIT is acknowledged and starts it again",
        "config timewait 10000
         established mss 1000
         shutdown
         > F. 1:1 ack 1
         < F. 1:1 ack 2 win 9000
         > . 2:2 ack 2
         +8000 < F. 1:1 ack 2 win 9000
         > . 2:2 ack 2
         nothing 9900
         state TimeWait
         nothing 200
         state Closed",
    ),
    (
        "RFC 1337 §3",
        "a RST does not end TIME-WAIT",
        "established mss 1000
         shutdown
         > F. 1:1 ack 1
         < F. 1:1 ack 2 win 9000
         > . 2:2 ack 2
         < R 2:2 win 0
         state TimeWait",
    ),
    (
        "RFC 1337 §3",
        "old data does not disturb TIME-WAIT",
        "established mss 1000
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         read 100
         shutdown
         > F. 1:1 ack 101
         < F. 101:101 ack 2 win 9000
         > . 2:2 ack 102
         < . 1:101 ack 1 win 9000
         > . 2:2 ack 102
         state TimeWait",
    ),
    (
        "RFC 9293 §3.10.7.4, eighth",
        "a FIN again in CLOSE-WAIT changes nothing",
        "established mss 1000
         < F. 1:1 ack 1 win 9000
         > . 1:1 ack 2
         < F. 1:1 ack 1 win 9000
         > . 1:1 ack 2
         state CloseWait",
    ),
    (
        "RFC 9293 §3.10.5",
        "an abort sends a reset that the peer takes",
        "established mss 1000
         write 100
         > P. 1:101 ack 1
         abort
         > R. 101:101 ack 1
         state Closed
         reason Aborted
         nothing 10000",
    ),
    (
        "RFC 9293 §3.10.5",
        "an abort in FIN-WAIT-2 resets",
        "established mss 1000
         shutdown
         > F. 1:1 ack 1
         < . 1:1 ack 2 win 9000
         abort
         > R. 2:2 ack 1
         state Closed",
    ),
    (
        "RFC 9293 §3.10.5",
        "an abort in TIME-WAIT sends nothing",
        "established mss 1000
         shutdown
         > F. 1:1 ack 1
         < F. 1:1 ack 2 win 9000
         > . 2:2 ack 2
         abort
         state Closed
         nothing 1000",
    ),
    (
        "RFC 9293 §3.10.7.1",
        "a closed connection answers with a reset",
        "established mss 1000
         < R 1:1 win 0
         state Closed
         < . 1:101 ack 1 win 9000
         > R 1:1
         < S 50:50 win 9000
         # Number 0, absolute: ours begin 256 below.
         > R. 256:256 ack 51",
    ),
    (
        "RFC 9293 §3.10.7.1",
        "a closed connection does not answer a reset",
        "established mss 1000
         < R 1:1 win 0
         < R 1:1 win 0
         < R. 1:1 ack 1 win 0
         nothing 1000",
    ),
    (
        "RFC 9293 §3.6.1",
        "what was received before a reset can be read",
        "established mss 1000
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         < R 101:101 win 0
         state Closed
         read 100
         end",
    ),
    (
        "RFC 1122 §4.2.2.13, RFC 9293 §3.6",
        "FIN-WAIT-2 of a connection that was let go ends by a timer",
        "config finwait2 20000
         established mss 1000
         shut_read
         shutdown
         > F. 1:1 ack 1
         < . 1:1 ack 2 win 9000
         state FinWait2
         nothing 19000
         state FinWait2
         nothing 2000
         state Closed",
    ),
    (
        "RFC 9293 §3.6",
        "FIN-WAIT-2 of a connection that is read lasts",
        "established mss 1000
         shutdown
         > F. 1:1 ack 1
         < . 1:1 ack 2 win 9000
         nothing 3600000
         state FinWait2",
    ),
    (
        "RFC 5961 §3.2",
        "a RST is taken at the exact number behind what was received",
        "established mss 1000
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         < R 1:1 win 0
         state Established
         < R 100:100 win 0
         state Established
         < R 102:102 win 0
         > . 1:1 ack 101
         < R 101:101 win 0
         state Closed",
    ),
    (
        "RFC 5961 §3.2",
        "a RST above data out of order gets a challenge",
        "established mss 1000 sackok
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:201>
         < R 201:201 win 0
         > . 1:1 ack 1 <sack 101:201>
         state Established",
    ),
    (
        "RFC 5961 §4.2",
        "a client that restarted gets a challenge and resets",
        "established mss 1000
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         +60000 < S 500000:500000 win 9000 <mss 1000>
         > . 1:1 ack 101
         state Established
         # The client does not know the connection: it answers the ACK with its number.
         < R 101:101 win 0
         state Closed
         reason Reset",
    ),
    (
        "RFC 5961 §5.2",
        "an ACK as old as the largest window is still taken",
        "established mss 1000 win 2000
         write 4000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         +10 < . 1:1 ack 2001 win 2000
         > . 2001:3001 ack 1
         > P. 3001:4001 ack 1
         < . 1:101 ack 1 win 2000
         > . 4001:4001 ack 101
         unread 100
         < . 101:201 ack 0 win 2000
         > . 4001:4001 ack 101
         unread 100
         count ack_too_old 1",
    ),
    (
        "RFC 5961 §7",
        "one connection sends five challenges in a second",
        "established mss 1000
         < S 10:10 win 9000
         > . 1:1 ack 1
         < S 10:10 win 9000
         > . 1:1 ack 1
         < R 10:10 win 0
         > . 1:1 ack 1
         < . 1:1 ack 5 win 9000
         > . 1:1 ack 1
         < S 10:10 win 9000
         > . 1:1 ack 1
         < S 10:10 win 9000
         < R 10:10 win 0
         < . 1:1 ack 5 win 9000
         count challenge_acks 5
         count challenge_acks_limited 3
         +1000 < S 10:10 win 9000
         > . 1:1 ack 1",
    ),
    (
        "RFC 5961 §7",
        "all connections together have a limit of challenges",
        "config allchallenges 2
         established mss 1000
         < S 10:10 win 9000
         > . 1:1 ack 1
         < S 10:10 win 9000
         > . 1:1 ack 1
         < S 10:10 win 9000
         count challenge_acks_limited 1",
    ),
    (
        "RFC 5961 §7",
        "a limit of challenges does not hold data's ACKs back",
        "config allchallenges 0
         established mss 1000
         < S 10:10 win 9000
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101",
    ),
    (
        "RFC 9293 §3.10.7.4, fifth",
        "an ACK of nothing does not bring its data in",
        "established mss 1000
         < . 1:101 ack 500 win 9000
         > . 1:1 ack 1
         unread 0",
    ),
    (
        "RFC 9293 §3.10.7.4, fifth",
        "an ACK in LAST-ACK that is short leaves the state",
        "established mss 1000
         < F. 1:1 ack 1 win 9000
         > . 1:1 ack 2
         write 100
         > P. 1:101 ack 2
         shutdown
         > F. 101:101 ack 2
         < . 2:2 ack 101 win 9000
         state LastAck
         < . 2:2 ack 102 win 9000
         state Closed",
    ),
    (
        "RFC 9293 §3.10.4",
        "a FIN beyond the peer's window waits",
        "established mss 1000 win 1000
         write 1500
         > . 1:1001 ack 1
         shutdown
         nothing 100
         +10 < . 1:1 ack 1001 win 400
         nothing 100
         +10 < . 1:1 ack 1001 win 9000
         > FP. 1001:1501 ack 1",
    ),
    (
        "RFC 9293 §3.10.4",
        "a FIN alone needs no window",
        "established mss 1000 win 1000
         write 1000
         > P. 1:1001 ack 1
         +10 < . 1:1 ack 1001 win 0
         shutdown
         > F. 1001:1001 ack 1",
    ),
];
