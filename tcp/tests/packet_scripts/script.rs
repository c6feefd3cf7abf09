//! A language for packet scripts, and the engine that runs them in virtual time.
//!
//! ```text
//!   established mss 1000 sackok       a connection after its handshake; RTT 10 ms
//!   write 2000                        the application sends
//!   > . 1:1001 ack 1                  the engine must send this now, and nothing else before the next event
//!   +40 < . 1:101 ack 1001 win 9000   40 ms later this comes in
//!   +200 > . 1001:2001 ack 101        200 ms later this leaves
//! ```
//!
//! One event a line; `+T` is milliseconds after the event before. Numbers are relative to the initial ones, which are
//! chosen so that they wrap soon: 1 is the first octet after the SYN. `nxt` is our SND.NXT, `rcv` our RCV.NXT, both with
//! `+n` or `-n`. Octets are those of a pattern, and compared. Lines:
//!
//! | line | meaning |
//! |---|---|
//! | `< FLAGS a:b ack n win n <options>` | a segment comes in; flags `S F R P . E W`, `-` for none, `C` for a congestion mark |
//! | `> FLAGS a:b ack n win n <options>` | a segment leaves; window and options (but SACK) count only if they are named |
//! | `nothing T` | nothing leaves for T ms |
//! | `write n`, `read n`, `shutdown`, `abort`, `shut_read` | the application; `read` takes all, which must be n octets |
//! | `state s`, `reason r`, `cwnd n`, `unread n`, `queued n`, `idle`, `count name n` | must be so |
//! | `toobig n mss taken`, `unreachable n hard` | ICMP messages that quote the octet n |
//! | `connect`, `connected`, `established` | opens; the latter two with the peer's options |
//! | `config key n` and the like | before the connection |

use std::collections::VecDeque;

use bytes::Bytes;
use smoltcp::time::{Duration, Instant};
use tcp::limiter::Limiter;
use tcp::{Config, Ecn, Env, Events, Flags, Limits, Open, Reply, Segment, Seq, Tcb, Timestamps};

const ISS: u32 = 0xffff_ff00;
const IRS: u32 = 0xffff_fe00;
const START: u64 = 1_000_000_000;
const MS: u64 = 1000;

/// A script: the section whose rule it shows, what it shows, and its lines.
pub type Script = (&'static str, &'static str, &'static str);

/// Runs all, and names all that fail.
pub fn run_all(scripts: &[Script]) {
    let mut failed = Vec::new();
    for (section, name, text) in scripts {
        assert!(section.starts_with("RFC "), "{name}: a script names its section");
        if let Err(why) = Run::new().run(text) {
            failed.push(format!("{section}, {name}:\n{why}"));
        }
    }
    assert!(failed.is_empty(), "{} of {} failed\n\n{}", failed.len(), scripts.len(), failed.join("\n\n"));
}

/// A segment on its way out.
struct Out {
    at: u64,
    segment: Segment,
    ecn_capable: bool,
}

struct Run {
    tcb: Option<Tcb<Bytes>>,
    env: Env<Bytes>,
    now: u64,
    out: VecDeque<Out>,
    events: Events,
    nxt: u32,
    rcv: u32,
    written: usize,
    read: usize,
    stamps: bool,
    last_stamp: u32,
    open: Open,
    max_payload: u32,
}

/// The octet of a stream at `offset`.
fn pattern(offset: usize) -> u8 {
    (offset.wrapping_mul(2_654_435_761) >> 13) as u8
}

fn octets(from: usize, len: usize) -> Bytes {
    (from..from + len).map(pattern).collect::<Vec<u8>>().into()
}

impl Run {
    fn new() -> Self {
        Self {
            tcb: None,
            env: Env::new(Config::default(), Limiter::new(1000, 1000)),
            now: START,
            out: VecDeque::new(),
            events: Events::empty(),
            nxt: 0,
            rcv: 0,
            written: 0,
            read: 0,
            stamps: false,
            last_stamp: 0,
            open: Open { iss: Seq(ISS), timestamp_offset: 0, announced_mss: 1460, path_mss: 1460 },
            max_payload: 0,
        }
    }

    fn run(mut self, text: &str) -> Result<(), String> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
        for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
            self.line(line).map_err(|why| format!("  line {}: {line}\n  {why}", number + 1))?;
        }
        match self.out.front() {
            Some(out) => Err(format!("  at the end: also sent {}", show(&out.segment))),
            None => Ok(()),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let (wait, line) = match line.strip_prefix('+') {
            Some(rest) => rest.split_once(' ').ok_or("what after the wait?")?,
            None => ("0", line),
        };
        let (op, rest) = line.split_once(' ').unwrap_or((line, ""));
        if op == ">" {
            return self.expect(wait, rest);
        }
        let wait: u64 = wait.parse().map_err(|_| "a wait is a number of ms")?;
        if let Some(out) = self.out.front() {
            return Err(format!("before this was sent {}", show(&out.segment)));
        }
        self.advance(self.now + wait * MS);
        if let Some(out) = self.out.front() {
            return Err(format!(
                "{} ms before this was sent {}",
                (self.now - out.at) / MS,
                show(&out.segment)
            ));
        }
        self.operation(op, rest)?;
        self.poll();
        Ok(())
    }

    fn operation(&mut self, op: &str, rest: &str) -> Result<(), String> {
        match op {
            "config" => self.configure(rest),
            "connect" => {
                self.tcb = Some(Tcb::connect(&self.open, instant(self.now), &mut self.env));
                Ok(())
            }
            "established" => self.established(rest),
            "connected" => self.connected(rest),
            "<" => self.inject(rest),
            "write" | "read" | "shutdown" | "abort" | "shut_read" | "set" | "toobig" | "unreachable"
            | "pathmss" => self.application(op, rest),
            "nothing" => {
                let ms: u64 = rest.parse().map_err(|_| "for how many ms?")?;
                self.advance(self.now + ms * MS);
                self.out.front().map_or(Ok(()), |out| {
                    Err(format!(
                        "{} ms before its end was sent {}",
                        (self.now - out.at) / MS,
                        show(&out.segment)
                    ))
                })
            }
            _ => self.check(op, rest),
        }
    }

    fn configure(&mut self, rest: &str) -> Result<(), String> {
        let (key, value) = rest.split_once(' ').ok_or("config KEY VALUE")?;
        let config = &mut self.env.config;
        if key == "ecn" {
            config.ecn = match value {
                "off" => Ecn::Off,
                "active" => Ecn::Active,
                _ => Ecn::Passive,
            };
            return Ok(());
        }
        let number: u32 = value.parse().map_err(|_| "not a number")?;
        match key {
            "quickacks" => config.quick_acks = number as u8,
            "delack" => config.delayed_ack_ms = number,
            "window" => config.receive_window = number,
            "windowmax" => config.receive_window_max = number,
            "challenges" => config.challenge_acks = number as u8,
            "minmss" => config.min_mss = number as u16,
            "sendbuffer" => config.send_buffer = number,
            "finwait2" => config.fin_wait_2_ms = number,
            "timewait" => config.time_wait_ms = number,
            "connecttimeout" => config.connect_timeout_ms = number,
            "pieces" => config.max_pieces = number as u16,
            "announce" => (self.open.announced_mss, self.open.path_mss) = (number as u16, number as u16),
            "tsoffset" => self.open.timestamp_offset = number,
            "allchallenges" => self.env.challenge_acks = Limiter::new(number, number),
            "tso" => self.max_payload = number,
            _ => return Err(format!("no such key: {key}")),
        }
        self.env.receive_grant = self.env.config.receive_window_max;
        Ok(())
    }

    /// The peer's options as they stand in a script, with the window and the flags of its SYN.
    fn peer_syn(rest: &str) -> (String, &'static str, &str) {
        let mut options = Vec::new();
        let mut window = "65535";
        let mut flags = "S";
        let mut words = rest.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "mss" | "ws" => options.push(format!("{word} {}", words.next().unwrap_or(""))),
                "sackok" => options.push("sackok".into()),
                "ts" => options.push("ts 1000 0".into()),
                "win" => window = words.next().unwrap_or(""),
                "ecn" => flags = "SEW",
                _ => {}
            }
        }
        (options.join(", "), flags, window)
    }

    fn established(&mut self, rest: &str) -> Result<(), String> {
        let (options, flags, window) = Self::peer_syn(rest);
        self.inject(&format!("{flags} 0:0 win {window} <{options}>"))?;
        self.poll();
        let answer = self.out.pop_front().ok_or("no SYN-ACK")?;
        if !answer.segment.flags.contains(Flags::SYN | Flags::ACK) {
            return Err(format!("no SYN-ACK but {}", show(&answer.segment)));
        }
        self.advance(self.now + 10 * MS);
        // The window of the ACK is scaled: as large as the SYN's, or a bit larger.
        let window: u32 = window.parse().map_err(|_| "win n")?;
        let window = answer.segment.window_scale.map_or(window, |_| {
            let scale = options.split(", ").find_map(|option| option.strip_prefix("ws "));
            window >> scale.and_then(|scale| scale.parse::<u32>().ok()).unwrap_or(0)
        });
        self.inject(&format!(". 1:1 ack 1 win {window}"))
    }

    fn connected(&mut self, rest: &str) -> Result<(), String> {
        let (options, flags, window) = Self::peer_syn(rest);
        self.tcb = Some(Tcb::connect(&self.open, instant(self.now), &mut self.env));
        self.poll();
        self.out.pop_front().ok_or("no SYN")?;
        self.advance(self.now + 10 * MS);
        let flags = if flags == "S" { "S." } else { "S.E" };
        self.inject(&format!("{flags} 0:0 ack 1 win {window} <{options}>"))?;
        self.poll();
        let ack = self.out.pop_front().ok_or("no ACK of the SYN-ACK")?;
        if ack.segment.flags != Flags::ACK {
            return Err(format!("no ACK but {}", show(&ack.segment)));
        }
        Ok(())
    }

    fn application(&mut self, op: &str, rest: &str) -> Result<(), String> {
        let now = instant(self.now);
        let mut words = rest.split_whitespace();
        let first = words.next().unwrap_or("");
        let quoted = self.number(first, ISS).unwrap_or_default();
        let tcb = self.tcb.as_mut().ok_or("no connection")?;
        match op {
            "write" => {
                let len: usize = first.parse().map_err(|_| "how many octets?")?;
                let sent = tcb.send(octets(self.written, len), &mut self.env);
                self.written += len;
                sent.map_err(|error| format!("{error:?}"))?;
            }
            "read" => {
                let mut got = 0;
                while let Some(piece) = tcb.recv(now, &mut self.env) {
                    if piece != octets(self.read, piece.len()) {
                        return Err(format!("octets differ from {} on", self.read));
                    }
                    self.read += piece.len();
                    got += piece.len();
                }
                if got.to_string() != first {
                    return Err(format!("there were {got}"));
                }
            }
            "shutdown" => tcb.shutdown(&mut self.env),
            "abort" => tcb.abort(&mut self.env),
            "shut_read" => tcb.shut_read(now, &mut self.env),
            "set" => {
                let ms = words.next().and_then(|ms| ms.parse::<u64>().ok());
                match first {
                    "nagle" => tcb.set_nagle(true),
                    "keepalive" => tcb.set_keep_alive(ms.map(Duration::from_millis)),
                    "usertimeout" => tcb.set_user_timeout(ms.map(Duration::from_millis)),
                    "grant" => self.env.receive_grant = ms.unwrap_or(0) as u32,
                    _ => return Err("nagle, keepalive, usertimeout, grant".into()),
                }
            }
            "toobig" => {
                let mss = words.next().and_then(|mss| mss.parse().ok()).ok_or("toobig SEQ MSS")?;
                let taken = tcb.on_packet_too_big(Seq(quoted), mss, now, &mut self.env);
                if taken != (words.next() == Some("taken")) {
                    return Err(format!("taken: {taken}"));
                }
            }
            "unreachable" => tcb.on_unreachable(Seq(quoted), words.next() == Some("hard"), &mut self.env),
            _ => tcb.set_path_mss(first.parse().map_err(|_| "which size?")?, &self.env),
        }
        Ok(())
    }

    fn check(&mut self, op: &str, rest: &str) -> Result<(), String> {
        let tcb = self.tcb.as_mut().ok_or("no connection")?;
        let found = match op {
            "state" => format!("{:?}", tcb.state()),
            "reason" => tcb.close_reason().map_or("none".into(), |reason| format!("{reason:?}")),
            "cwnd" => tcb.congestion_window().to_string(),
            "unread" => tcb.receive_queued().to_string(),
            "queued" => tcb.send_queued().to_string(),
            "mss" => tcb.segment_size().to_string(),
            "idle" => (if tcb.is_idle() { "" } else { "no" }).into(),
            "end" => (if tcb.at_end() { "" } else { "no" }).into(),
            "event" => {
                self.events |= tcb.take_events();
                let found = self.events.iter_names().any(|(name, _)| name == rest);
                if found { rest.into() } else { format!("{:?}", self.events) }
            }
            "rtt" => tcb.round_trip_time().map_or("none".into(), |rtt| rtt.total_millis().to_string()),
            "count" => {
                let (name, _) = rest.split_once(' ').ok_or("count NAME N")?;
                let value =
                    self.env.counters.iter().find(|(known, _)| *known == name).ok_or("no such counter")?;
                format!("{name} {}", value.1)
            }
            _ => return Err("no such line".into()),
        };
        if found == rest { Ok(()) } else { Err(format!("it is: {found}")) }
    }

    fn inject(&mut self, text: &str) -> Result<(), String> {
        let mut wanted = self.parse(text, IRS, ISS)?;
        if wanted.segment.flags.contains(Flags::SYN) {
            self.stamps = wanted.segment.timestamps.is_some();
        } else if self.stamps && wanted.segment.timestamps.is_none() && !wanted.no_stamps {
            let value = (self.now - START).wrapping_div(MS) as u32 + 1000;
            wanted.segment.timestamps = Some(Timestamps { value, echo: self.last_stamp });
        }
        let segment = wanted.segment;
        let now = instant(self.now);
        if self.tcb.is_none()
            && segment.flags.intersection(Flags::SYN | Flags::ACK | Flags::RST) == Flags::SYN
        {
            self.tcb = Some(Tcb::passive(&self.open, &segment, now, &mut self.env));
            return Ok(());
        }
        let from = segment.seq.since(Seq(IRS)).wrapping_sub(1) as usize;
        let payload = octets(from & 0xff_ffff, segment.payload_len as usize);
        let tcb = self.tcb.as_mut().ok_or("no connection")?;
        if tcb.on_segment(&segment, payload, now, &mut self.env) == Reply::Reset
            && let Some(reset) = segment.reset_for()
        {
            self.out.push_back(Out { at: self.now, segment: reset, ecn_capable: false });
        }
        Ok(())
    }

    fn expect(&mut self, wait: &str, text: &str) -> Result<(), String> {
        let mark = self.now;
        if self.out.is_empty() && wait != "0" {
            let limit = if wait == "*" { 600_000 } else { wait.parse::<u64>().map_err(|_| "+ms")? + 10 };
            self.advance_to_output(self.now + limit * MS);
        }
        let out = self.out.pop_front().ok_or("nothing was sent")?;
        let wanted = self.parse(text, ISS, IRS)?;
        let got = out.segment;
        let mut wrong = Vec::new();
        if let Ok(ms) = wait.parse::<u64>() {
            let (passed, slack) = ((out.at - mark) as i64 / 1000 - ms as i64, if ms == 0 { 0 } else { 3 });
            if passed.abs() > slack {
                wrong.push(format!("{} ms instead of {ms}", (out.at - mark) / MS));
            }
        }
        let push = if wanted.segment.flags.contains(Flags::PSH) { Flags::empty() } else { Flags::PSH };
        if got.flags.difference(push) != wanted.segment.flags {
            wrong.push("flags".into());
        }
        if (got.seq, got.payload_len) != (wanted.segment.seq, wanted.segment.payload_len) {
            wrong.push("numbers".into());
        }
        if got.flags.contains(Flags::ACK) && got.ack != wanted.segment.ack {
            wrong.push("ack".into());
        }
        if wanted.window && got.window != wanted.segment.window {
            wrong.push("window".into());
        }
        let sack = |segment: &Segment| segment.sack.as_slice().to_vec();
        if sack(&got) != sack(&wanted.segment) {
            wrong.push("sack".into());
        }
        if wanted.options && options_of(&got, &wanted) != options_of(&wanted.segment, &wanted) {
            wrong.push("options".into());
        }
        if wanted.mark != out.ecn_capable && (wanted.mark || wanted.not_capable) {
            wrong.push("ECN-capable".into());
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{}: {}", wrong.join(", "), show(&got))) }
    }

    fn advance_to_output(&mut self, limit: u64) {
        while self.out.is_empty() && self.timer().is_some_and(|at| at <= limit) {
            self.advance(self.timer().unwrap_or(limit));
        }
        if self.out.is_empty() {
            self.now = limit;
        }
    }

    fn timer(&self) -> Option<u64> {
        let at = self.tcb.as_ref()?.next_timer()?.total_micros() as u64;
        Some(at.max(self.now))
    }

    fn advance(&mut self, to: u64) {
        let mut rounds = 0;
        while let Some(at) = self.timer().filter(|at| *at <= to) {
            self.now = at;
            let Some(tcb) = &mut self.tcb else { return };
            tcb.on_timer(instant(at), &mut self.env);
            self.poll();
            rounds += 1;
            assert!(rounds < 100_000, "the timer stands still at {at}");
        }
        self.now = self.now.max(to);
    }

    fn poll(&mut self) {
        let Some(tcb) = &mut self.tcb else { return };
        let limits = Limits { max_payload: self.max_payload };
        while let Some(transmit) = tcb.poll_transmit(instant(self.now), &limits, &mut self.env) {
            let segment = transmit.header;
            let mut payload = vec![0; transmit.payload.len()];
            assert_eq!(transmit.payload.copy_to(&mut payload), segment.payload_len as usize);
            let offset = segment.seq.since(Seq(ISS)).wrapping_sub(1) as usize;
            assert!(
                payload.is_empty() || octets(offset, payload.len()) == payload,
                "other octets than written"
            );
            let relative = segment.end().since(Seq(ISS));
            if !segment.flags.contains(Flags::RST) && relative > self.nxt && relative < 1 << 31 {
                self.nxt = relative;
            }
            if segment.flags.contains(Flags::ACK) {
                self.rcv = segment.ack.since(Seq(IRS));
            }
            if let Some(stamps) = segment.timestamps {
                self.last_stamp = stamps.value;
            }
            self.out.push_back(Out { at: self.now, segment, ecn_capable: transmit.ecn_capable });
        }
        self.events |= tcb.take_events();
    }

    /// A number of a script, as it stands on the wire.
    fn number(&self, text: &str, base: u32) -> Result<u32, String> {
        let split = text.find(['+', '-']).filter(|at| *at > 0).unwrap_or(text.len());
        let (name, change) = text.split_at(split);
        let start: i64 = match name {
            "nxt" => self.nxt.into(),
            "rcv" => self.rcv.into(),
            _ => name.parse().map_err(|_| format!("not a number: {text}"))?,
        };
        let change: i64 = if change.is_empty() { 0 } else { change.parse().map_err(|_| "not a change")? };
        Ok(base.wrapping_add((start + change) as u32))
    }

    fn parse(&self, text: &str, seq_base: u32, ack_base: u32) -> Result<Parsed, String> {
        let (head, options) = text.split_once('<').unwrap_or((text, ""));
        let mut parsed = Parsed { options: text.contains('<'), ..Parsed::default() };
        let mut words = head.split_whitespace();
        self.parse_flags(words.next().ok_or("flags?")?, &mut parsed)?;
        let numbers = words.next().ok_or("a:b?")?;
        let (from, to) = numbers.split_once(':').unwrap_or((numbers, numbers));
        parsed.segment.seq = Seq(self.number(from, seq_base)?);
        parsed.segment.payload_len = self.number(to, seq_base)?.wrapping_sub(parsed.segment.seq.0);
        parsed.segment.window = 65_535;
        while let Some(word) = words.next() {
            let value = words.next().ok_or(format!("{word} what?"))?;
            match word {
                "ack" => parsed.segment.ack = Seq(self.number(value, ack_base)?),
                "win" => {
                    parsed.window = true;
                    parsed.segment.window = value.parse().map_err(|_| "window?")?;
                }
                _ => return Err(format!("what is {word}?")),
            }
        }
        let options = options.trim_end_matches('>').split(',').map(str::trim);
        for option in options.filter(|option| !option.is_empty()) {
            self.parse_option(option, ack_base, &mut parsed)?;
        }
        Ok(parsed)
    }

    fn parse_flags(&self, flags: &str, parsed: &mut Parsed) -> Result<(), String> {
        for flag in flags.chars() {
            parsed.segment.flags |= match flag {
                'S' => Flags::SYN,
                'F' => Flags::FIN,
                'R' => Flags::RST,
                'P' => Flags::PSH,
                '.' => Flags::ACK,
                'U' => Flags::URG,
                'E' => Flags::ECE,
                'W' => Flags::CWR,
                'C' => {
                    parsed.mark = true;
                    parsed.segment.congestion_experienced = true;
                    Flags::empty()
                }
                'N' => {
                    parsed.not_capable = true;
                    Flags::empty()
                }
                '-' => Flags::empty(),
                _ => return Err(format!("no flag {flag}")),
            };
        }
        Ok(())
    }

    fn parse_option(&self, option: &str, sack_base: u32, parsed: &mut Parsed) -> Result<(), String> {
        let mut words = option.split_whitespace();
        let name = words.next().unwrap_or("");
        let values: Vec<&str> = words.collect();
        let number = |index: usize| values.get(index).and_then(|value| value.parse::<u32>().ok());
        match name {
            "mss" => parsed.segment.mss = number(0).map(|mss| mss as u16),
            "ws" => parsed.segment.window_scale = number(0).map(|scale| scale as u8),
            "sackok" => parsed.segment.sack_permitted = true,
            "nots" => parsed.no_stamps = true,
            "ts" => {
                parsed.any_stamp = values.first() == Some(&"*");
                let value = number(0).unwrap_or(0);
                let echo = number(1).unwrap_or(self.last_stamp);
                parsed.segment.timestamps = Some(Timestamps { value, echo });
            }
            "sack" => {
                for block in values {
                    let (from, to) = block.split_once(':').ok_or("sack a:b")?;
                    parsed
                        .segment
                        .sack
                        .push(Seq(self.number(from, sack_base)?), Seq(self.number(to, sack_base)?));
                }
            }
            _ => return Err(format!("no option {name}")),
        }
        Ok(())
    }
}

#[derive(Default)]
struct Parsed {
    segment: Segment,
    window: bool,
    options: bool,
    no_stamps: bool,
    any_stamp: bool,
    /// In: the mark "congestion experienced". Out: must be ECN-capable.
    mark: bool,
    /// Out: must not be ECN-capable.
    not_capable: bool,
}

/// What is compared if a script names options.
fn options_of(segment: &Segment, wanted: &Parsed) -> (Option<u16>, Option<u8>, bool, Option<Timestamps>) {
    let stamps = segment
        .timestamps
        .map(|stamps| Timestamps { value: if wanted.any_stamp { 0 } else { stamps.value }, ..stamps });
    (segment.mss, segment.window_scale, segment.sack_permitted, stamps)
}

fn instant(us: u64) -> Instant {
    Instant::from_micros(us as i64)
}

fn show(segment: &Segment) -> String {
    let relative = |seq: Seq, base: u32| seq.since(Seq(base)).cast_signed();
    let sack: Vec<String> = segment
        .sack
        .as_slice()
        .iter()
        .map(|(from, to)| format!("{}:{}", relative(*from, IRS), relative(*to, IRS)))
        .collect();
    let seq = relative(segment.seq, ISS);
    format!(
        "{:?} {seq}:{} ack {} win {} sack {sack:?} mss {:?} ws {:?} sackok {} ts {:?}",
        segment.flags,
        seq + segment.payload_len.cast_signed(),
        relative(segment.ack, IRS),
        segment.window,
        segment.mss,
        segment.window_scale,
        segment.sack_permitted,
        segment.timestamps.map(|stamps| (stamps.value, stamps.echo)),
    )
}
