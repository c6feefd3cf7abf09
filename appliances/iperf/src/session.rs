//! iperf3's control connection.
//!
//! ```text
//!   client                         server
//!   cookie (37 bytes) ───────────►
//!                     ◄─────────── PARAM_EXCHANGE
//!   length, JSON ────────────────►
//!                     ◄─────────── CREATE_STREAMS
//!   a connection each, cookie ───►
//!                     ◄─────────── TEST_START, TEST_RUNNING
//!   data ◄───────────────────────► data
//!   TEST_END ────────────────────►
//!                     ◄─────────── EXCHANGE_RESULTS
//!   length, JSON ────────────────►
//!                     ◄─────────── length, JSON; DISPLAY_RESULTS
//!   IPERF_DONE ──────────────────►
//! ```

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The length of a cookie: 36 characters and a NUL.
pub const COOKIE_LEN: usize = 37;

/// The name of a test, the same on all its connections.
pub type Cookie = [u8; COOKIE_LEN];

/// Parameters longer than this are refused, in bytes of JSON. The parser copies a key or a nesting of this length, which
/// takes twice as much at most: a small allocation, which cannot fail.
pub const PARAMS_MAX: usize = 4 * 1024;
/// Results longer than this are refused, in bytes of JSON. They are skipped.
pub const RESULTS_MAX: usize = 64 * 1024;

/// A message of one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum State {
    /// The test begins.
    TestStart = 1,
    /// Data flows.
    TestRunning = 2,
    /// The client ends the test.
    TestEnd = 4,
    /// The client sends its parameters next.
    ParamExchange = 9,
    /// The client opens its streams next.
    CreateStreams = 10,
    /// The client was stopped.
    ClientTerminate = 12,
    /// Results, each side its own.
    ExchangeResults = 13,
    /// The results are complete.
    DisplayResults = 14,
    /// The client ends the session.
    IperfDone = 16,
    /// Another test is running.
    AccessDenied = -1,
    /// The server fails; two error numbers follow.
    ServerError = -2,
}

impl State {
    /// The byte on the wire.
    #[must_use]
    #[allow(clippy::as_conversions, reason = "an enum's number is had by a cast alone")]
    pub const fn byte(self) -> u8 {
        i8::cast_unsigned(self as i8)
    }
}

/// `IEUNIMP`: iperf3's error number for an option that the server does not implement.
pub const UNIMPLEMENTED: i32 = 13;

/// The client's parameters, as far as they concern this server.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Params {
    /// Datagrams in place of connections.
    pub udp: bool,
    /// SCTP, which is not supported.
    pub sctp: bool,
    /// The server sends.
    pub reverse: bool,
    /// Both send, which is not supported.
    pub bidirectional: bool,
    /// Streams.
    pub parallel: u32,
    /// Bytes of a datagram, or of a write.
    pub len: u32,
    /// Bits in a second; 0 is no limit.
    pub bandwidth: u64,
    /// Seconds of the test; 0 if something else ends it.
    pub time: u32,
    /// Seconds at the start of the test that are not reported.
    pub omit: u32,
    /// Datagrams are counted by 64 bits.
    pub udp_counters_64bit: u32,
}

/// Streams of a test at most.
pub const STREAMS_MAX: u32 = 64;
/// The payload of a UDP datagram over IPv4 at most.
pub const DATAGRAM_MAX: u32 = 65_507;
/// Seconds that a test may take if its client does not say how many, and at most.
const LONGEST: u64 = 3600;
/// Seconds that a client may take beyond the time that it named.
const GRACE: u64 = 60;

impl Params {
    /// Parses the client's JSON.
    ///
    /// # Errors
    /// The unsupported option, and what to use instead.
    pub fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let params: Self =
            serde_json::from_slice(text).map_err(|_| "its parameters are no JSON of iperf3")?;
        let params = Self { parallel: params.parallel.max(1), ..params };
        match params {
            Self { sctp: true, .. } => Err("SCTP is not spoken here"),
            Self { bidirectional: true, .. } => Err("a test goes one way at a time: use -R, not --bidir"),
            Self { parallel, .. } if parallel > STREAMS_MAX => Err("there are at most 64 streams: -P 64"),
            Self { udp: true, len, .. } if len < 16 => Err("a datagram has at least 16 bytes: -l 16"),
            Self { udp: true, len, .. } if len > DATAGRAM_MAX => {
                Err("a datagram has at most 65507 bytes: -l 65507")
            }
            params => Ok(params),
        }
    }

    /// Seconds after which the test ends by itself, so that a client cannot keep all others out.
    #[must_use]
    pub fn limit_seconds(&self) -> u64 {
        let named = u64::from(self.time).saturating_add(u64::from(self.omit));
        if self.time == 0 { LONGEST } else { named.min(LONGEST).saturating_add(GRACE) }
    }
}

/// The result of a stream.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct StreamResult {
    /// The client's number of the stream: 1, 3, 4, 5 and so on.
    pub id: u32,
    /// Bytes sent, or received.
    pub bytes: u64,
    /// -1 is "not counted".
    pub retransmits: i32,
    /// Seconds, RFC 1889.
    pub jitter: f64,
    /// Lost datagrams.
    pub errors: u64,
    /// The highest number of a received datagram, or the number of sent ones.
    pub packets: u64,
    /// Seconds from the start of the test.
    pub start_time: f64,
    /// Seconds from the start of the test.
    pub end_time: f64,
}

/// What stands before the streams. The load of the processor is not measured, so it is 0.
const RESULTS_HEAD: &[u8] = br#"{"cpu_util_total":0.0,"cpu_util_user":0.0,"cpu_util_system":0.0,"sender_has_retransmits":0,"streams":["#;
/// What stands behind them.
const RESULTS_END: &[u8] = b"]}";

/// The client's number of its stream at this place; iperf3 leaves 2 out.
#[must_use]
pub const fn stream_id(place: u32) -> u32 {
    if place == 0 { 1 } else { place.saturating_add(2) }
}

/// The results on the wire: length and JSON; `None` if memory is short. The client decides how many streams there are.
#[must_use]
pub fn results(streams: &[StreamResult]) -> Option<Vec<u8>> {
    let mut sent = Vec::new();
    append(&mut sent, &[0; 4])?;
    append(&mut sent, RESULTS_HEAD)?;
    for (place, stream) in streams.iter().enumerate() {
        append(&mut sent, if place == 0 { b"" } else { b"," })?;
        append(&mut sent, &serde_json::to_vec(stream).ok()?)?;
    }
    append(&mut sent, RESULTS_END)?;
    let len = u32::try_from(sent.len()).ok()?.checked_sub(4)?;
    *sent.first_chunk_mut()? = len.to_be_bytes();
    Some(sent)
}

fn append(text: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    text.try_reserve(bytes.len()).ok()?;
    text.extend_from_slice(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameters of iperf3 3.12 for `iperf3 -c HOST -u -l 64 -b 0 -R`.
    const REVERSE: &[u8] = br#"{"udp":true,"omit":0,"time":10,"num":0,"blockcount":0,"parallel":1,"reverse":true,"len":64,"bandwidth":0,"pacing_timer":1000,"client_version":"3.12"}"#;

    #[test]
    fn what_iperf3_says_is_understood() {
        let params = Params::parse(REVERSE).unwrap();
        assert!(params.udp && params.reverse && !params.sctp);
        assert_eq!((params.parallel, params.len, params.bandwidth), (1, 64, 0));
        let bare = Params::parse(br#"{"tcp":true}"#).unwrap();
        assert_eq!((bare.udp, bare.parallel), (false, 1));
    }

    #[test]
    fn what_is_not_supported_is_refused_with_the_way_out() {
        let refused = |text: &[u8]| Params::parse(text).unwrap_err();
        assert!(refused(br#"{"tcp":true,"bidirectional":true}"#).contains("-R"));
        assert!(refused(br#"{"sctp":true}"#).contains("SCTP"));
        assert!(refused(br#"{"tcp":true,"parallel":100}"#).contains("64"));
        assert!(refused(br#"{"udp":true,"len":4}"#).contains("16"));
        assert!(refused(br#"{"udp":true,"len":4000000000}"#).contains("65507"));
        assert!(refused(br#"{"udp":true,"len":65508}"#).contains("65507"));
        assert!(refused(br#"{"udp":true,"len":4294967296}"#).contains("JSON"));
        assert!(refused(b"GET / HTTP/1.1").contains("JSON"));
        assert!(refused(br#"{"parallel":-1}"#).contains("JSON"));
    }

    #[test]
    fn a_test_ends_by_itself() {
        let limit = |text: &[u8]| Params::parse(text).unwrap().limit_seconds();
        assert_eq!((limit(br#"{"time":10,"omit":2}"#), limit(br#"{"num":5}"#)), (72, 3600));
        assert_eq!(limit(br#"{"time":4294967295,"omit":4294967295}"#), 3660);
    }

    #[test]
    fn results_have_a_length_and_every_key_that_iperf3_reads() {
        let stream = |id| StreamResult { id, bytes: 7, retransmits: -1, ..StreamResult::default() };
        let sent = results(&[stream(1), stream(3)]).unwrap();
        let (len, text) = sent.split_at(4);
        assert_eq!(u32::from_be_bytes(len.try_into().unwrap()), u32::try_from(text.len()).unwrap());
        let value: serde_json::Value = serde_json::from_slice(text).unwrap();
        for key in ["cpu_util_total", "cpu_util_user", "cpu_util_system", "sender_has_retransmits"] {
            assert!(value.get(key).is_some_and(serde_json::Value::is_number), "{key}");
        }
        for key in ["id", "bytes", "retransmits", "jitter", "errors", "packets"] {
            assert!(value["streams"][0].get(key).is_some_and(serde_json::Value::is_number), "{key}");
        }
        assert_eq!((&value["streams"][1]["id"], &value["streams"][2]), (&3.into(), &serde_json::Value::Null));
        let none: serde_json::Value = serde_json::from_slice(&results(&[]).unwrap()[4..]).unwrap();
        assert_eq!(none["streams"].as_array().map(Vec::len), Some(0));
    }

    #[test]
    fn streams_are_numbered_as_the_client_does() {
        assert_eq!([0, 1, 2, 3].map(stream_id), [1, 3, 4, 5]);
    }
}
