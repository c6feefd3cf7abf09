//! Packet scripts: one connection, segments in and out, calls of the application, in virtual time.
//!
//! ```text
//!   open mss 1000 sack ts 500 win 10000     an established connection (SYN cache), and the ACK that makes it
//!   passive / connect                       a handshake step by step; passive: the next segment is the SYN
//!   < P. 1:100 ack 1 win 10000              a segment comes: flags, sequence number, octets of payload
//!   > . 1:0 ack 101                         this must leave next; only what is named is compared
//!   > none                                  nothing may leave
//!   wait 40ms                               time passes; timers act
//!   send 1000 / recv 100 / take 100 (one piece) / shutdown / abort
//!   state Established, reason Reset, counter paws 1, timer 200ms, rto 200ms
//! ```
//!
//! Sequence numbers are relative: 0 is the SYN. The real ones wrap within the first octets. Every segment that leaves must
//! be expected: it is a failure to be silent about one.
//! Flags: `S F R P . E W U`, where `.` is ACK. `at 200ms` after a segment says how long after the last event it left.

use std::collections::VecDeque;

use bytes::Bytes;
use smoltcp::time::{Duration, Instant};
use tcp::limiter::Limiter;
use tcp::{
    Agreed, Config, Ecn, Env, Flags, Limits, Open, Reply, SackBlocks, Segment, SendError, Seq, Tcb,
    Timestamps,
};

const START_US: u64 = 10_000_000;
const ISS: Seq = Seq(0xffff_ff38);
const IRS: Seq = Seq(0xffff_ff9c);
/// Our timestamp at the start.
const STAMP: u32 = 1000;

struct Sent {
    at: u64,
    header: Segment,
    payload: usize,
    size: Option<u16>,
    ecn: bool,
}

struct Script<'a> {
    name: &'a str,
    line: &'a str,
    now: u64,
    mark: u64,
    tcb: Option<Tcb<Bytes>>,
    env: Env<Bytes>,
    limits: Limits,
    sent: VecDeque<Sent>,
    reply: Reply,
    written: usize,
    /// Opened by the SYN that comes next.
    passive: Option<Open>,
}

/// Runs a script; panics with the line that does not hold.
pub(crate) fn run(name: &str, text: &str) {
    let config = Config { quick_acks: 0, ..Config::default() };
    let mut script = Script {
        name,
        line: "",
        now: START_US,
        mark: START_US,
        tcb: None,
        env: Env::new(config, Limiter::new(1000, 1000)),
        limits: Limits { max_payload: 0 },
        sent: VecDeque::new(),
        reply: Reply::None,
        written: 0,
        passive: None,
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap().trim();
        if line.is_empty() {
            continue;
        }
        script.line = line;
        let words: Vec<&str> = line.split_whitespace().collect();
        script.step(words[0], &words[1..]);
    }
    script.line = "(end)";
    script.nothing_left();
}

fn number(word: &str) -> u32 {
    word.parse().unwrap_or_else(|_| panic!("not a number: {word}"))
}

fn micros(word: &str) -> u64 {
    let split = word.find(|c: char| c.is_alphabetic()).unwrap();
    let (value, unit) = word.split_at(split);
    let value: u64 = value.parse().unwrap();
    value
        * match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            _ => panic!("not a unit: {unit}"),
        }
}

fn flags(word: &str) -> Flags {
    word.chars()
        .map(|c| match c {
            'S' => Flags::SYN,
            'F' => Flags::FIN,
            'R' => Flags::RST,
            'P' => Flags::PSH,
            '.' => Flags::ACK,
            'E' => Flags::ECE,
            'W' => Flags::CWR,
            'U' => Flags::URG,
            '-' => Flags::empty(),
            _ => panic!("not a flag: {c}"),
        })
        .fold(Flags::empty(), Flags::union)
}

fn blocks(word: &str, base: Seq) -> SackBlocks {
    let mut blocks = SackBlocks::default();
    for block in word.split(',').filter(|block| *block != "none") {
        let (start, end) = block.split_once('-').unwrap();
        blocks.push(base.add(number(start)), base.add(number(end)));
    }
    blocks
}

impl Script<'_> {
    fn fail(&self, why: &str) -> ! {
        panic!("{}, at `{}`: {why}", self.name, self.line)
    }

    fn instant(&self) -> Instant {
        Instant::from_micros(i64::try_from(self.now).unwrap())
    }

    fn tcb(&mut self) -> &mut Tcb<Bytes> {
        self.tcb.as_mut().expect("the script opens the connection first")
    }

    fn step(&mut self, verb: &str, words: &[&str]) {
        match verb {
            "open" | "passive" | "connect" => {
                self.open(verb, words);
                self.mark = self.now;
            }
            "<" => {
                self.nothing_left();
                self.mark = self.now;
                self.inject(words);
            }
            ">" => self.expect(words),
            "wait" => self.wait(micros(words[0])),
            "set" => self.set(words),
            "state" => {
                let state = format!("{:?}", self.tcb().state());
                self.same("state", &state, words[0]);
            }
            "reason" => {
                let reason = self.tcb().close_reason().map_or("none".into(), |reason| format!("{reason:?}"));
                self.same("reason", &reason, words[0]);
            }
            "reply" => {
                let reply = format!("{:?}", self.reply);
                self.same("reply", &reply, words[0]);
            }
            "counter" => {
                let found = self.env.counters.iter().find(|(name, _)| *name == words[0]);
                let Some((_, value)) = found else { self.fail("no such counter") };
                self.same("counter", &value.to_string(), words[1]);
            }
            "timer" => {
                let timer = self.tcb().next_timer().map(|at| u64::try_from(at.total_micros()).unwrap());
                let expected = (words[0] != "none").then(|| self.now + micros(words[0]));
                self.same("timer", &format!("{timer:?}"), &format!("{expected:?}"));
            }
            "cwnd" => {
                let cwnd = self.tcb().congestion_window().to_string();
                self.same("cwnd", &cwnd, words[0]);
            }
            "idle" => {
                let idle = self.tcb().is_idle();
                self.same("idle", &idle.to_string(), words.first().copied().unwrap_or("true"));
            }
            _ => self.application(verb, words),
        }
    }

    fn same(&self, what: &str, found: &str, expected: &str) {
        if found != expected {
            self.fail(&format!("{what} is {found}, not {expected}"));
        }
    }

    fn application(&mut self, verb: &str, words: &[&str]) {
        let now = self.instant();
        self.mark = self.now;
        let Self { tcb, env, written, .. } = self;
        let tcb = tcb.as_mut().expect("the script opens the connection first");
        match verb {
            "send" => {
                let len = number(words[0]) as usize;
                let bytes: Bytes = (*written..*written + len).map(byte).collect();
                let outcome = tcb.send(bytes, env);
                match (outcome, words.get(1)) {
                    (Ok(()), None) => *written += len,
                    (Err(SendError::Full(_)), Some(&"full")) | (Err(SendError::Closed), Some(&"closed")) => {}
                    (outcome, _) => self.fail(&format!("send gives {outcome:?}")),
                }
            }
            "recv" => self.receive(words[0]),
            "take" => {
                let len = tcb.recv(now, env).map_or(0, |piece| piece.len());
                self.same("octets", &len.to_string(), words[0]);
            }
            "shutdown" => tcb.shutdown(env),
            "abort" => tcb.abort(env),
            "shut_read" => tcb.shut_read(now, env),
            "nagle" => tcb.set_nagle(words[0] == "on"),
            "keepalive" => tcb.set_keep_alive(Some(Duration::from_micros(micros(words[0])))),
            "timeout" => tcb.set_user_timeout(Some(Duration::from_micros(micros(words[0])))),
            "toobig" => {
                let taken = tcb.on_packet_too_big(
                    ISS.add(number(words[0])),
                    u16::try_from(number(words[1])).unwrap(),
                    now,
                    env,
                );
                self.same("taken", &taken.to_string(), words[2]);
            }
            "unreachable" => tcb.on_unreachable(ISS.add(number(words[0])), words[1] == "hard", env),
            _ => self.fail("no such verb"),
        }
    }

    fn receive(&mut self, word: &str) {
        let now = self.instant();
        let Self { tcb, env, .. } = self;
        let tcb = tcb.as_mut().expect("open");
        if word == "end" {
            let end = tcb.at_end();
            return self.same("end", &end.to_string(), "true");
        }
        let mut len = 0;
        while let Some(piece) = tcb.recv(now, env) {
            len += piece.len();
        }
        self.same("octets", &len.to_string(), word);
    }

    fn set(&mut self, words: &[&str]) {
        let config = &mut self.env.config;
        let value = number(words[1]);
        match words[0] {
            "quick_acks" => config.quick_acks = value as u8,
            "receive_window" => config.receive_window = value,
            "receive_window_max" => config.receive_window_max = value,
            "receive_grant" => self.env.receive_grant = value,
            "challenge_acks" => config.challenge_acks = value as u8,
            "ecn" => config.ecn = [Ecn::Off, Ecn::Passive, Ecn::Active][value as usize],
            "max_payload" => self.limits.max_payload = value,
            "max_pieces" => config.max_pieces = value as u16,
            "send_buffer" => {
                config.send_buffer = value;
                config.send_buffer_max = value;
            }
            "connect_timeout_ms" => config.connect_timeout_ms = value,
            _ => self.fail("no such setting"),
        }
    }

    fn open(&mut self, verb: &str, words: &[&str]) {
        let mut mss = 1000;
        let mut path = None;
        let mut agreed = Agreed {
            irs: IRS,
            peer_mss: 1000,
            window_scale: None,
            shown_window: 65_535,
            sack: false,
            timestamp: None,
            ecn: false,
            rtt: None,
        };
        let mut window = "10000";
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match *word {
                "mss" => mss = number(rest.next().unwrap()),
                "path" => path = Some(number(rest.next().unwrap())),
                "peer_mss" => agreed.peer_mss = number(rest.next().unwrap()) as u16,
                "win" => window = rest.next().unwrap(),
                "shown" => agreed.shown_window = number(rest.next().unwrap()) as u16,
                "ws" => agreed.window_scale = Some((0, number(rest.next().unwrap()) as u8)),
                "sack" => agreed.sack = true,
                "ts" => agreed.timestamp = Some(number(rest.next().unwrap())),
                "ecn" => agreed.ecn = true,
                "rtt" => agreed.rtt = Some(micros(rest.next().unwrap()) as u32),
                _ => self.fail("no such option"),
            }
        }
        let open = Open {
            iss: ISS,
            timestamp_offset: STAMP.wrapping_sub((START_US / 1000) as u32),
            announced_mss: mss as u16,
            path_mss: path.unwrap_or(mss) as u16,
        };
        let now = self.instant();
        match verb {
            "connect" => self.tcb = Some(Tcb::connect(&open, now, &mut self.env)),
            "passive" => {
                // The segment that comes next is the SYN.
                self.tcb = None;
                self.passive = Some(open);
            }
            _ => {
                agreed.peer_mss = agreed.peer_mss.min(mss as u16);
                let stamp = agreed.timestamp;
                self.tcb = Some(Tcb::established(&open, &agreed, now, &mut self.env));
                let stamp = stamp.map(|stamp| format!("ts {stamp} {STAMP}")).unwrap_or_default();
                let ack = format!(". 1:0 ack 1 win {window} {stamp}");
                self.inject(&ack.split_whitespace().collect::<Vec<_>>());
            }
        }
    }

    fn parse(&self, words: &[&str]) -> Segment {
        let mut segment = Segment { flags: flags(words[0]), ..Segment::default() };
        let mut rest = words[1..].iter();
        while let Some(word) = rest.next() {
            let mut value = || rest.next().unwrap_or_else(|| self.fail("a value is missing"));
            match *word {
                "ack" => segment.ack = ISS.add(number(value())),
                "win" => segment.window = number(value()) as u16,
                "mss" => segment.mss = Some(number(value()) as u16),
                "ws" => segment.window_scale = Some(number(value()) as u8),
                "sackok" => segment.sack_permitted = true,
                "ce" => segment.congestion_experienced = true,
                "ts" => {
                    segment.timestamps = Some(Timestamps { value: number(value()), echo: number(value()) });
                }
                "sack" => segment.sack = blocks(value(), ISS),
                word => {
                    let (seq, len) = word.split_once(':').unwrap_or_else(|| self.fail("seq:len"));
                    let seq: i64 = seq.parse().unwrap();
                    segment.seq = Seq(IRS.0.wrapping_add(seq as u32));
                    segment.payload_len = number(len);
                }
            }
        }
        segment
    }

    fn inject(&mut self, words: &[&str]) {
        let segment = self.parse(words);
        let now = self.instant();
        if let Some(open) = self.passive.take() {
            self.tcb = Some(Tcb::passive(&open, &segment, now, &mut self.env));
            return;
        }
        let payload = Bytes::from(vec![7; segment.payload_len as usize]);
        let Self { tcb, env, .. } = self;
        self.reply = tcb.as_mut().expect("open first").on_segment(&segment, payload, now, env);
    }

    fn wait(&mut self, time: u64) {
        self.nothing_left();
        let end = self.now + time;
        while let Some(at) = self.tcb().next_timer().map(|at| u64::try_from(at.total_micros()).unwrap())
            && at <= end
        {
            self.now = self.now.max(at);
            let now = self.instant();
            let Self { tcb, env, .. } = self;
            tcb.as_mut().expect("open").on_timer(now, env);
            self.poll();
        }
        self.now = end;
    }

    fn poll(&mut self) {
        let now = self.instant();
        let at = self.now;
        let Self { tcb, env, limits, sent, .. } = self;
        let Some(tcb) = tcb.as_mut() else { return };
        while let Some(transmit) = tcb.poll_transmit(now, limits, env) {
            let payload = transmit.payload.clone().map(<[u8]>::len).sum();
            assert_eq!(payload, transmit.header.payload_len as usize, "the header counts the payload");
            let first = transmit.header.seq.since(ISS) as usize;
            for (offset, found) in transmit.payload.flatten().enumerate() {
                assert_eq!(*found, byte(first - 1 + offset), "the payload is that of its numbers");
            }
            assert!(sent.len() < 10_000, "it never stops sending");
            sent.push_back(Sent {
                at,
                header: transmit.header,
                payload,
                size: transmit.segment_size,
                ecn: transmit.ecn_capable,
            });
        }
    }

    fn nothing_left(&mut self) {
        self.poll();
        if let Some(sent) = self.sent.front() {
            let text = show(sent);
            self.fail(&format!("unexpected segment {text}"));
        }
    }

    fn expect(&mut self, words: &[&str]) {
        if words[0] == "none" {
            return self.nothing_left();
        }
        if self.sent.is_empty() {
            self.poll();
        }
        let Some(sent) = self.sent.pop_front() else { self.fail("nothing is sent") };
        let found = show(&sent);
        let header = sent.header;
        let mut checks = vec![("flags", format!("{:?}", header.flags), format!("{:?}", flags(words[0])))];
        let mut rest = words[1..].iter();
        while let Some(word) = rest.next() {
            let mut value = || (*rest.next().unwrap()).to_string();
            let relative =
                |seq: Seq, base: Seq| i64::from(seq.0.wrapping_sub(base.0).cast_signed()).to_string();
            match *word {
                "ack" => checks.push(("ack", relative(header.ack, IRS), value())),
                "win" => checks.push(("win", header.window.to_string(), value())),
                "size" => checks.push(("size", sent.size.unwrap_or(0).to_string(), value())),
                "ect" => checks.push(("ect", sent.ecn.to_string(), "true".into())),
                "noect" => checks.push(("ect", sent.ecn.to_string(), "false".into())),
                "at" => {
                    let expected = micros(&value());
                    checks.push(("at", (sent.at - self.mark).to_string(), expected.to_string()));
                }
                "mss" => checks.push(("mss", header.mss.unwrap_or(0).to_string(), value())),
                "ws" => {
                    checks.push(("ws", format!("{:?}", header.window_scale), format!("Some({})", value())))
                }
                "sackok" => checks.push(("sackok", header.sack_permitted.to_string(), "true".into())),
                "nots" => checks.push(("ts", format!("{:?}", header.timestamps), "None".into())),
                "ts" => {
                    let (a, b) = (value(), value());
                    let stamps = header.timestamps.map_or((0, 0), |stamps| (stamps.value, stamps.echo));
                    checks.push(("ts", format!("{} {}", stamps.0, stamps.1), format!("{a} {b}")));
                }
                "sack" => {
                    let expected = blocks(&value(), IRS);
                    checks.push(("sack", format!("{:?}", header.sack), format!("{expected:?}")));
                }
                word => {
                    let (seq, len) = word.split_once(':').unwrap_or_else(|| self.fail("seq:len"));
                    checks.push(("seq", relative(header.seq, ISS), seq.into()));
                    checks.push(("len", sent.payload.to_string(), len.into()));
                }
            }
        }
        for (what, is, expected) in checks {
            if is != expected {
                self.fail(&format!("{what} is {is}, not {expected}, in {found}"));
            }
        }
    }
}

fn byte(offset: usize) -> u8 {
    (offset % 251) as u8
}

fn show(sent: &Sent) -> String {
    let header = &sent.header;
    format!(
        "{:?} {}:{} ack {} win {} {:?} {:?} at {}",
        header.flags,
        header.seq.0.wrapping_sub(ISS.0).cast_signed(),
        sent.payload,
        header.ack.0.wrapping_sub(IRS.0).cast_signed(),
        header.window,
        header.sack.as_slice().iter().map(|(a, b)| (a.since(IRS), b.since(IRS))).collect::<Vec<_>>(),
        header.timestamps,
        sent.at
    )
}
