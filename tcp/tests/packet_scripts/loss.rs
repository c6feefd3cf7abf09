//! Loss: RFC 5681, 6582, 6675, 8985, 6937, 9438, 3522, 3708.

use crate::script::Script;

pub const SCRIPTS: &[Script] = &[
    (
        "RFC 5681 §3.2",
        "three duplicate ACKs send the first segment again",
        "established mss 1000
         write 5000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > . 3001:4001 ack 1
         > P. 4001:5001 ack 1
         +10 < . 1:1 ack 1 win 65535
         < . 1:1 ack 1 win 65535
         < . 1:1 ack 1 win 65535
         > . 1:1001 ack 1
         +10 < . 1:1 ack 5001 win 65535
         # β = 0.7 of five segments in flight. (RFC 9438 §4.6)
         cwnd 3500
         count recoveries 1",
    ),
    (
        "RFC 5681 §2",
        "an ACK with another window is no duplicate",
        "established mss 1000
         write 3000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > P. 2001:3001 ack 1
         +10 < . 1:1 ack 1 win 60000
         < . 1:1 ack 1 win 60001
         < . 1:1 ack 1 win 60002
         < . 1:1 ack 1 win 60003
         count recoveries 0",
    ),
    (
        "RFC 5681 §2",
        "an ACK with data is no duplicate",
        "established mss 1000
         write 3000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > P. 2001:3001 ack 1
         +10 < . 1:11 ack 1 win 65535
         > . 3001:3001 ack 11
         < . 11:21 ack 1 win 65535
         > . 3001:3001 ack 21
         < . 21:31 ack 1 win 65535
         > . 3001:3001 ack 31
         count recoveries 0",
    ),
    (
        "RFC 3042 §2",
        "the first two duplicate ACKs send new segments",
        "established mss 1000
         write 14000
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
         +10 < . 1:1 ack 1 win 65535
         > . 10001:11001 ack 1
         < . 1:1 ack 1 win 65535
         > . 11001:12001 ack 1
         < . 1:1 ack 1 win 65535
         > . 1:1001 ack 1",
    ),
    (
        "RFC 6582 §3.2, step 3",
        "a partial ACK sends the next lost segment at once",
        "established mss 1000
         write 6000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > . 3001:4001 ack 1
         > . 4001:5001 ack 1
         > P. 5001:6001 ack 1
         +10 < . 1:1 ack 1 win 65535
         < . 1:1 ack 1 win 65535
         < . 1:1 ack 1 win 65535
         > . 1:1001 ack 1
         +10 < . 1:1 ack 2001 win 65535
         > . 2001:3001 ack 1
         +10 < . 1:1 ack 6001 win 65535
         count recoveries 1
         count timeouts 0",
    ),
    (
        "RFC 6675 §5, RFC 8985 §6.2",
        "three SACKed segments behind a hole send it again",
        "established mss 1000 sackok
         write 5000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > . 3001:4001 ack 1
         > P. 4001:5001 ack 1
         +10 < . 1:1 ack 1 win 65535 <sack 1001:2001>
         < . 1:1 ack 1 win 65535 <sack 1001:3001>
         < . 1:1 ack 1 win 65535 <sack 1001:4001>
         > . 1:1001 ack 1
         +10 < . 1:1 ack 5001 win 65535
         count recoveries 1
         count timeouts 0",
    ),
    (
        "RFC 6675 §5",
        "two holes are filled in one recovery",
        "established mss 1000 sackok
         write 7000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > . 3001:4001 ack 1
         > . 4001:5001 ack 1
         > . 5001:6001 ack 1
         > P. 6001:7001 ack 1
         +10 < . 1:1 ack 1 win 65535 <sack 1001:2001>
         < . 1:1 ack 1 win 65535 <sack 3001:4001 1001:2001>
         < . 1:1 ack 1 win 65535 <sack 3001:7001 1001:2001>
         > . 1:1001 ack 1
         > . 2001:3001 ack 1
         +10 < . 1:1 ack 7001 win 65535
         count recoveries 1
         cwnd 4900",
    ),
    (
        "RFC 2018 §5",
        "segments that were SACKed are not sent again after a timeout",
        "established mss 1000 sackok
         write 3000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > P. 2001:3001 ack 1
         +10 < . 1:1 ack 1 win 65535 <sack 1001:2001>
         # The hole may be reordering: RACK waits a quarter of the round trip.
         +* > . 1:1001 ack 1
         +10 < . 1:1 ack 2001 win 65535
         +* > P. 2001:3001 ack 1",
    ),
    (
        "RFC 2018 §5, RFC 6675 §5.1",
        "a peer that takes back what it SACKed gets it again",
        "established mss 1000 sackok
         write 3000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > P. 2001:3001 ack 1
         +10 < . 1:1 ack 1 win 65535 <sack 1001:3001>
         +* > . 1:1001 ack 1
         # The peer dropped the SACKed octets: it acknowledges the hole only.
         +10 < . 1:1 ack 1001 win 65535
         +* > . 1001:2001 ack 1",
    ),
    (
        "RFC 2018 §4, RFC 6675 §5",
        "blocks of what was not sent are ignored",
        "established mss 1000 sackok
         write 3000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > P. 2001:3001 ack 1
         +10 < . 1:1 ack 1 win 65535 <sack 3001:9001>
         < . 1:1 ack 1 win 65535 <sack 2001:1001>
         count recoveries 0
         count sack_invalid 2",
    ),
    (
        "RFC 8985 §6.2, step 5",
        "one reordered segment is waited for a quarter of the round trip",
        "established mss 1000 sackok
         write 2000
         > . 1:1001 ack 1
         > P. 1001:2001 ack 1
         +12 < . 1:1 ack 1 win 65535 <sack 1001:2001>
         +1 < . 1:1 ack 2001 win 65535
         count retransmissions 0
         count recoveries 0",
    ),
    (
        "RFC 8985 §6.2, step 5",
        "after the reordering window the segment is lost",
        "established mss 1000 sackok
         write 2000
         > . 1:1001 ack 1
         > P. 1001:2001 ack 1
         +12 < . 1:1 ack 1 win 65535 <sack 1001:2001>
         +3 > . 1:1001 ack 1
         count recoveries 1",
    ),
    (
        "RFC 8985 §6.2",
        "a retransmission that is lost is found by what was sent later",
        "established mss 1000 sackok
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
         +10 < . 1:1 ack 1 win 65535 <sack 1001:4001>
         > . 1:1001 ack 1
         write 4000
         +10 < . 1:1 ack 1 win 65535 <sack 1001:10001>
         > . 10001:11001 ack 1
         > . 11001:12001 ack 1
         > . 12001:13001 ack 1
         > P. 13001:14001 ack 1
         +10 < . 1:1 ack 1 win 65535 <sack 1001:11001>
         +* > . 1:1001 ack 1
         count timeouts 0",
    ),
    (
        "RFC 8985 §7.2, §7.3",
        "a tail loss is probed after two round trips",
        "established mss 1000 sackok
         write 3000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > P. 2001:3001 ack 1
         +20 > P. 2001:3001 ack 1
         count tail_probes 1
         count timeouts 0",
    ),
    (
        "RFC 8985 §7.2",
        "one segment in flight is probed no sooner than its ACK may be delayed",
        "established mss 1000 sackok
         write 1000
         > P. 1:1001 ack 1
         nothing 200
         +* > P. 1:1001 ack 1
         count tail_probes 1
         count timeouts 0",
    ),
    (
        "RFC 8985 §7.3",
        "a probe is new data if there is some",
        "established mss 1000 sackok win 2000
         write 3000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         +1 < . 1:1 ack 1 win 2000
         +* > . 1001:2001 ack 1",
    ),
    (
        "RFC 8985 §7.4.2",
        "a D-SACK of the probe says that nothing was lost",
        "established mss 1000 sackok
         write 2000
         > . 1:1001 ack 1
         > P. 1001:2001 ack 1
         +20 > P. 1001:2001 ack 1
         +5 < . 1:1 ack 2001 win 65535
         < . 1:1 ack 2001 win 65535 <sack 1001:2001>
         cwnd 10000
         count recoveries 0",
    ),
    (
        "RFC 8985 §7.4.2",
        "a probe that repaired a loss counts as congestion",
        "established mss 1000 sackok
         write 4000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > P. 3001:4001 ack 1
         +10 < . 1:1 ack 3001 win 65535
         +* > P. 3001:4001 ack 1
         write 1000
         > P. 4001:5001 ack 1
         +10 < . 1:1 ack 4001 win 65535
         # Beyond the probe, and no D-SACK came: the probe repaired a loss.
         +10 < . 1:1 ack 5001 win 65535
         count recoveries 1",
    ),
    (
        "RFC 8985 §7.4",
        "the SACK of a probe finds the tail's losses",
        "established mss 1000 sackok
         write 4000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > P. 3001:4001 ack 1
         +20 > P. 3001:4001 ack 1
         +10 < . 1:1 ack 1 win 65535 <sack 3001:4001>
         > . 1:1001 ack 1
         # One for one, and one more when there was progress. (RFC 9937 §6.2)
         +10 < . 1:1 ack 1001 win 65535 <sack 3001:4001>
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         count timeouts 0",
    ),
    (
        "RFC 8985 §8",
        "after a probe without answer the timeout comes",
        "established mss 1000 sackok
         write 2000
         > . 1:1001 ack 1
         > P. 1001:2001 ack 1
         +20 > P. 1001:2001 ack 1
         +210 > . 1:1001 ack 1
         count timeouts 1",
    ),
    (
        "RFC 6937 §3",
        "a recovery sends in proportion to what arrives",
        "config tso 64000
         established mss 1000 sackok
         write 10000
         > P. 1:10001 ack 1
         +10 < . 1:1 ack 10001 win 65535
         write 30000
         > . 10001:30001 ack 1
         # 20 in flight, 14 are the target: seven go out for ten that arrive.
         +10 < . 1:1 ack 10001 win 65535 <sack 11001:14001>
         > . 10001:11001 ack 1
         > . 30001:31001 ack 1
         +1 < . 1:1 ack 10001 win 65535 <sack 11001:17001>
         > . 31001:33001 ack 1
         # Fourteen are in flight: the target.
         +1 < . 1:1 ack 10001 win 65535 <sack 11001:20001>
         +1 < . 1:1 ack 10001 win 65535 <sack 11001:23001>
         > . 33001:36001 ack 1",
    ),
    (
        "RFC 6937 §3.1",
        "below the target a recovery sends one for one",
        "established mss 1000 sackok
         write 20000
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
         +10 < . 1:1 ack 1 win 65535 <sack 1001:4001>
         > . 1:1001 ack 1
         +1 < . 1:1 ack 1 win 65535 <sack 1001:5001>
         > . 10001:11001 ack 1
         +1 < . 1:1 ack 1 win 65535 <sack 1001:6001>
         > . 11001:12001 ack 1
         +1 < . 1:1 ack 1 win 65535 <sack 1001:7001>
         > . 12001:13001 ack 1",
    ),
    (
        "RFC 6937 §3, RFC 9438 §4.6",
        "after a recovery the window is 0.7 of the flight",
        "established mss 1000 sackok
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
         +10 < . 1:1 ack 1 win 65535 <sack 1001:10001>
         > . 1:1001 ack 1
         +10 < . 1:1 ack 10001 win 65535
         cwnd 7000",
    ),
    (
        "RFC 9438 §4.8",
        "a timeout leaves one segment and 0.7 as the threshold",
        "established mss 1000 sackok
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
         +* > P. 9001:10001 ack 1
         +* > . 1:1001 ack 1
         cwnd 1000
         +10 < . 1:1 ack 1001 win 65535
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         cwnd 2000",
    ),
    (
        "RFC 3522 §3.2",
        "a timeout that a late ACK shows needless is undone",
        "established mss 1000 ts
         write 5000
         > . 1:989 ack 1
         > . 989:1977 ack 1
         > . 1977:2965 ack 1
         > . 2965:3953 ack 1
         > . 3953:4941 ack 1
         > P. 4941:5001 ack 1
         +210 > . 1:989 ack 1
         cwnd 1000
         # The original arrived: its timestamp is echoed.
         +5 < . 1:1 ack 989 win 65535 <ts 1300 1000010>
         cwnd 10000
         count undone 1
         count retransmissions 1",
    ),
    (
        "RFC 3522 §3.2",
        "a timeout that was right is not undone",
        "established mss 1000 ts
         write 3000
         > . 1:989 ack 1
         > . 989:1977 ack 1
         > . 1977:2965 ack 1
         > P. 2965:3001 ack 1
         +210 > . 1:989 ack 1
         +10 < . 1:1 ack 989 win 65535
         > . 989:1977 ack 1
         > . 1977:2965 ack 1
         count undone 0",
    ),
    (
        "RFC 3708 §2",
        "a recovery whose segments all came twice is undone",
        "established mss 1000 sackok
         write 5000
         > . 1:1001 ack 1
         > . 1001:2001 ack 1
         > . 2001:3001 ack 1
         > . 3001:4001 ack 1
         > P. 4001:5001 ack 1
         +10 < . 1:1 ack 1 win 65535 <sack 1001:4001>
         > . 1:1001 ack 1
         # The original was only late; then the other arrives too.
         +5 < . 1:1 ack 4001 win 65535
         +5 < . 1:1 ack 5001 win 65535 <sack 1:1001>
         cwnd 10000
         count undone 1",
    ),
    (
        "RFC 5681 §3.1",
        "a window is not lowered twice for one flight",
        "established mss 1000 sackok
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
         +10 < . 1:1 ack 1 win 65535 <sack 1001:4001>
         > . 1:1001 ack 1
         +2 < . 1:1 ack 1 win 65535 <sack 6001:9001 1001:4001>
         > . 4001:5001 ack 1
         > . 5001:6001 ack 1
         +20 < . 1:1 ack 10001 win 65535
         count recoveries 1
         cwnd 7000",
    ),
    (
        "RFC 6298 §5, RFC 5681 §3.1",
        "a second timeout of one flight does not lower the threshold again",
        "established mss 500
         write 5000
         > . 1:501 ack 1
         > . 501:1001 ack 1
         > . 1001:1501 ack 1
         > . 1501:2001 ack 1
         > . 2001:2501 ack 1
         > . 2501:3001 ack 1
         > . 3001:3501 ack 1
         > . 3501:4001 ack 1
         > . 4001:4501 ack 1
         > P. 4501:5001 ack 1
         +210 > . 1:501 ack 1
         +420 > . 1:501 ack 1
         +10 < . 1:1 ack 5001 win 65535
         # Slow start goes on up to 3500: 500 and all that was acknowledged, capped there.
         cwnd 3500",
    ),
];
