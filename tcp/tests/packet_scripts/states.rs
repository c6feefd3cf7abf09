//! RFC 9293 §3.10.7.4, RFC 5961, RFC 1337: every synchronised state against every kind of segment that is not in order.

use crate::script::run_all;

/// Ways into the states. In all of them the peer's octets 1:101 were taken, and ours 1:101 acknowledged.
const STATES: [(&str, &str); 8] = [
    ("SynReceived", "< S 0:0 win 9000 <mss 1000>\n > S. 0:0 ack 1"),
    ("Established", ""),
    ("FinWait1", "shutdown\n > F. 101:101 ack 101"),
    ("FinWait2", "shutdown\n > F. 101:101 ack 101\n < . 101:101 ack 102 win 9000"),
    ("CloseWait", "< F. 101:101 ack 101 win 9000\n > . 101:101 ack 102"),
    ("Closing", "shutdown\n > F. 101:101 ack 101\n < F. 101:101 ack 101 win 9000\n > . 102:102 ack 102"),
    ("LastAck", "< F. 101:101 ack 101 win 9000\n > . 101:101 ack 102\n shutdown\n > F. 101:101 ack 102"),
    ("TimeWait", "shutdown\n > F. 101:101 ack 101\n < F. 101:101 ack 102 win 9000\n > . 102:102 ack 102"),
];

const BEFORE: &str = "established mss 1000 win 9000
    write 100
    > P. 1:101 ack 1
    +5 < . 1:101 ack 101 win 9000
    > . 101:101 ack 101
    read 100";

/// Section, name, segment, and what it brings about: `ack` is an acknowledgment, `-` nothing, and the state stays but
/// for `Closed`.
const SEGMENTS: [(&str, &str, &str, &str); 14] = [
    ("RFC 5961 §3.2", "RST with the exact number", "< R rcv:rcv win 0", "reset"),
    ("RFC 5961 §3.2", "RST in the window", "< R rcv+1:rcv+1 win 0", "ack"),
    ("RFC 5961 §3.2", "RST at the window's end", "< R rcv+30000:rcv+30000 win 0", "ack"),
    ("RFC 5961 §3.2", "RST before the window", "< R rcv-1:rcv-1 win 0", "-"),
    ("RFC 5961 §3.2", "RST behind the window", "< R rcv+70000:rcv+70000 win 0", "-"),
    ("RFC 5961 §4.2", "SYN in the window", "< S rcv+10:rcv+10 win 9000", "ack"),
    ("RFC 5961 §4.2", "SYN before the window", "< S rcv-5000:rcv-5000 win 9000", "ack"),
    ("RFC 5961 §4.2", "SYN behind the window", "< S rcv+900000:rcv+900000 win 9000", "ack"),
    ("RFC 5961 §4.2", "SYN-ACK in the window", "< S. rcv+1:rcv+1 ack nxt win 9000", "ack"),
    ("RFC 9293 §3.10.7.4, fifth", "a segment without ACK", "< - rcv:rcv win 9000", "-"),
    ("RFC 9293 §3.10.7.4, fifth", "an ACK of what was not sent", "< . rcv:rcv ack nxt+1 win 9000", "unsent"),
    ("RFC 5961 §5.2", "an ACK older than the window", "< . rcv:rcv ack nxt-20000 win 9000", "unsent"),
    ("RFC 9293 §3.10.7.4, first", "octets before the window", "< . rcv-50:rcv-40 ack nxt win 9000", "ack"),
    (
        "RFC 9293 §3.10.7.4, first",
        "octets behind the window",
        "< . rcv+80000:rcv+80010 ack nxt win 9000",
        "ack",
    ),
];

/// The lines that check `effect` in `state`.
fn outcome(state: &str, effect: &str) -> String {
    match (effect, state) {
        // RFC 1337 §3: TIME-WAIT does not end by a reset.
        ("reset", "TimeWait") | ("-", _) => format!("state {state}"),
        ("reset", _) => "state Closed\n reason Reset".into(),
        // RFC 9293 §3.10.7.4, fifth: in SYN-RECEIVED a wrong ACK forms a reset.
        ("unsent", "SynReceived") => "> R ACK:ACK\n state SynReceived".into(),
        _ => format!("> . nxt:nxt ack rcv\n state {state}"),
    }
}

/// Scripts of every pair.
pub fn run() {
    let mut texts = Vec::new();
    for (state, way) in STATES {
        for (section, name, segment, effect) in SEGMENTS {
            let before = if state == "SynReceived" { "" } else { BEFORE };
            let ack = if name.contains("older") { "nxt-20000" } else { "nxt+1" };
            let outcome = outcome(state, effect).replace("ACK", ack);
            texts.push((
                section,
                format!("{name} in {state}"),
                format!("{before}\n{way}\n{segment}\n{outcome}"),
            ));
        }
    }
    let scripts: Vec<_> =
        texts.into_iter().map(|(section, name, text)| (section, &*name.leak(), &*text.leak())).collect();
    run_all(&scripts);
}
