//! A strict HTTP/1.1 client: it reads a status line, headers, and exactly as many bytes as `content-length` says.

use crate::{Outcome, SOON};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The most header lines that are accepted.
const MAX_LINES: usize = 64;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The code, 200 for instance.
    pub status: u16,
    /// The header lines; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as long as `content-length` says.
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When the connection is refused.
    pub fn open(to: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        stream.set_write_timeout(Some(SOON))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sets the limit for replies from now on.
    ///
    /// # Errors
    /// When the socket refuses.
    pub fn timeout(&mut self, limit: Duration) -> Outcome {
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(limit))?;
        Ok(stream.set_read_timeout(Some(limit))?)
    }

    /// Sends a request for a page without waiting for the reply.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn ask(&mut self, path: &str) -> Outcome {
        self.send(request(path, 0).as_bytes())
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Outcome {
        Ok(self.stream.get_mut().write_all(bytes)?)
    }

    /// Reads a reply to its end.
    ///
    /// # Errors
    /// When it is none, or does not come.
    pub fn reply(&mut self) -> Outcome<Reply> {
        let line = self.line()?;
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next());
        let status = status.and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("{line:?} is no status line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| format!("{line:?} is no header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            if headers.len() > MAX_LINES {
                return Err("a head without end".into());
            }
        }
        let mut reply = Reply { status, headers, body: Vec::new() };
        let len = reply.header("content-length").and_then(|len| len.parse().ok());
        reply.body = vec![0; len.ok_or("a reply without content-length")?];
        self.stream.read_exact(&mut reply.body)?;
        Ok(reply)
    }

    /// Asks for a page and reads the reply.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&mut self, path: &str) -> Outcome<Reply> {
        self.ask(path)?;
        self.reply()
    }

    /// Asks for one of the guest's own pages: at the root, or below `/-/`, where `app.admin=path:/-/` has them.
    ///
    /// # Errors
    /// When there is none.
    pub fn own(&mut self, name: &str) -> Outcome<Reply> {
        let reply = self.get(&format!("/{name}"))?;
        if reply.status == 404 { self.get(&format!("/-/{name}")) } else { Ok(reply) }
    }

    /// Sends `requests` requests in one go and reads their replies, which must be 200 with `body` bytes each.
    ///
    /// # Errors
    /// When one of them is not.
    pub fn pipeline(&mut self, batch: &str, requests: usize, body: usize) -> Outcome {
        self.send(batch.as_bytes())?;
        for _ in 0..requests {
            let reply = self.reply()?;
            if (reply.status, reply.body.len()) != (200, body) {
                return Err(format!("not {body} bytes, but {reply:?}").into());
            }
        }
        Ok(())
    }

    /// Whether the guest has closed the connection, having sent nothing more.
    ///
    /// # Errors
    /// When it says nothing for [`SOON`].
    pub fn closed(&mut self) -> Outcome<bool> {
        Ok(self.stream.fill_buf()?.is_empty())
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        (&mut self.stream).take(8 << 10).read_line(&mut line)?;
        let text = line.strip_suffix("\r\n").ok_or_else(|| format!("{line:?} does not end with CR LF"))?;
        Ok(text.to_owned())
    }
}

/// A request for a page, with `padding` bytes of a header that means nothing.
#[must_use]
pub fn request(path: &str, padding: usize) -> String {
    let pad = if padding > 0 { format!("X-Padding: {}\r\n", "x".repeat(padding)) } else { String::new() };
    format!("GET {path} HTTP/1.1\r\nHost: guest\r\n{pad}\r\n")
}
