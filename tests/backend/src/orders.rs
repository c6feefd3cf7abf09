//! What a test can say, a line each; the answer is a line that begins with `ok` or `error`.
//!
//! | order | effect |
//! |---|---|
//! | `open [KEY=VALUE …]` | these nodes are offered too; waits until the rings are there and both ends are connected |
//! | `close` | state 5; waits for the frontend's 6, unmaps the rings, state 6, and stays there |
//! | `wait MS` | works correctly for this time |
//! | `ping N [BYTES]` | echo requests one after the other; every one must be answered unchanged |
//! | `provoke N [BYTES]` | echo requests at once, nothing is waited for |
//! | `get PATH` | fetches a page of the guest's web server: its body |
//! | `scan [GREF …]` | searches every page that the guest has granted, except these, for bytes that the guest did not send |
//! | `state N` | writes the backend's state, and nothing else |
//! | `passive` | states are not answered until the next `open` |
//! | `late` | the next `open` maps rings and binds channels, and does not change the state |
//! | `leave` | unmaps rings and closes channels without a change of state |
//! | `front N` | waits for the frontend's state |
//! | `replies N` | waits for N echo replies since the last `provoke` or `ping` |
//! | `states N` | writes the backend's state so often |
//! | `console` | garbage in the indexes of the console's ring |
//! | `offers KEY=VALUE …` | these nodes are offered from now on; `offers` alone takes them away |
//! | `mute on`, `mute off` | no event is sent |
//! | `hold`, `release`, `release backwards` | tx requests are not answered; all are, in this order |
//! | `tx ID STATUS` | a tx response; an ID of `last` is that of the newest request, `idle` one that is not in flight |
//! | `ring tx FIELD VALUE` | writes a field of a ring's header; a VALUE of `+N` or `-N` is relative to the correct one |
//! | `rx SLOT …` | rx responses, pushed together, see [`crate::faults`] |
//! | `flip WHAT ROUNDS` | a thread changes a field while it is read, see [`crate::flip`] |
//! | `storm N` | N events without work |
//! | `stray PORT` | binds a port of the guest's that is no vif's, and notifies it |
//! | `keep tx`, `keep rx`, `keep ring`, `drop` | pages stay mapped, until `drop` |
//! | `write-tx` | tries to write to a page that is granted to be read |
//! | `given` | bytes of all frames that the guest was given until now |
//! | `ctrl size N`, `ctrl size none` | N pages may stay mapped; the control ring does not know the request |
//! | `ctrl hashes` | hashes are agreed to |
//! | `ctrl silent`, `id N`, `type N`, `status N`, `data N`, `index N` | no answers on the control ring, or changed ones |
//! | `ctrl only TYPE`, `ctrl honest` | faults for requests of that type alone; correct again |
//! | `ctrl counts` | mapped pages, accesses by grant operations, by existing mappings, requests |
//! | `complaints` | what the frontend did that a correct one does not |

use crate::Outcome;
use crate::backend::Backend;
use crate::{connection, control, flip};
use std::time::Duration;

/// An answer to an echo request, of which some may be lost.
const ATTEMPT: Duration = Duration::from_millis(500);
const ATTEMPTS: u32 = 20;
/// The answer to an echo request over the rings.
const SOON: Duration = Duration::from_secs(10);

pub fn obey(backend: &mut Backend, line: &str) -> Outcome<String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let done = || Ok(String::new());
    match words.as_slice() {
        ["wait", ms] => {
            backend.until(Duration::from_millis(ms.parse()?), |_| false)?;
            done()
        }
        ["ping", count, bytes @ ..] => ping(backend, count.parse()?, bytes.first().unwrap_or(&"56").parse()?),
        ["provoke", count, bytes @ ..] => {
            let bytes = bytes.first().unwrap_or(&"56").parse()?;
            backend.peer.replies.clear();
            for seq_no in 0..count.parse()? {
                let frame = backend.peer.echo_request(seq_no, &payload(seq_no, bytes));
                backend.deliver(frame);
            }
            backend.flush();
            done()
        }
        ["get", path] => get(backend, path),
        ["scan", others @ ..] => scan(backend, others),
        ["replies", count] => {
            let wanted: usize = count.parse()?;
            if backend.until(SOON, |backend| backend.peer.replies.len() >= wanted)? {
                return done();
            }
            Err(format!("{} replies of {wanted}: {}", backend.peer.replies.len(), backend.stand()).into())
        }
        ["mute", how] => {
            backend.mute = *how == "on";
            done()
        }
        ["hold"] => {
            backend.holds = true;
            done()
        }
        ["release", how @ ..] => {
            backend.holds = false;
            let held = backend.held.len();
            backend.release(how == ["backwards"]);
            backend.show();
            Ok(held.to_string())
        }
        ["given"] => Ok(backend.given.to_string()),
        ["complaints"] => Ok(std::mem::take(&mut backend.complaints).join("; ")),
        ["ctrl", words @ ..] => control::order(backend, words),
        ["flip", what, rounds] => flip::flip(backend, what, rounds.parse()?),
        words => connection::obey(backend, words),
    }
}

/// The payload of an echo request: its number, and a pattern that depends on it.
pub fn payload(seq_no: u16, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at as u16).wrapping_mul(31).wrapping_add(seq_no.wrapping_mul(7)) as u8 | 1).collect()
}

fn ping(backend: &mut Backend, count: u16, bytes: usize) -> Outcome<String> {
    let (holds, mute) = (backend.holds, backend.mute);
    for number in 0..count {
        // Not the numbers of `provoke`, whose replies may still be on their way.
        let seq_no = number.wrapping_add(0x8000);
        let wanted = (seq_no, payload(seq_no, bytes));
        let request = backend.peer.echo_request(seq_no, &wanted.1);
        backend.peer.replies.clear();
        // A guest that has to ask for our hardware address first drops its answer.
        let mut answered = false;
        for _ in 0..ATTEMPTS {
            backend.deliver(request.clone());
            answered = backend.until(ATTEMPT, |backend| backend.peer.replies.contains(&wanted))?;
            if answered {
                break;
            }
        }
        if !answered {
            return Err(format!(
                "echo {number} of {count} is not answered (held {holds}, mute {mute}, {}, {:?})",
                backend.stand(),
                backend.complaints
            )
            .into());
        }
    }
    Ok(count.to_string())
}

fn get(backend: &mut Backend, path: &str) -> Outcome<String> {
    let handle = backend.peer.connect()?;
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n").into_bytes();
    let mut answer = Vec::new();
    let whole = backend.until(SOON, |backend| {
        let closed = backend.peer.exchange(handle, &mut request, &mut answer);
        closed || body(&answer).is_some()
    });
    backend.peer.forget(handle);
    whole?;
    let body = body(&answer).ok_or_else(|| format!("{path}: {} bytes, no whole answer", answer.len()))?;
    Ok(String::from_utf8_lossy(body).into_owned())
}

/// The body of an answer, if it is whole.
fn body(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(answer.get(..end)?).to_ascii_lowercase();
    let len =
        head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse::<usize>().ok()?;
    answer.get(end..end + len)
}

fn scan(backend: &mut Backend, others: &[&str]) -> Outcome<String> {
    let others = others.iter().map(|gref| gref.parse()).collect::<Result<Vec<u32>, _>>()?;
    let mac = backend.peer.guest_mac.0;
    let mut found = crate::shadow::Scan::default();
    // A byte that leaks stays; a frame of the guest's may be on its way.
    for _ in 0..3 {
        let rings = backend.vif()?.rings();
        let gntdev = backend.vif()?.gntdev.clone();
        found = backend.shadow.scan(&gntdev, mac, &rings, &others)?;
        if found.foreign.is_empty() {
            break;
        }
        // A frame may have been on its way: once it has come, its bytes were sent.
        backend.until(Duration::from_millis(100), |_| false)?;
    }
    if found.foreign.is_empty() {
        return Ok(format!("{} {}", found.granted, found.used));
    }
    found.foreign.truncate(4);
    Err(format!("bytes that the guest did not send: {}", found.foreign.join("; ")).into())
}
