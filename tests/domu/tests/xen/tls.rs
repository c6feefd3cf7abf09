//! The web appliance over TLS: curl and openssl on the host as clients, certificates pushed from dom0.

use bed::{Bed, run_test};
use domu_tests::guest::{Guest, config};
use domu_tests::http::Connection;
use domu_tests::tls::{HOST, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, Pair, curl, push, s_client};
use domu_tests::{BOOT, Outcome};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// A connection over TLS that stays open: `openssl s_client` with pipes.
struct Kept(std::process::Child, BufReader<std::process::ChildStdout>);

impl Kept {
    fn open(port: SocketAddr) -> Outcome<Self> {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &port.to_string(), "-servername", HOST])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self(child, output))
    }

    /// The status line of the reply to a request of one kilobyte.
    fn ask(&mut self) -> Outcome<String> {
        let input = self.0.stdin.as_mut().ok_or("no input")?;
        input.write_all(format!("GET /1k HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes())?;
        let (mut first, mut line) = (String::new(), String::new());
        self.1.read_line(&mut first)?;
        while line != "\r\n" {
            line.clear();
            if self.1.read_line(&mut line)? == 0 {
                return Err("the connection ended".into());
            }
        }
        self.1.read_exact(&mut [0; 1024])?;
        Ok(first)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn tls_serves_what_is_pushed_and_changes_its_certificate() {
    run_test("tls_serves_what_is_pushed_and_changes_its_certificate", |bed| -> Outcome {
        bed.put_file(bed::repository().join("build/push"), "/usr/bin/push")?;
        let guest = Guest::start(bed, "web", "app.tls=only app.hsts=3600")?;
        let (port, plain) = (guest.tcp(443)?, guest.tcp(80)?);
        let first = Pair::new(bed, "first", &PKCS_ECDSA_P256_SHA256, 2090)?;
        assert_ne!(curl(port, &first.certificate, &[], "/1k")?.0, Some(0), "there is no certificate yet");
        let (code, said) = push(bed, "first")?;
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = curl(port, &first.certificate, &["--tlsv1.3"], "/1k")?;
        assert!(code == Some(0) && said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
        assert!(said.contains("\r\nStrict-Transport-Security: max-age=3600\r\n"), "{said}");
        only_over_tls(plain)?;
        let mut kept = Kept::open(port)?;
        assert_eq!(kept.ask()?, "HTTP/1.1 200 OK\r\n");
        refused_pairs_change_nothing(bed, port, &first)?;
        let second = Pair::new(bed, "second", &PKCS_ED25519, 2090)?;
        let (code, said) = push(bed, "second")?;
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(kept.ask()?, "HTTP/1.1 200 OK\r\n", "the open session goes on");
        let (code, said) = curl(port, &second.certificate, &[], "/1k")?;
        assert_eq!(code, Some(0), "{said}");
        let (code, said) = curl(port, &first.certificate, &[], "/1k")?;
        // CURLE_PEER_FAILED_VERIFICATION.
        assert_eq!(code, Some(60), "{said}");
        secrets_are_not_shown(&guest, port, &second)
    });
}

/// Port 80 redirects, whatever is asked for.
fn only_over_tls(plain: SocketAddr) -> Outcome {
    let reply = Connection::open(plain)?.get("/docs?x=1")?;
    assert_eq!(reply.status, 308);
    let location = reply.header("location").unwrap_or_default().to_owned();
    assert!(location.starts_with("https://") && location.ends_with("/docs?x=1"), "{location}");
    Ok(())
}

fn refused_pairs_change_nothing(bed: &Bed, port: SocketAddr, current: &Pair) -> Outcome {
    let _expired = Pair::new(bed, "expired", &PKCS_ECDSA_P256_SHA256, 2020)?;
    bed.dom0("mkdir /tmp/mixed; cp /tmp/first/site.crt /tmp/expired/site.key /tmp/mixed")?;
    for (folder, reason) in
        [("expired", "a certificate has expired"), ("mixed", "a certificate without its key")]
    {
        let (code, said) = push(bed, folder)?;
        assert!(code == Some(5) && said.contains(reason), "{said}");
        let (code, said) = curl(port, &current.certificate, &[], "/1k")?;
        assert_eq!(code, Some(0), "{said}");
    }
    Ok(())
}

/// Neither the console nor a page has a line of the key or of the folder's files.
fn secrets_are_not_shown(guest: &Guest<'_>, port: SocketAddr, pair: &Pair) -> Outcome {
    let secret = pair.key.lines().nth(1).ok_or("no key")?;
    for path in ["/status.json", "/metrics", "/status", "/site.key", "/tls", "/tls/site.key"] {
        let (_, said) = curl(port, &pair.certificate, &[], path)?;
        assert!(!said.contains(secret) && !said.contains("PRIVATE KEY"), "{path}: {said}");
        assert!(!path.contains("site") || said.starts_with("HTTP/1.1 404 "), "{path}: {said}");
    }
    assert!(!guest.domain.console().contains(secret));
    Ok(())
}

#[test]
fn tls_clients_resume_and_others_are_refused() {
    run_test("tls_clients_resume_and_others_are_refused", |bed| -> Outcome {
        bed.put_file(bed::repository().join("build/push"), "/usr/bin/push")?;
        let guest = Guest::create(bed, &config("web", "web", "app.tls=on")?)?;
        let port = guest.tcp(443)?;
        let pair = Pair::new(bed, "pair", &PKCS_ECDSA_P256_SHA256, 2090)?;
        let (code, said) = push(bed, "pair")?;
        assert_eq!(code, Some(0), "{said}");
        guest.domain.wait_for("certificate site.crt for mill.test", BOOT)?;
        // In the clear all the same, with app.tls=on.
        assert_eq!(Connection::open(guest.tcp(80)?)?.get("/1k")?.status, 200);
        let session = pair.folder.join("session");
        let session = session.to_string_lossy();
        let new = s_client(port, &["-sess_out", &session, "-alpn", "h2,http/1.1"])?;
        assert!(
            new.contains("New, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256"),
            "what this processor is good at: {new}"
        );
        assert!(new.contains("ALPN protocol: http/1.1") && new.contains("HTTP/1.1 200 OK"), "{new}");
        let resumed = s_client(port, &["-sess_in", &session])?;
        assert!(resumed.contains("Reused, TLSv1.3") && resumed.contains("HTTP/1.1 200 OK"), "{resumed}");
        let old = s_client(port, &["-tls1_2"])?;
        assert!(old.contains("alert protocol version"), "{old}");
        let h2 = s_client(port, &["-alpn", "h2"])?;
        assert!(h2.contains("no application protocol"), "{h2}");
        let chacha = s_client(port, &["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"])?;
        assert!(chacha.contains("Cipher is TLS_CHACHA20_POLY1305_SHA256"), "{chacha}");
        let other = s_client(port, &["-ciphersuites", "TLS_AES_256_GCM_SHA384"])?;
        assert!(other.contains("handshake failure"), "{other}");
        // Half a handshake, bytes that are no TLS, and a client that goes away: the next one is served.
        let mut half = std::net::TcpStream::connect(port)?;
        half.write_all(&[22, 3, 1, 2, 0, 1, 0, 1])?;
        let mut other = std::net::TcpStream::connect(port)?;
        other.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
        let mut answer = Vec::new();
        other.read_to_end(&mut answer)?;
        assert_eq!(answer.first(), Some(&21), "an alert, not a page: {answer:?}");
        let (code, said) = curl(port, &pair.certificate, &[], "/1k")?;
        assert_eq!(code, Some(0), "{said}");
        drop(half);
        Ok(())
    });
}
