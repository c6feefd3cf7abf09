//! What clients print at their end, read: a report with a failed request in it is an error.

use crate::Outcome;
use serde_json::Value;

/// The line with the expected text.
///
/// # Errors
/// When there is none.
pub fn expect(said: &str, what: &str) -> Outcome<String> {
    let line = said.lines().find(|line| line.contains(what));
    Ok(line.map(|line| line.trim().to_owned()).ok_or_else(|| format!("no {what:?} in: {said}"))?)
}

/// The requests that `wrk` counts, all of them answered with 2xx.
///
/// # Errors
/// When one was not, or there was none.
pub fn wrk(said: &str) -> Outcome<u64> {
    // wrk names only what went wrong.
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return Err(said.into());
    }
    let line = expect(said, " requests in ")?;
    let requests = line.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
    if requests == 0 { Err(said.into()) } else { Ok(requests) }
}

/// `h2load`'s report: as many requests as were asked for, all of them answered with 2xx, over TLS 1.3 and HTTP/1.1.
///
/// # Errors
/// The report, if that is not so.
pub fn h2load(said: &str, requests: u64) -> Outcome<String> {
    let lines = [
        format!(
            "requests: {requests} total, {requests} started, {requests} done, {requests} succeeded, 0 failed, 0 errored, 0 timeout"
        ),
        format!("status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx"),
        "Application protocol: http/1.1".to_owned(),
        "TLS Protocol: TLSv1.3".to_owned(),
    ];
    for line in &lines {
        if !said.lines().any(|one| one.trim() == line) {
            return Err(format!("no {line:?} in: {said}").into());
        }
    }
    expect(said, "Cipher: ")
}

/// A finding of `testssl`: what was looked at, how bad it is, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name, like `heartbleed`.
    pub id: String,
    /// `OK`, `INFO`, `LOW`, `MEDIUM`, `HIGH`, `CRITICAL`, or `WARN`: it could not be looked at.
    pub severity: String,
    /// In words.
    pub text: String,
}

/// The findings in a file that `testssl --jsonfile` wrote.
///
/// # Errors
/// When it is no such file.
pub fn testssl(file: &str) -> Outcome<Vec<Finding>> {
    let findings: Value = serde_json::from_str(file)?;
    let findings = findings.as_array().ok_or("no list of findings")?.iter().map(|finding| {
        let of = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        Finding { id: of("id"), severity: of("severity"), text: of("finding") }
    });
    Ok(findings.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_request_in_a_report_is_an_error() {
        let good = "  12 requests in 3.00s, 1.00MB read\nRequests/sec: 4.00\n";
        assert_eq!(wrk(good).unwrap(), 12);
        assert!(wrk("  0 requests in 3.00s, 0.00B read\n").is_err());
        assert!(wrk(&format!("{good}  Non-2xx or 3xx responses: 1\n")).is_err());
        let errors = "  Socket errors: connect 0, read 1, write 0, timeout 0\n";
        assert!(wrk(&format!("{good}{errors}")).is_err());
        let report = |failed: u64| {
            format!(
                "TLS Protocol: TLSv1.3\nCipher: TLS_AES_128_GCM_SHA256\nApplication protocol: http/1.1\n\
                 requests: 9 total, 9 started, 9 done, {} succeeded, {failed} failed, 0 errored, 0 timeout\n\
                 status codes: 9 2xx, 0 3xx, 0 4xx, 0 5xx\n",
                9 - failed
            )
        };
        assert!(
            h2load(&report(0), 9).is_ok()
                && h2load(&report(0), 10).is_err()
                && h2load(&report(1), 9).is_err()
        );
        assert!(h2load(&report(0).replace("TLSv1.3", "TLSv1.2"), 9).is_err());
    }
}
