//! `/status.json`, understood.

use super::client::Connection;
use crate::Outcome;
use serde_json::Value;

impl Connection {
    /// `/status.json`, understood.
    ///
    /// # Errors
    /// When it is not to be had or is no JSON.
    pub fn status(&mut self) -> Outcome<Value> {
        let reply = self.own("status.json")?;
        if reply.status != 200 {
            return Err(format!("/status.json: {}", reply.status).into());
        }
        Ok(serde_json::from_slice(&reply.body)?)
    }
}

/// A number in it, by a path like `/grants/issued`.
///
/// # Errors
/// When there is none.
pub fn number(status: &Value, pointer: &str) -> Outcome<u64> {
    let value = status.pointer(pointer).and_then(Value::as_u64);
    Ok(value.ok_or_else(|| format!("no number {pointer} in {status}"))?)
}
