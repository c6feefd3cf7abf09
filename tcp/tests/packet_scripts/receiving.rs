//! What comes in: acknowledgments, order, windows, SACK, timestamps.

use crate::script::Script;

pub const SCRIPTS: &[Script] = &[
    (
        "RFC 9293 §3.10.7.4, seventh",
        "data in order is delivered and acknowledged",
        "established mss 1000
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         event READABLE
         unread 100
         read 100",
    ),
    (
        "RFC 9293 §3.8.6.3, MUST-58",
        "an ACK is delayed by less than half a second",
        "config quickacks 0
         established mss 1000
         < . 1:101 ack 1 win 9000
         read 100
         +40 > . 1:1 ack 101",
    ),
    (
        "RFC 9293 §3.8.6.3, SHLD-19",
        "every second full segment is acknowledged at once",
        "config quickacks 0
         config announce 1000
         established mss 1000
         < . 1:1001 ack 1 win 9000
         < . 1001:2001 ack 1 win 9000
         > . 1:1 ack 2001
         read 2000",
    ),
    (
        "RFC 9293 §3.8.6.3",
        "a delayed ACK rides on data",
        "config quickacks 0
         established mss 1000
         < . 1:101 ack 1 win 9000
         read 100
         write 50
         > P. 1:51 ack 101
         nothing 100
         # Our data's own probe follows, not a second acknowledgment.
         < . 101:101 ack 51 win 9000",
    ),
    (
        "RFC 5681 §4.2",
        "data out of order is acknowledged at once",
        "config quickacks 0
         established mss 1000
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 1
         < . 201:301 ack 1 win 9000
         > . 1:1 ack 1
         unread 0",
    ),
    (
        "RFC 5681 §4.2",
        "a segment that fills a gap is acknowledged at once",
        "config quickacks 0
         established mss 1000
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 1
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 201
         read 200",
    ),
    (
        "RFC 9293 §3.10.7.4, seventh",
        "octets that overlap are delivered once",
        "established mss 1000
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         < . 51:151 ack 1 win 9000
         > . 1:1 ack 151
         read 150",
    ),
    (
        "RFC 9293 §3.10.7.4, seventh",
        "pieces that overlap out of order are delivered once",
        "established mss 1000
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 1
         < . 151:251 ack 1 win 9000
         > . 1:1 ack 1
         < . 91:111 ack 1 win 9000
         > . 1:1 ack 1
         < . 1:95 ack 1 win 9000
         > . 1:1 ack 251
         read 250",
    ),
    (
        "RFC 9293 §3.10.7.4, first",
        "a segment that was all received is acknowledged again",
        "established mss 1000
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         read 100
         count out_of_window 1",
    ),
    (
        "RFC 9293 §3.10.7.4, first",
        "what lies beyond the window is cut off",
        "config window 1000
         config windowmax 1000
         established mss 1000
         < . 1:901 ack 1 win 9000
         > . 1:1 ack 901 win 100
         < . 901:1101 ack 1 win 9000
         > . 1:1 ack 1001 win 0
         unread 1000",
    ),
    (
        "RFC 9293 §3.10.7.4, first",
        "a closed window takes no octet, and its probe is answered",
        "config window 1000
         config windowmax 1000
         established mss 1000
         < . 1:1001 ack 1 win 9000
         > . 1:1 ack 1001 win 0
         +300 < . 1001:1002 ack 1 win 9000
         > . 1:1 ack 1001 win 0
         unread 1000",
    ),
    (
        "RFC 9293 §3.10.7.4, MUST-66",
        "a closed window still takes ACK and RST",
        "config window 1000
         config windowmax 1000
         established mss 1000
         write 500
         > P. 1:501 ack 1
         < . 1:1001 ack 1 win 9000
         > . 501:501 ack 1001 win 0
         < . 1001:1001 ack 501 win 9000
         queued 0
         < R 1001:1001 win 0
         state Closed",
    ),
    (
        "RFC 9293 §3.8.6.2.2",
        "the window opens when the application reads",
        "config window 4000
         config windowmax 4000
         config announce 1000
         established mss 1000
         < . 1:1001 ack 1 win 9000
         > . 1:1 ack 1001 win 3000
         < . 1001:2001 ack 1 win 9000
         > . 1:1 ack 2001 win 2000
         < . 2001:4001 ack 1 win 9000
         > . 1:1 ack 4001 win 0
         read 4000
         > . 1:1 ack 4001 win 4000",
    ),
    (
        "RFC 9293 §3.8.6, SHLD-14",
        "the window's right edge never goes back",
        "config window 4000
         config windowmax 4000
         established mss 1000
         set grant 100
         < . 1:1001 ack 1 win 9000
         > . 1:1 ack 1001 win 3000
         < . 1001:2001 ack 1 win 9000
         > . 1:1 ack 2001 win 2000",
    ),
    (
        "RFC 9293 §3.10.7.4, eighth",
        "a FIN ends the stream behind its data",
        "established mss 1000
         < F. 1:101 ack 1 win 9000
         > . 1:1 ack 102
         state CloseWait
         read 100
         end",
    ),
    (
        "RFC 9293 §3.10.7.4, eighth",
        "a FIN out of order waits for what is missing",
        "established mss 1000
         < F. 101:201 ack 1 win 9000
         > . 1:1 ack 1
         state Established
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 202
         state CloseWait
         read 200
         end",
    ),
    (
        "RFC 9293 §3.10.7.4, eighth",
        "a bare FIN out of order waits too",
        "established mss 1000
         < F. 101:101 ack 1 win 9000
         > . 1:1 ack 1
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 102
         state CloseWait
         read 100",
    ),
    (
        "RFC 9293 §3.10.7.4, seventh",
        "data behind a FIN is not taken",
        "established mss 1000
         < F. 1:101 ack 1 win 9000
         > . 1:1 ack 102
         < . 102:202 ack 1 win 9000
         > . 1:1 ack 102
         read 100
         count unwanted_data 1",
    ),
    (
        "RFC 9293 §3.8.5",
        "urgent data is read in line",
        "established mss 1000
         < U. 1:101 ack 1 win 9000
         > . 1:1 ack 101
         read 100",
    ),
    (
        "RFC 9293 §3.8.2",
        "PSH needs no answer of its own",
        "config quickacks 0
         established mss 1000
         < P. 1:101 ack 1 win 9000
         read 100
         +40 > . 1:1 ack 101",
    ),
    (
        "RFC 2018 §4",
        "the first block is the one that came last",
        "established mss 1000 sackok
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:201>
         < . 301:401 ack 1 win 9000
         > . 1:1 ack 1 <sack 301:401 101:201>
         < . 501:601 ack 1 win 9000
         > . 1:1 ack 1 <sack 501:601 301:401 101:201>
         < . 201:251 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:251 501:601 301:401>",
    ),
    (
        "RFC 2018 §3",
        "four blocks fit without timestamps",
        "established mss 1000 sackok
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:201>
         < . 301:401 ack 1 win 9000
         > . 1:1 ack 1 <sack 301:401 101:201>
         < . 501:601 ack 1 win 9000
         > . 1:1 ack 1 <sack 501:601 301:401 101:201>
         < . 701:801 ack 1 win 9000
         > . 1:1 ack 1 <sack 701:801 501:601 301:401 101:201>
         < . 901:951 ack 1 win 9000
         > . 1:1 ack 1 <sack 901:951 701:801 501:601 301:401>",
    ),
    (
        "RFC 2018 §3",
        "three blocks fit with timestamps",
        "established mss 1000 sackok ts
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:201, ts * 1010>
         < . 301:401 ack 1 win 9000
         > . 1:1 ack 1 <sack 301:401 101:201, ts * 1010>
         < . 501:601 ack 1 win 9000
         > . 1:1 ack 1 <sack 501:601 301:401 101:201, ts * 1010>
         < . 701:801 ack 1 win 9000
         > . 1:1 ack 1 <sack 701:801 501:601 301:401, ts * 1010>",
    ),
    (
        "RFC 2018 §4",
        "blocks that touch are one",
        "established mss 1000 sackok
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:201>
         < . 301:401 ack 1 win 9000
         > . 1:1 ack 1 <sack 301:401 101:201>
         < . 201:301 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:401>",
    ),
    (
        "RFC 2018 §4",
        "a block goes when it is acknowledged",
        "established mss 1000 sackok
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:201>
         < . 301:401 ack 1 win 9000
         > . 1:1 ack 1 <sack 301:401 101:201>
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 201 <sack 301:401>
         < . 201:301 ack 1 win 9000
         > . 1:1 ack 401",
    ),
    (
        "RFC 2018 §4",
        "blocks ride on data too",
        "established mss 1000 sackok
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:201>
         write 10
         > P. 1:11 ack 1 <sack 101:201>",
    ),
    (
        "RFC 2883 §4.1",
        "a segment that came twice is reported first",
        "established mss 1000 sackok
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 201
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 201 <sack 101:201>
         < . 201:301 ack 1 win 9000
         > . 1:1 ack 301",
    ),
    (
        "RFC 2883 §4.1.2",
        "a duplicate below a gap stands before the gap's block",
        "established mss 1000 sackok
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         < . 201:301 ack 1 win 9000
         > . 1:1 ack 101 <sack 201:301>
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101 <sack 1:101 201:301>",
    ),
    (
        "RFC 2883 §4.1.3",
        "a duplicate above a gap is reported with its block",
        "established mss 1000 sackok
         < . 101:301 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:301>
         < . 201:301 ack 1 win 9000
         > . 1:1 ack 1 <sack 201:301 101:301>",
    ),
    (
        "RFC 2883 §4.2",
        "only the part that came twice is reported",
        "established mss 1000 sackok
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         < . 51:151 ack 1 win 9000
         > . 1:1 ack 151 <sack 51:101>",
    ),
    (
        "RFC 7323 §5.3, R1",
        "a segment with an old timestamp is acknowledged and dropped",
        "established mss 1000 ts
         < . 1:101 ack 1 win 9000 <ts 2000 1000010>
         > . 1:1 ack 101 <ts * 2000>
         < . 101:201 ack 1 win 9000 <ts 1999 1000010>
         > . 1:1 ack 101 <ts * 2000>
         unread 100
         count paws 1",
    ),
    (
        "RFC 7323 §5.3",
        "an equal timestamp is taken",
        "established mss 1000 ts
         < . 1:101 ack 1 win 9000 <ts 2000 1000010>
         > . 1:1 ack 101
         < . 101:201 ack 1 win 9000 <ts 2000 1000010>
         > . 1:1 ack 201
         read 200",
    ),
    (
        "RFC 7323 §5.3",
        "a RST is not checked by its timestamp",
        "established mss 1000 ts
         < . 1:101 ack 1 win 9000 <ts 2000 1000010>
         > . 1:1 ack 101
         < R 101:101 win 0 <ts 5 0>
         state Closed
         reason Reset",
    ),
    (
        "RFC 7323 §5.2",
        "a RST without timestamps is taken",
        "established mss 1000 ts
         < R 1:1 win 0 <nots>
         state Closed",
    ),
    (
        "RFC 7323 §3.2",
        "a segment without the timestamp that was agreed is dropped",
        "established mss 1000 ts
         < . 1:101 ack 1 win 9000 <nots>
         unread 0
         count paws 1",
    ),
    (
        "RFC 7323 §4.3, (2)",
        "the echo is that of the segment which the ACK is for",
        "config quickacks 0
         config announce 1000
         established mss 1000 ts
         < . 1:989 ack 1 win 9000 <ts 2000 1000010>
         < . 989:1977 ack 1 win 9000 <ts 2005 1000010>
         > . 1:1 ack 1977 <ts * 2000>
         read 1976",
    ),
    (
        "RFC 7323 §4.3",
        "a segment out of order does not change the echo",
        "established mss 1000 ts
         < . 1:101 ack 1 win 9000 <ts 2000 1000010>
         > . 1:1 ack 101 <ts * 2000>
         < . 201:301 ack 1 win 9000 <ts 2009 1000010>
         > . 1:1 ack 101 <ts * 2000>
         < . 101:201 ack 1 win 9000 <ts 2005 1000010>
         > . 1:1 ack 301 <ts * 2005>",
    ),
    (
        "RFC 7323 §5.4",
        "our clock of timestamps counts milliseconds",
        "established mss 1000 ts
         +90 < . 1:101 ack 1 win 9000
         > . 1:1 ack 101 <ts 1000100 1100>
         +900 < . 101:201 ack 1 win 9000
         > . 1:1 ack 201 <ts 1001000 2000>",
    ),
    (
        "RFC 7323 §5.5",
        "after 24 days without a segment any timestamp is taken",
        "established mss 1000 ts
         < . 1:101 ack 1 win 9000 <ts 900000 1000010>
         > . 1:1 ack 101
         +2073700000 < . 101:201 ack 1 win 9000 <ts 100 1000010>
         > . 1:1 ack 201 <ts * 100>
         read 200",
    ),
    (
        "RFC 3168 §6.1.3",
        "a mark is echoed until the peer has reduced",
        "established mss 1000 ecn
         < .C 1:101 ack 1 win 9000
         > .E 1:1 ack 101
         < . 101:201 ack 1 win 9000
         > .E 1:1 ack 201
         < .W 201:301 ack 1 win 9000
         > . 1:1 ack 301
         read 300",
    ),
    (
        "RFC 3168 §6.1.3",
        "a mark on CWR starts the echo again",
        "established mss 1000 ecn
         < .C 1:101 ack 1 win 9000
         > .E 1:1 ack 101
         < .WC 101:201 ack 1 win 9000
         > .E 1:1 ack 201",
    ),
    (
        "RFC 3168 §6.1.4",
        "a mark means nothing without ECN",
        "established mss 1000
         < .C 1:101 ack 1 win 9000
         > . 1:1 ack 101",
    ),
    (
        "RFC 9293 §3.10.7.4, seventh",
        "pieces beyond the limit are not kept",
        "config pieces 2
         established mss 1000 sackok
         < . 101:102 ack 1 win 9000
         > . 1:1 ack 1 <sack 101:102>
         < . 103:104 ack 1 win 9000
         > . 1:1 ack 1 <sack 103:104 101:102>
         < . 105:106 ack 1 win 9000
         > . 1:1 ack 1 <sack 103:104 101:102>
         count pieces_refused 1",
    ),
    (
        "RFC 9293 §3.10.7.4, seventh",
        "octets for which there is no piece are acknowledged as not taken",
        "config pieces 2
         established mss 1000
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         < . 101:201 ack 1 win 9000
         > . 1:1 ack 201
         < . 201:301 ack 1 win 9000
         > . 1:1 ack 201
         count pieces_refused 1
         read 200
         < . 201:301 ack 1 win 9000
         > . 1:1 ack 301
         read 100",
    ),
    (
        "RFC 9293 §3.8.6",
        "the window is no larger than the pieces that may still be queued",
        "config pieces 2
         config window 1500
         established mss 1000
         < . 1:501 ack 1 win 9000
         > . 1:1 ack 501 win 1000
         < . 501:1001 ack 1 win 9000
         > . 1:1 ack 1001 win 500
         read 1000
         > . 1:1 ack 1001 win 1072",
    ),
    (
        "RFC 9293 §3.10.7.4, seventh",
        "numbers that wrap are in order",
        "established mss 1000 sackok
         < . 1:401 ack 1 win 9000
         > . 1:1 ack 401
         < . 601:701 ack 1 win 9000
         > . 1:1 ack 401 <sack 601:701>
         < . 401:601 ack 1 win 9000
         > . 1:1 ack 701
         read 700",
    ),
    (
        "RFC 9293 §3.6.1",
        "data for an application that does not read is acknowledged and dropped",
        "established mss 1000
         shut_read
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         unread 0",
    ),
    (
        "RFC 9293 §3.3.1",
        "a connection with nothing to do is idle",
        "established mss 1000
         < . 1:101 ack 1 win 9000
         > . 1:1 ack 101
         read 100
         write 10
         > P. 1:11 ack 101
         < . 101:101 ack 11 win 9000
         idle",
    ),
];
