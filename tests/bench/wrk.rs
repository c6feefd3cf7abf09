//! The report of wrk.

/// Requests and seconds; nothing if a request failed: an answer with another code would be cheaper than the page.
pub(crate) fn requests_and_seconds(said: &str) -> Option<(f64, f64)> {
    let is_fine = !said.contains("Non-2xx") && !said.contains("Socket errors");
    let requests: f64 = said.split_once(" requests in ")?.0.split_whitespace().next_back()?.parse().ok()?;
    let rate: f64 = said.split_once("Requests/sec:")?.1.split_whitespace().next()?.parse().ok()?;
    (is_fine && rate > 0.0).then_some((requests, requests / rate))
}
