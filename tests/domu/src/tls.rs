//! Certificates for guests, and clients over TLS on the host: curl and openssl.

use crate::Outcome;
use bed::Bed;
use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm, date_time_ymd};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

/// The name that the certificates are for.
pub const HOST: &str = "mill.test";
const PUSH: Duration = Duration::from_secs(60);

/// A certificate and its key, in dom0 and on the host.
#[derive(Debug)]
pub struct Pair {
    /// Of the host; removed when this is dropped.
    pub folder: PathBuf,
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: String,
}

impl Pair {
    /// Makes a pair that is valid until the first day of the year `until`, in dom0's folder `/tmp/NAME`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn new(bed: &Bed, name: &str, algorithm: &'static SignatureAlgorithm, until: i32) -> Outcome<Self> {
        let key = KeyPair::generate_for(algorithm)?;
        let mut params = CertificateParams::new(vec![HOST.to_owned()])?;
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.self_signed(&key)?;
        let folder = std::env::temp_dir().join(format!("millpond-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("site.crt");
        std::fs::write(&path, certificate.pem())?;
        std::fs::write(folder.join("site.key"), key.serialize_pem())?;
        bed.dom0(&format!("mkdir -p /tmp/{name}"))?;
        for file in ["site.crt", "site.key"] {
            bed.put_file(folder.join(file), &format!("/tmp/{name}/{file}"))?;
        }
        Ok(Self { folder, certificate: path, key: key.serialize_pem() })
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Pushes a folder of dom0 as secrets; exit code and what was said.
///
/// # Errors
/// When it cannot be run.
pub fn push(bed: &Bed, folder: &str) -> Outcome<(Option<i32>, String)> {
    let script = format!("push --secret /tmp/{folder} --domain web 2>&1; echo exit $?");
    let said = bed.dom0_within(&script, PUSH)?.stdout;
    let code = said.lines().last().and_then(|line| line.strip_prefix("exit ")?.trim().parse().ok());
    Ok((code, said))
}

/// curl, which trusts the certificate only; exit code, and what it got with all heads.
///
/// # Errors
/// When it cannot be run.
pub fn curl(
    port: SocketAddr,
    trusted: &Path,
    arguments: &[&str],
    path: &str,
) -> Outcome<(Option<i32>, String)> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "60", "--cacert"])
        .arg(trusted)
        .args(["--resolve", &format!("{HOST}:{}:{}", port.port(), port.ip())])
        .args(arguments)
        .arg(format!("https://{HOST}:{}{path}", port.port()))
        .output()?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.code(), said))
}

/// `openssl s_client` with one request on its standard input; what it prints.
///
/// # Errors
/// When it cannot be run.
pub fn s_client(port: SocketAddr, arguments: &[&str]) -> Outcome<String> {
    let mut child = Command::new("timeout")
        .args(["60", "openssl", "s_client", "-connect", &port.to_string(), "-servername", HOST, "-ign_eof"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let request = format!("GET /1k HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    // A client that was refused has ended already.
    let _ = child.stdin.take().ok_or("no input")?.write_all(request.as_bytes());
    let output = child.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}
