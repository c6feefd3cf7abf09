//! Echo by TCP and UDP: the service of a Linux guest for tests and benchmarks.

use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};

/// Serves a port of both protocols until something fails.
pub fn echo(port: u16) -> io::Result<()> {
    let datagrams = UdpSocket::bind(("0.0.0.0", port))?;
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("echo: listening on port {port}");
    std::thread::spawn(move || reflect(&datagrams));
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || copy(&stream));
    }
    Ok(())
}

/// Answers datagrams, also empty ones and those of the greatest length.
fn reflect(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        // An error is the echo of one datagram that could not be delivered, no reason to stop.
        if let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(buffer.get(..len).unwrap_or_default(), from);
        }
    }
}

fn copy(stream: &TcpStream) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    io::copy(&mut &*stream, &mut &*stream)
}
