//! Handshakes: RFC 9293 §3.5, RFC 7323 §2 and §3, RFC 2018 §2, RFC 3168 §6.1.1, RFC 6298 §5.7, RFC 6928 §2.

use crate::script::Script;

pub const SCRIPTS: &[Script] = &[
    (
        "RFC 9293 §3.5, figure 6",
        "a passive open takes three segments",
        "< S 0:0 win 1000 <mss 1000>
         > S. 0:0 ack 1 <mss 1460>
         state SynReceived
         +10 < . 1:1 ack 1 win 1000
         state Established
         event ESTABLISHED",
    ),
    (
        "RFC 9293 §3.5, figure 6",
        "an active open takes three segments",
        "connect
         > S 0:0
         state SynSent
         +10 < S. 0:0 ack 1 win 1000 <mss 1000>
         > . 1:1 ack 1
         state Established
         event ESTABLISHED",
    ),
    (
        "RFC 9293 §3.5, figure 7",
        "both sides open at once",
        "connect
         > S 0:0
         +10 < S 0:0 win 1000 <mss 1000>
         > S. 0:0 ack 1
         state SynReceived
         +10 < S. 0:0 ack 1 win 1000 <mss 1000>
         state Established",
    ),
    (
        "RFC 9293 §3.5, figure 8",
        "an old duplicate SYN is reset by the peer and waited out",
        "connect
         > S 0:0
         +10 < . 50:50 ack -100 win 1000
         > R -100:-100
         state SynSent
         +10 < S. 0:0 ack 1 win 1000
         > . 1:1 ack 1
         state Established",
    ),
    (
        "RFC 9293 §3.10.7.3, first",
        "an ACK of something never sent resets in SYN-SENT",
        "connect
         > S 0:0
         +10 < S. 0:0 ack 2 win 1000
         > R 2:2
         state SynSent",
    ),
    (
        "RFC 9293 §3.10.7.3, first",
        "a RST with an ACK of nothing is dropped in SYN-SENT",
        "connect
         > S 0:0
         +10 < R. 0:0 ack 0 win 0
         state SynSent
         +10 < R. 0:0 ack 2 win 0
         state SynSent",
    ),
    (
        "RFC 9293 §3.10.7.3, second",
        "a RST that acknowledges the SYN refuses",
        "connect
         > S 0:0
         +10 < R. 0:0 ack 1 win 0
         state Closed
         reason Refused",
    ),
    (
        "RFC 9293 §3.10.7.3, second",
        "a RST without ACK is dropped in SYN-SENT",
        "connect
         > S 0:0
         +10 < R 0:0 win 0
         state SynSent",
    ),
    (
        "RFC 9293 §3.10.7.3, fifth",
        "a segment without SYN and RST is dropped in SYN-SENT",
        "connect
         > S 0:0
         +10 < . 5:5 ack 1 win 1000
         state SynSent",
    ),
    (
        "RFC 9293 §3.10.7.4, second",
        "a RST in SYN-RECEIVED ends a passive open",
        "< S 0:0 win 1000
         > S. 0:0 ack 1
         < R 1:1 win 0
         state Closed
         reason Reset",
    ),
    (
        "RFC 9293 §3.10.7.4, second",
        "a RST in SYN-RECEIVED refuses an active open",
        "connect
         > S 0:0
         < S 0:0 win 1000
         > S. 0:0 ack 1
         < R 1:1 win 0
         state Closed
         reason Refused",
    ),
    (
        "RFC 9293 §3.10.7.4, fifth",
        "a wrong ACK in SYN-RECEIVED is reset and waited out",
        "< S 0:0 win 1000
         > S. 0:0 ack 1
         < . 1:1 ack 2 win 1000
         > R 2:2
         < . 1:1 ack 0 win 1000
         > R 0:0
         state SynReceived
         < . 1:1 ack 1 win 1000
         state Established",
    ),
    (
        "RFC 9293 §3.10.7.4, fifth",
        "the ACK of a handshake may bring data",
        "< S 0:0 win 1000
         > S. 0:0 ack 1
         +10 < . 1:101 ack 1 win 1000
         > . 1:1 ack 101
         read 100",
    ),
    (
        "RFC 9293 §3.10.7.4, eighth",
        "the ACK of a handshake may bring a FIN",
        "< S 0:0 win 1000
         > S. 0:0 ack 1
         +10 < F. 1:101 ack 1 win 1000
         > . 1:1 ack 102
         state CloseWait
         read 100
         end",
    ),
    (
        "RFC 9293 §3.10.7.4, fourth",
        "a SYN again in SYN-RECEIVED gets the SYN-ACK again",
        "< S 0:0 win 1000
         > S. 0:0 ack 1
         +100 < S 0:0 win 1000
         > S. 0:0 ack 1",
    ),
    (
        "RFC 9293 §3.10.7.2",
        "data in a SYN is not acknowledged and comes again",
        "< S 0:100 win 1000
         > S. 0:0 ack 1
         +10 < . 1:101 ack 1 win 1000
         > . 1:1 ack 101
         read 100",
    ),
    (
        "RFC 9293 §3.10.4",
        "a close before the handshake is over sends the FIN after it",
        "< S 0:0 win 1000
         > S. 0:0 ack 1
         shutdown
         +10 < . 1:1 ack 1 win 1000
         > F. 1:1 ack 1
         state FinWait1",
    ),
    (
        "RFC 9293 §3.10.4",
        "a close in SYN-SENT sends the FIN after the handshake",
        "connect
         > S 0:0
         shutdown
         +10 < S. 0:0 ack 1 win 1000
         > F. 1:1 ack 1
         state FinWait1",
    ),
    (
        "RFC 9293 §3.10.5",
        "an abort in SYN-SENT sends nothing",
        "connect
         > S 0:0
         abort
         state Closed
         reason Aborted
         nothing 10000",
    ),
    (
        "RFC 9293 §3.10.5",
        "an abort in SYN-RECEIVED resets",
        "< S 0:0 win 1000
         > S. 0:0 ack 1
         abort
         > R. 1:1 ack 1
         state Closed",
    ),
    (
        "RFC 6298 §2.1, §5.5",
        "a SYN is sent again after 1, 2, 4 s",
        "connect
         > S 0:0
         +1000 > S 0:0
         +2000 > S 0:0
         +4000 > S 0:0
         +8000 > S 0:0",
    ),
    (
        "RFC 6298 §2.1, §5.5",
        "a SYN-ACK is sent again after 1, 2, 4 s",
        "< S 0:0 win 1000
         > S. 0:0 ack 1
         +1000 > S. 0:0 ack 1
         +2000 > S. 0:0 ack 1
         +4000 > S. 0:0 ack 1",
    ),
    (
        "RFC 9293 §3.8.3",
        "an open is given up after its timeout",
        "config connecttimeout 10000
         connect
         > S 0:0
         +1000 > S 0:0
         +2000 > S 0:0
         +4000 > S 0:0
         nothing 5000
         state Closed
         reason TimedOut",
    ),
    (
        "RFC 9293 §3.8.3",
        "a SYN lasts at least 3 minutes by default",
        "connect
         > S 0:0
         +1000 > S 0:0
         +2000 > S 0:0
         +4000 > S 0:0
         +8000 > S 0:0
         +16000 > S 0:0
         +32000 > S 0:0
         +60000 > S 0:0
         nothing 50000
         state SynSent",
    ),
    (
        "RFC 6298 §5.7",
        "after a lost SYN data starts with 3 s",
        "connect
         > S 0:0
         +1000 > S 0:0
         +500 < S. 0:0 ack 1 win 9000 <mss 1000>
         > . 1:1 ack 1
         write 100
         > P. 1:101 ack 1
         +3000 > P. 1:101 ack 1",
    ),
    (
        "RFC 6298 §3",
        "a SYN that went twice gives no sample",
        "connect
         > S 0:0
         +1000 > S 0:0
         +500 < S. 0:0 ack 1 win 9000 <mss 1000>
         > . 1:1 ack 1
         rtt none",
    ),
    (
        "RFC 6298 §2.2",
        "the handshake gives the first sample",
        "connected mss 1000
         rtt 10",
    ),
    (
        "RFC 6928 §2",
        "the first window is ten segments",
        "established mss 1000 win 65535
         cwnd 10000",
    ),
    (
        "RFC 6928 §2",
        "the first window is at most 14600 octets",
        "config announce 4000
         established mss 4000 win 65535
         cwnd 14600",
    ),
    (
        "RFC 6928 §2",
        "the first window is at least two segments",
        "config announce 8960
         established mss 8960 win 65535
         cwnd 17920",
    ),
    (
        "RFC 6928 §2",
        "one SYN-ACK lost leaves the first window",
        "< S 0:0 win 65535 <mss 1000>
         > S. 0:0 ack 1
         +1000 > S. 0:0 ack 1
         +10 < . 1:1 ack 1 win 65535
         cwnd 10000",
    ),
    (
        "RFC 6928 §2, RFC 5681 §3.1",
        "two SYN-ACKs lost make the first window one segment",
        "< S 0:0 win 65535 <mss 1000>
         > S. 0:0 ack 1
         +1000 > S. 0:0 ack 1
         +2000 > S. 0:0 ack 1
         +10 < . 1:1 ack 1 win 65535
         cwnd 1000",
    ),
    (
        "RFC 9293 §3.7.1, MUST-14",
        "our SYN carries the MSS option",
        "config announce 1234
         connect
         > S 0:0 <mss 1234, ws 7, sackok, ts * 0>",
    ),
    (
        "RFC 9293 §3.7.1, MUST-15",
        "without the option the peer's MSS is 536",
        "established win 9000
         write 1000
         > . 1:537 ack 1
         > P. 537:1001 ack 1",
    ),
    (
        "RFC 9293 §3.7.1, MUST-16",
        "segments are as large as the peer's MSS",
        "established mss 700 win 9000
         write 1000
         > . 1:701 ack 1
         > P. 701:1001 ack 1",
    ),
    (
        "RFC 9293 §3.7.1",
        "segments are no larger than our own path takes",
        "config announce 600
         established mss 1460 win 9000
         write 1000
         > . 1:601 ack 1
         > P. 601:1001 ack 1",
    ),
    (
        "RFC 6691 §2",
        "options count against the MSS",
        "established mss 1000 ts win 9000
         write 1500
         > . 1:989 ack 1
         > P. 989:1501 ack 1",
    ),
    (
        "RFC 9293 §3.7.1",
        "a tiny MSS is raised to our least",
        "config minmss 100
         established mss 1 win 9000
         write 150
         > . 1:101 ack 1
         > P. 101:151 ack 1",
    ),
    (
        "RFC 7323 §2.2",
        "the window scale is answered if it was offered",
        "< S 0:0 win 1000 <mss 1000, ws 3>
         > S. 0:0 ack 1 <mss 1460, ws 7>",
    ),
    (
        "RFC 7323 §2.2",
        "the window scale is not sent to a peer without it, nor used",
        "< S 0:0 win 1000 <mss 1000>
         > S. 0:0 ack 1 win 65535 <mss 1460>
         +10 < . 1:101 ack 1 win 1000
         > . 1:1 ack 101 win 65435",
    ),
    (
        "RFC 7323 §2.2",
        "the window in a SYN is not scaled",
        "< S 0:0 win 100 <mss 1000, ws 7>
         > S. 0:0 ack 1 win 65535
         +10 < . 1:1 ack 1 win 1
         write 200
         +* > . 1:129 ack 1",
    ),
    (
        "RFC 9293 §3.8.6, SHLD-14",
        "a SYN-ACK that goes again does not take its window back",
        "config window 20000
         < S 0:0 win 1000 <mss 1000>
         > S. 0:0 ack 1 win 20000
         set grant 100
         +1000 > S. 0:0 ack 1 win 20000",
    ),
    (
        "RFC 7323 §2.3",
        "the peer's window is shifted by its scale",
        "established mss 1000 ws 4 win 8000
         write 9000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > . 3001:4001 ack 1
         > . 4001:5001 ack 1
         > . 5001:6001 ack 1
         > . 6001:7001 ack 1
         > . 7001:8001 ack 1",
    ),
    (
        "RFC 7323 §2.3",
        "our window is shifted by our scale",
        "config windowmax 131072
         < S 0:0 win 1000 <mss 1000, ws 0>
         > S. 0:0 ack 1 win 65535
         +10 < . 1:1001 ack 1 win 1000
         > . 1:1 ack 1001 win 16134",
    ),
    (
        "RFC 7323 §2.2",
        "a SYN-ACK without window scale ends ours",
        "connect
         > S 0:0 win 65535
         +10 < S. 0:0 ack 1 win 1000 <mss 1000>
         > . 1:1 ack 1 win 65535",
    ),
    (
        "RFC 7323 §3.2",
        "timestamps are answered if they were offered",
        "config tsoffset 77
         < S 0:0 win 1000 <ts 500 0>
         > S. 0:0 ack 1 <mss 1460, ts 1000077 500>
         +10 < . 1:1 ack 1 win 1000
         write 1
         > P. 1:2 ack 1 <ts 1000087 1010>",
    ),
    (
        "RFC 7323 §3.2",
        "without timestamps in the SYN none are sent",
        "< S 0:0 win 1000 <mss 1000>
         > S. 0:0 ack 1 <mss 1460>
         +10 < . 1:11 ack 1 win 1000
         > . 1:1 ack 11 < >",
    ),
    (
        "RFC 7323 §3.2",
        "a SYN-ACK without timestamps ends ours",
        "connect
         > S 0:0 <mss 1460, ws 7, sackok, ts * 0>
         +10 < S. 0:0 ack 1 win 1000 <mss 1000>
         > . 1:1 ack 1 < >",
    ),
    (
        "RFC 7323 §3.2, RFC 2018 §2",
        "an active open that has all options answered uses them",
        "connect
         > S 0:0 <mss 1460, ws 7, sackok, ts * 0>
         +10 < S. 0:0 ack 1 win 1000 <mss 1000, ws 2, sackok, ts 9 1000000>
         > . 1:1 ack 1 <ts * 9>
         +10 < . 11:21 ack 1 win 1000
         > . 1:1 ack 1 <sack 11:21, ts * 9>",
    ),
    (
        "RFC 2018 §2",
        "SACK-permitted is answered if it was offered",
        "< S 0:0 win 1000 <mss 1000, sackok>
         > S. 0:0 ack 1 <mss 1460, sackok>",
    ),
    (
        "RFC 2018 §2",
        "SACK blocks are not sent without the permission",
        "established mss 1000
         < . 11:21 ack 1 win 9000
         > . 1:1 ack 1",
    ),
    (
        "RFC 3168 §6.1.1",
        "ECN is answered if it was asked for",
        "< SEW 0:0 win 1000
         > S.E 0:0 ack 1",
    ),
    (
        "RFC 3168 §6.1.1",
        "ECE alone in a SYN asks for nothing",
        "< SE 0:0 win 1000
         > S. 0:0 ack 1",
    ),
    (
        "RFC 3168 §6.1.1",
        "ECN that is off is not agreed to",
        "config ecn off
         < SEW 0:0 win 1000
         > S. 0:0 ack 1",
    ),
    (
        "RFC 3168 §6.1.1",
        "an active open asks for ECN if it is told to",
        "config ecn active
         connect
         > SEW 0:0
         +10 < S.E 0:0 ack 1 win 9000 <mss 1000>
         > . 1:1 ack 1
         write 10
         > P.C 1:11 ack 1",
    ),
    (
        "RFC 3168 §6.1.1",
        "a SYN-ACK with both marks does not agree",
        "config ecn active
         connect
         > SEW 0:0
         +10 < S.EW 0:0 ack 1 win 9000 <mss 1000>
         > . 1:1 ack 1
         write 10
         > P.N 1:11 ack 1",
    ),
    (
        "RFC 3168 §6.1.1.1",
        "a SYN that gets no answer goes on without ECN",
        "config ecn active
         connect
         > SEW 0:0
         +1000 > S 0:0
         +10 < S. 0:0 ack 1 win 9000 <mss 1000>
         > . 1:1 ack 1",
    ),
    (
        "RFC 5927 §5.2, RFC 9293 §3.9.2.2",
        "a hard error about our SYN ends the open",
        "connect
         > S 0:0
         unreachable 0 hard
         state Closed
         reason Unreachable",
    ),
    (
        "RFC 5927 §4.1",
        "a hard error about other numbers is ignored",
        "connect
         > S 0:0
         unreachable 5 hard
         unreachable -1 hard
         state SynSent
         count icmp_invalid 2",
    ),
    (
        "RFC 9293 §3.9.2.2, MUST-56",
        "a soft error does not end the open",
        "connect
         > S 0:0
         unreachable 0 soft
         state SynSent",
    ),
];
