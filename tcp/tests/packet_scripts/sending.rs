//! What goes out: windows, small segments, timeouts, keep-alive, size of segments.

use crate::script::Script;

pub const SCRIPTS: &[Script] = &[
    (
        "RFC 9293 §3.10.2",
        "data goes out in full segments, the last with PSH",
        "established mss 1000
         write 2500
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > P. 2001:2501 ack 1",
    ),
    (
        "RFC 9293 §3.10.2",
        "writes that are small are sent as they come",
        "established mss 1000
         write 10
         > P. 1:11 ack 1
         write 10
         > P. 11:21 ack 1",
    ),
    (
        "RFC 9293 §3.7.4, SHLD-7",
        "Nagle's algorithm holds a small segment back",
        "established mss 1000
         set nagle
         write 10
         > P. 1:11 ack 1
         write 10
         write 20
         +30 < . 1:1 ack 11 win 9000
         > P. 11:41 ack 1",
    ),
    (
        "RFC 9293 §3.7.4",
        "Nagle's algorithm lets full segments go",
        "established mss 1000
         set nagle
         write 10
         > P. 1:11 ack 1
         write 1500
         > . 11:1011 ack 1
         +30 < . 1:1 ack 1011 win 9000
         > P. 1011:1511 ack 1",
    ),
    (
        "RFC 9293 §3.7.4",
        "a FIN takes along what Nagle's algorithm held back",
        "established mss 1000
         set nagle
         write 10
         > P. 1:11 ack 1
         write 10
         shutdown
         > FP. 11:21 ack 1",
    ),
    (
        "RFC 9293 §3.8.4, §3.10.2",
        "no more is sent than the peer's window takes",
        "established mss 1000 win 2500
         write 5000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         +10 < . 1:1 ack 2001 win 3000
         > . 2001:3001 ack 1
         > . 3001:4001 ack 1
         > P. 4001:5001 ack 1",
    ),
    (
        "RFC 9293 §3.8.6.2.1, case 3",
        "a window below a segment is used when it is half of the largest",
        "established mss 1000 win 800
         write 2000
         > . 1:801 ack 1
         +10 < . 1:1 ack 801 win 500
         > . 801:1301 ack 1",
    ),
    (
        "RFC 9293 §3.8.6.2.1",
        "a silly window is waited out, then overridden",
        "established mss 1000 win 9000
         write 1000
         > P. 1:1001 ack 1
         +10 < . 1:1 ack 1001 win 100
         write 2000
         +210 > . 1001:1101 ack 1",
    ),
    (
        "RFC 9293 §3.10.7.4, fifth",
        "an older segment does not change the window",
        "established mss 1000 win 2000
         < . 1:101 ack 1 win 3000
         > . 1:1 ack 101
         write 9000
         > . 1:1001 ack 101
         > . 1001:2001 ack 101
         > . 2001:3001 ack 101
         # SND.WL1 is 1: this one is older, by its sequence number; it is also out of the window.
         < . 0:0 ack 1 win 9000
         > . 3001:3001 ack 101
         +10 < . 101:101 ack 3001 win 1000
         > . 3001:4001 ack 101",
    ),
    (
        "RFC 9293 §3.8.6, MUST-34",
        "a window that shrinks does no harm",
        "established mss 1000 win 9000
         write 3000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > P. 2001:3001 ack 1
         write 1000
         > P. 3001:4001 ack 1
         +10 < . 1:1 ack 1001 win 500
         write 1000
         +10 < . 1:1 ack 4001 win 9000
         > P. 4001:5001 ack 1",
    ),
    (
        "RFC 9293 §3.8.6.1, MUST-36",
        "a closed window is probed after the RTO, then twice as late",
        "established mss 1000 win 1000
         write 2000
         > . 1:1001 ack 1
         +10 < . 1:1 ack 1001 win 0
         +210 > . 1001:1002 ack 1
         +5 < . 1:1 ack 1001 win 0
         +* > . 1001:1002 ack 1
         +5 < . 1:1 ack 1001 win 0
         +* > . 1001:1002 ack 1
         count timed_out 0",
    ),
    (
        "RFC 9293 §3.8.6.1, MUST-37",
        "a closed window is probed as long as the peer answers",
        "established mss 1000 win 1000
         set usertimeout 5000
         write 2000
         > . 1:1001 ack 1
         +10 < . 1:1 ack 1001 win 0
         +* > . 1001:1002 ack 1
         < . 1:1 ack 1001 win 0
         +* > . 1001:1002 ack 1
         < . 1:1 ack 1001 win 0
         +* > . 1001:1002 ack 1
         < . 1:1 ack 1001 win 0
         +* > . 1001:1002 ack 1
         < . 1:1 ack 1001 win 0
         +* > . 1001:1002 ack 1
         < . 1:1 ack 1001 win 0
         +* > . 1001:1002 ack 1
         < . 1:1 ack 1001 win 0
         state Established",
    ),
    (
        "RFC 9293 §3.8.6.1",
        "a window that opens again lets all go at once",
        "established mss 1000 win 1000
         write 3000
         > . 1:1001 ack 1
         +10 < . 1:1 ack 1001 win 0
         +210 > . 1001:1002 ack 1
         +10 < . 1:1 ack 1001 win 9000
         > . 1001:1002 ack 1
         > . 1002:2002 ack 1
         > P. 2002:3001 ack 1
         cwnd 10000",
    ),
    (
        "RFC 6298 §5.1, §5.4",
        "the oldest segment goes again after the RTO",
        "established mss 1000
         write 2000
         > . 1:1001 ack 1
         > P. 1001:2001 ack 1
         +210 > . 1:1001 ack 1
         count timeouts 1",
    ),
    (
        "RFC 6298 §5.5",
        "the RTO doubles each time",
        "established mss 1000
         write 500
         > P. 1:501 ack 1
         +210 > P. 1:501 ack 1
         +420 > P. 1:501 ack 1
         +840 > P. 1:501 ack 1
         +1680 > P. 1:501 ack 1",
    ),
    (
        "RFC 6298 §5.3",
        "an ACK of new data starts the timer again",
        "established mss 1000
         write 2000
         > . 1:1001 ack 1
         > P. 1001:2001 ack 1
         +100 < . 1:1 ack 1001 win 9000
         nothing 200
         +* > P. 1001:2001 ack 1",
    ),
    (
        "RFC 6298 §5.2",
        "the timer stops when all is acknowledged",
        "established mss 1000
         write 1000
         > P. 1:1001 ack 1
         +10 < . 1:1 ack 1001 win 9000
         nothing 100000",
    ),
    (
        "RFC 6298 §3, Karn's algorithm",
        "an ACK of a segment that went twice gives no sample",
        "established mss 1000
         write 500
         > P. 1:501 ack 1
         +210 > P. 1:501 ack 1
         +100 < . 1:1 ack 501 win 9000
         rtt 10
         write 500
         > P. 501:1001 ack 1
         +420 > P. 501:1001 ack 1",
    ),
    (
        "RFC 6298 §3",
        "with timestamps a segment that went twice gives a sample",
        "established mss 1000 ts
         write 500
         > P. 1:501 ack 1
         +210 > P. 1:501 ack 1
         +90 < . 1:1 ack 501 win 9000
         rtt 20",
    ),
    (
        "RFC 6298 §2.3",
        "samples move the estimate",
        "established mss 1000
         rtt 10
         write 500
         > P. 1:501 ack 1
         +90 < . 1:1 ack 501 win 9000
         # 7/8 × 10 + 1/8 × 90
         rtt 20",
    ),
    (
        "RFC 5681 §3.1, RFC 6298 §5.4",
        "after a timeout the window is one segment",
        "established mss 1000
         write 6000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > . 3001:4001 ack 1
         > . 4001:5001 ack 1
         > P. 5001:6001 ack 1
         +210 > . 1:1001 ack 1
         cwnd 1000
         +10 < . 1:1 ack 1001 win 65535
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         cwnd 2000",
    ),
    (
        "RFC 9293 §3.8.3, MUST-20 and MUST-23",
        "the user timeout ends a silent connection",
        "established mss 1000
         set usertimeout 3000
         write 500
         > P. 1:501 ack 1
         +210 > P. 1:501 ack 1
         +420 > P. 1:501 ack 1
         +840 > P. 1:501 ack 1
         +1680 > R. 501:501 ack 1
         state Closed
         reason TimedOut",
    ),
    (
        "RFC 9293 §3.8.3",
        "without user timeout a connection goes on",
        "established mss 1000
         set usertimeout
         write 500
         > P. 1:501 ack 1
         +210 > P. 1:501 ack 1
         +420 > P. 1:501 ack 1
         +840 > P. 1:501 ack 1
         +1680 > P. 1:501 ack 1
         +3360 > P. 1:501 ack 1
         +6720 > P. 1:501 ack 1
         +13440 > P. 1:501 ack 1
         +26880 > P. 1:501 ack 1
         +53760 > P. 1:501 ack 1
         +60000 > P. 1:501 ack 1
         +60000 > P. 1:501 ack 1
         state Established",
    ),
    (
        "RFC 5681 §3.1",
        "slow start sends two segments for one that is acknowledged",
        "established mss 1000
         write 30000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > . 3001:4001 ack 1
         > . 4001:5001 ack 1
         > . 5001:6001 ack 1
         > . 6001:7001 ack 1
         > . 7001:8001 ack 1
         > . 8001:9001 ack 1
         > . 9001:10001 ack 1
         +10 < . 1:1 ack 1001 win 65535
         > . 10001:11001 ack 1
         > . 11001:12001 ack 1
         cwnd 11000",
    ),
    (
        "RFC 9438 §5.8, RFC 7661",
        "a window that is not used does not grow",
        "established mss 1000
         write 1000
         > P. 1:1001 ack 1
         +10 < . 1:1 ack 1001 win 65535
         write 1000
         > P. 1001:2001 ack 1
         +10 < . 1:1 ack 2001 win 65535
         cwnd 10000",
    ),
    (
        "RFC 5681 §4.1",
        "a pause leaves the first window",
        "established mss 1000
         write 10000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > . 3001:4001 ack 1
         > . 4001:5001 ack 1
         > . 5001:6001 ack 1
         > . 6001:7001 ack 1
         > . 7001:8001 ack 1
         > . 8001:9001 ack 1
         > P. 9001:10001 ack 1
         +10 < . 1:1 ack 10001 win 65535
         cwnd 20000
         +60000 write 100
         > P. 10001:10101 ack 1
         cwnd 10000",
    ),
    (
        "RFC 9293 §3.8.4, MUST-25",
        "keep-alive is off by default",
        "established mss 1000
         nothing 100000000",
    ),
    (
        "RFC 9293 §3.8.4",
        "keep-alive asks after the interval and takes the answer",
        "established mss 1000
         set keepalive 10000
         +10000 > . 0:0 ack 1
         +10 < . 1:1 ack 1 win 9000
         +10000 > . 0:0 ack 1
         +10 < . 1:1 ack 1 win 9000
         state Established
         count keep_alives 2",
    ),
    (
        "RFC 9293 §3.8.4",
        "a peer that answers no keep-alive is gone",
        "established mss 1000
         set keepalive 10000
         set usertimeout 15000
         +10000 > . 0:0 ack 1
         +10000 > . 0:0 ack 1
         +10000 > R. 1:1 ack 1
         state Closed
         reason TimedOut",
    ),
    (
        "RFC 9293 §3.8.4",
        "data puts the keep-alive off",
        "established mss 1000
         set keepalive 10000
         +8000 < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         +10000 > . 0:0 ack 101",
    ),
    (
        "RFC 9293 §3.8.4, MUST-26",
        "no keep-alive while data is under way",
        "established mss 1000
         set keepalive 1000
         write 10
         > P. 1:11 ack 1
         +210 > P. 1:11 ack 1
         +420 > P. 1:11 ack 1
         +840 > P. 1:11 ack 1
         count keep_alives 0",
    ),
    (
        "RFC 9293 §3.8.4",
        "a keep-alive of the peer is answered",
        "established mss 1000
         +5000 < . 0:0 ack 1 win 9000
         > . 1:1 ack 1
         +5000 < . 0:1 ack 1 win 9000
         > . 1:1 ack 1",
    ),
    (
        "RFC 5927 §7.2, RFC 8201 §4",
        "a message that is too big about data in flight makes segments smaller",
        "established mss 1460
         write 2800
         > . 1:1461 ack 1
         > P. 1461:2801 ack 1
         toobig 1 1000 taken
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > P. 2001:2801 ack 1
         count path_mtu 1",
    ),
    (
        "RFC 5927 §4.1",
        "a message about what is acknowledged is ignored",
        "established mss 1460
         write 1000
         > P. 1:1001 ack 1
         +10 < . 1:1 ack 1001 win 9000
         toobig 1 500 ignored
         toobig 1001 500 ignored
         toobig 5000 500 ignored
         mss 1460
         count icmp_invalid 3",
    ),
    (
        "RFC 8201 §4",
        "a message does not make segments larger",
        "established mss 1000
         write 500
         > P. 1:501 ack 1
         toobig 1 1460 ignored
         mss 1000",
    ),
    (
        "RFC 5927 §7.2",
        "no message makes segments smaller than our least",
        "config minmss 500
         established mss 1460
         write 1460
         > P. 1:1461 ack 1
         toobig 1 10 taken
         > . 1:501 ack 1
         > . 501:1001 ack 1
         > P. 1001:1461 ack 1",
    ),
    (
        "RFC 8201 §4",
        "a smaller path is no congestion",
        "established mss 1460
         cwnd 14600
         write 1460
         > P. 1:1461 ack 1
         toobig 1 1200 taken
         > . 1:1201 ack 1
         > P. 1201:1461 ack 1
         cwnd 14600",
    ),
    (
        "RFC 4821 §7.7",
        "full segments that vanish are tried smaller",
        "established mss 1460
         write 1460
         > P. 1:1461 ack 1
         +210 > P. 1:1461 ack 1
         +420 > P. 1:1461 ack 1
         +840 > . 1:1025 ack 1
         +10 < . 1:1 ack 1025 win 9000
         > P. 1025:1461 ack 1
         count black_holes 1",
    ),
    (
        "RFC 4821 §7.7",
        "small segments that vanish change no size",
        "established mss 1460
         write 100
         > P. 1:101 ack 1
         +210 > P. 1:101 ack 1
         +420 > P. 1:101 ack 1
         +840 > P. 1:101 ack 1
         mss 1460
         count black_holes 0",
    ),
    (
        "RFC 9293 §3.9.2.2",
        "no ICMP error ends a connection that is open",
        "established mss 1000
         write 100
         > P. 1:101 ack 1
         unreachable 1 hard
         unreachable 1 soft
         state Established",
    ),
    (
        "RFC 9293 §3.7.2",
        "a path that takes more is used",
        "config announce 1460
         established mss 1460
         pathmss 1000
         write 1000
         > P. 1:1001 ack 1
         +10 < . 1:1 ack 1001 win 9000
         pathmss 1400
         write 1400
         > P. 1001:2401 ack 1",
    ),
    (
        "RFC 9293 §3.8.2",
        "a train for the device is a whole number of segments",
        "config tso 64000
         established mss 1000
         write 4500
         > P. 1:4501 ack 1",
    ),
    (
        "RFC 9293 §3.10.2",
        "the send buffer refuses what does not fit",
        "config sendbuffer 1000
         established mss 1000
         write 1000
         > P. 1:1001 ack 1
         queued 1000
         +10 < . 1:1 ack 1001 win 9000
         event WRITABLE
         queued 0",
    ),
    (
        "RFC 3168 §6.1.2",
        "new data is ECN-capable, ACKs are not",
        "established mss 1000 ecn
         write 100
         > P.C 1:101 ack 1
         < . 1:101 ack 101 win 9000
         > .N 101:101 ack 101",
    ),
    (
        "RFC 3168 §6.1.5",
        "retransmissions are not ECN-capable",
        "established mss 1000 ecn
         write 100
         > P.C 1:101 ack 1
         +210 > P.N 1:101 ack 1",
    ),
    (
        "RFC 3168 §6.1.2",
        "an echoed mark lowers the window once, and CWR says so",
        "established mss 1000 ecn win 60000
         write 10000
         > .C 1:1001 ack 1
         > .C 1001:2001 ack 1
         > .C 2001:3001 ack 1
         > .C 3001:4001 ack 1
         > .C 4001:5001 ack 1
         > .C 5001:6001 ack 1
         > .C 6001:7001 ack 1
         > .C 7001:8001 ack 1
         > .C 8001:9001 ack 1
         > P.C 9001:10001 ack 1
         +10 < .E 1:1 ack 2001 win 60000
         < .E 1:1 ack 10001 win 60000
         write 1000
         > P.CW 10001:11001 ack 1
         # 0.7 of the ten segments in flight. (RFC 9438 §4.6)
         cwnd 7000
         count congestion_marks 1",
    ),
];
