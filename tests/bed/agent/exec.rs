//! Runs a shell script for the host and streams what it prints.

use crate::wire::{self, Tag};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// The interval at which a silent command is checked for its end.
const POLL: Duration = Duration::from_millis(10);

/// How long output is collected after the command has ended: a daemon that it started may keep the pipe open for ever.
const LINGER: Duration = Duration::from_millis(300);

/// Runs `script` by `/bin/sh`, at most `timeout_ms`, and reports how it ended.
pub fn exec(stream: &mut TcpStream, timeout_ms: &str, script: &str) -> io::Result<()> {
    let timeout_ms = timeout_ms.parse().map_err(|_| wire::invalid("a timeout that is not a number"))?;
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    let input = read_input(stream)?;
    let mut child = Command::new("/bin/sh")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input closes the pipe, which is not an error.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let (sender, output) = mpsc::channel();
    pump(child.stdout.take(), Tag::Stdout, sender.clone());
    pump(child.stderr.take(), Tag::Stderr, sender);
    let outcome = watch(stream, &mut child, &output, deadline)?;
    wire::write_frame(stream, Tag::End, outcome.as_bytes())
}

fn read_input(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut input = Vec::new();
    loop {
        match wire::read_frame(stream)? {
            Some((Tag::Data, bytes)) => input.extend(bytes),
            Some((Tag::End, _)) => return Ok(input),
            _ => return Err(wire::invalid("standard input that does not end")),
        }
    }
}

fn pump(pipe: Option<impl Read + Send + 'static>, tag: Tag, sender: Sender<(Tag, Vec<u8>)>) {
    let Some(mut pipe) = pipe else { return };
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(len @ 1..) = pipe.read(&mut buffer) {
            let bytes = buffer.get(..len).unwrap_or_default().to_vec();
            if sender.send((tag, bytes)).is_err() {
                break;
            }
        }
    });
}

/// Passes output on until the command has ended and its pipes are drained, or the deadline has come.
fn watch(
    stream: &mut TcpStream,
    child: &mut Child,
    output: &Receiver<(Tag, Vec<u8>)>,
    deadline: Instant,
) -> io::Result<String> {
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match output.recv_timeout(POLL) {
            Ok((tag, bytes)) => wire::write_frame(stream, tag, &bytes)?,
            Err(RecvTimeoutError::Disconnected) if ended.is_none() => std::thread::sleep(POLL),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        if let Some((_, at)) = ended {
            if now > at + LINGER {
                break;
            }
        } else if let Some(status) = child.try_wait()? {
            ended = Some((status, now));
        } else if now > deadline {
            kill_group(child);
            return Ok("timeout".to_owned());
        }
    }
    Ok(ended.map_or_else(|| "unknown".to_owned(), |(status, _)| describe(status)))
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

/// Ends the command and everything it started; the kill itself is left to the shell, which needs no unsafe code.
fn kill_group(child: &mut Child) {
    let _ = Command::new("/bin/sh").args(["-c", &format!("kill -9 -{}", child.id())]).status();
    let _ = child.kill();
    let _ = child.wait();
}
