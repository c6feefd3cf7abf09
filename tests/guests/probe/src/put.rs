//! `app.do=put`: takes HTTP PUT on port 80 and drops the bodies. The reference for datafront.

use alloc::string::{String, ToString};
use alloc::vec;
use embedded_io_async::{Read as _, Write as _};
use kernel::System;
use kernel::log;
use kernel::net::{TcpOptions, TcpStream};

const PORT: u16 = 80;
/// Read at once.
const BUFFER_BYTES: usize = 32 << 10;
const REPLY: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

pub(crate) async fn put(system: &System) -> Result<(), String> {
    let net = system.net().await;
    let listener = net.tcp_listen(PORT, TcpOptions::default()).map_err(|error| error.to_string())?;
    net.configured().await;
    log::info!("listening on port {PORT}");
    loop {
        let stream = listener.accept().await;
        system.spawn(connection(stream));
    }
}

/// Requests until the client closes, or sends an invalid one.
async fn connection(mut stream: TcpStream) {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut filled = 0_usize;
    loop {
        // The head, into the buffer's beginning.
        let head_len = loop {
            let head = buffer.get(..filled).unwrap_or_default();
            if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break at.saturating_add(4);
            }
            match stream.read(buffer.get_mut(filled..).unwrap_or_default()).await {
                Ok(len @ 1..) => filled = filled.saturating_add(len),
                Ok(0) | Err(_) => return,
            }
        };
        let Some(length) = content_length(buffer.get(..head_len).unwrap_or_default()) else { return };
        let mut left = length.saturating_sub(filled.saturating_sub(head_len));
        filled = 0;
        while left > 0 {
            let most = left.min(BUFFER_BYTES);
            match stream.read(buffer.get_mut(..most).unwrap_or_default()).await {
                Ok(len @ 1..) => left = left.saturating_sub(len),
                Ok(0) | Err(_) => return,
            }
        }
        if stream.write_all(REPLY).await.is_err() {
            return;
        }
    }
}

/// The number in the head's `Content-Length`.
fn content_length(head: &[u8]) -> Option<usize> {
    let text = core::str::from_utf8(head).ok()?;
    let mut values = text.split("\r\n").filter_map(|line| line.strip_prefix("Content-Length: "));
    values.next()?.parse().ok()
}
