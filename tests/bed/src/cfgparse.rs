//! Reads the text of a domain's configuration: the part of xl's form that configurations use.

use crate::domcfg::Value;
use crate::error::{Error, Kind, Result};

/// Reads `key = value` entries, separated by line ends or semicolons, with `#` comments.
pub(crate) struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Skips blanks, line ends, comments, and the characters in `also`.
    fn skip(&mut self, also: &str) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || also.contains(c));
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "_-+.".contains(c))).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn error(&self, what: &str) -> Error {
        let line = self.text.get(..self.at).unwrap_or_default().lines().count().max(1);
        Error::new(Kind::Config, format!("line {line}: {what}"))
    }

    /// The next entry; nothing at the end.
    pub(crate) fn entry(&mut self) -> Result<Option<(String, Value)>> {
        self.skip(";");
        if self.rest().is_empty() {
            return Ok(None);
        }
        let key = self.word().to_owned();
        self.skip("");
        if key.is_empty() || self.peek() != Some('=') {
            return Err(self.error("expected `key = value`"));
        }
        self.at += 1;
        Ok(Some((key, self.value()?)))
    }

    fn value(&mut self) -> Result<Value> {
        self.skip("");
        match self.peek() {
            Some('[') => self.list(),
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => match self.word() {
                "" => Err(self.error("expected a value: text in quotes, a number or a list")),
                number => Ok(Value::Number(number.to_owned())),
            },
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Value> {
        let inside = self.rest().get(1..).unwrap_or_default();
        let end = inside.find(quote).ok_or_else(|| self.error("a quote that does not end"))?;
        self.at += end + 2;
        Ok(Value::Text(inside.get(..end).unwrap_or_default().to_owned()))
    }

    fn list(&mut self) -> Result<Value> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip(",");
            match self.peek() {
                None => return Err(self.error("a list that does not end")),
                Some(']') => {
                    self.at += 1;
                    return Ok(Value::List(items));
                }
                Some(_) => items.push(self.value()?),
            }
        }
    }
}
