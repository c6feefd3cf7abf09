//! TLS over the ends of a guest: two guests out of one image have no secret in common, and a download over TLS goes on in the
//! restored domain, over a path with delay and loss.

use crate::{SMALL_MIB, xl, xl_slowly};
use bed::{Bed, Options, run_test, run_test_with};
use domu_tests::guest::{Guest, config};
use domu_tests::tls::{HOST, PKCS_ECDSA_P256_SHA256, Pair, push, s_client};
use domu_tests::{BOOT, Outcome, SOON, pattern};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a client sees of the server's generator in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hello {
    /// `ServerHello.random`.
    random: Vec<u8>,
    /// The server's public key for this handshake, from which the keys of records come.
    share: Vec<u8>,
    /// The session was resumed.
    reused: bool,
}

/// A handshake and a request; the session is read from a file or written to one.
fn handshake(port: SocketAddr, session: &[&str]) -> Outcome<Hello> {
    let said = s_client(port, &[&["-msg"], session].concat())?;
    assert!(said.contains("HTTP/1.1 200 OK"), "{said}");
    let hello = said.split(", ServerHello\n").nth(1).ok_or_else(|| format!("no ServerHello in {said}"))?;
    let hex = hello.lines().take_while(|line| line.starts_with("    ")).flat_map(str::split_whitespace);
    let bytes: Vec<u8> = hex.map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
    // RFC 8446, 4.1.3: type and length 4, version 2, random 32; 4.2.8: key_share (51), X25519 (29), 32 bytes.
    let random = bytes.get(6..38).ok_or("a short ServerHello")?.to_vec();
    let at =
        bytes.windows(8).position(|eight| eight == [0, 51, 0, 36, 0, 29, 0, 32]).ok_or("no key share")?;
    let share = bytes.get(at + 8..at + 40).ok_or("a short key share")?.to_vec();
    Ok(Hello { random, share, reused: said.contains("Reused, TLSv1.3") })
}

#[test]
fn twins_of_one_image_have_no_secret_of_tls_in_common() {
    run_test("twins_of_one_image_have_no_secret_of_tls_in_common", |bed| -> Outcome {
        bed.put_file(bed::repository().join("build/push"), "/usr/bin/push")?;
        let guest = Guest::create(bed, &config("web", "web", "app.tls=on")?.memory_mib(SMALL_MIB))?;
        let port = guest.tcp(443)?;
        let pair = Pair::new(bed, "pair", &PKCS_ECDSA_P256_SHA256, 2090)?;
        let (code, said) = push(bed, "pair")?;
        assert_eq!(code, Some(0), "{said}");
        let file = |name: &str| pair.folder.join(name).to_string_lossy().into_owned();
        let (original, first) = (file("original"), file("first"));
        let mut hellos = vec![handshake(port, &["-sess_out", &original])?];
        let resumed = handshake(port, &["-sess_in", &original])?;
        assert!(resumed.reused, "{resumed:?}");
        hellos.push(resumed);
        xl_slowly(bed, "save web /var/web")?;
        for twin in 0..2 {
            xl_slowly(bed, "restore /var/web")?;
            guest.domain.wait_for_next("vif/0: connected", SOON)?;
            let others = if twin == 0 { &original } else { &first };
            let refused = handshake(port, &["-sess_in", others])?;
            assert!(!refused.reused, "a ticket of another life: {refused:?}");
            let own = if twin == 0 { first.clone() } else { file("second") };
            let new = handshake(port, &["-sess_out", &own])?;
            let resumed = handshake(port, &["-sess_in", &own])?;
            assert!(resumed.reused, "{resumed:?}");
            hellos.extend([refused, new, resumed]);
            xl(bed, "destroy web")?;
        }
        for (n, one) in hellos.iter().enumerate() {
            let same = |other: &&Hello| one.random == other.random || one.share == other.share;
            let twin = hellos.iter().skip(n + 1).find(same);
            assert!(twin.is_none(), "{one:?} and {twin:?}");
        }
        Ok(())
    });
}

/// Bytes of the download, and bytes a second that its client takes: it has not ended when the guest is saved.
const LEN: usize = 6 << 20;
const RATE: u32 = 400_000;
/// Of packets in each direction.
const PATH: &str = "delay 30ms loss 2%";
/// `tc` as iproute2 has it: busybox's knows no netem.
const TC: &str = "$(ls /sbin/tc /usr/sbin/tc 2>/dev/null | head -n 1)";
/// Its package, and its libraries.
const PACKAGES: &[&str] =
    &["iproute2", "libbpf1", "libelf1", "libmnl0", "libbsd0", "libmd0", "libcap2", "libxtables12"];

#[test]
fn a_download_over_tls_goes_on_after_save_and_restore() {
    let options = PACKAGES.iter().fold(Options::default(), |options, name| options.extra_package(name));
    run_test_with("a_download_over_tls_goes_on_after_save_and_restore", options, |bed| -> Outcome {
        bed.put_file(bed::repository().join("build/push"), "/usr/bin/push")?;
        let guest = Guest::create(bed, &config("web", "web", "app.tls=on app.idle=900")?)?;
        let pair = Pair::new(bed, "pair", &PKCS_ECDSA_P256_SHA256, 2090)?;
        let (code, said) = push(bed, "pair")?;
        assert_eq!(code, Some(0), "{said}");
        let (sent, got) = (pair.folder.join("blob.bin"), pair.folder.join("got"));
        fs::write(&sent, pattern::bytes(7, LEN))?;
        bed.put_file(&sent, "/var/blob.bin")?;
        let output = bed.dom0("push /var/blob.bin --domain web")?;
        assert!(output.success(), "{output:?}");
        worsen(bed, &format!("vif{}.0", guest.domain.domid()))?;
        let mut download = download(guest.tcp(443)?, &pair.certificate, &got)?;
        let len = || fs::metadata(&got).map_or(0, |meta| meta.len());
        wait_for(|| len() > 0)?;
        xl_slowly(bed, "save web /var/web")?;
        assert!(download.try_wait()?.is_none() && len() < LEN as u64, "{} bytes: it is over already", len());
        xl_slowly(bed, "restore /var/web")?;
        let now: u32 = xl(bed, "domid web")?.trim().parse()?;
        worsen(bed, &format!("vif{now}.0"))?;
        wait_for(|| !matches!(download.try_wait(), Ok(None)))?;
        assert!(download.wait()?.success(), "curl fails at {} bytes", len());
        assert!(fs::read(&got)? == fs::read(&sent)?, "the download differs");
        let dropped = bed.dom0(&format!("{TC} -s qdisc show | grep -o 'dropped [1-9][0-9]*'"))?;
        assert!(dropped.success(), "nothing was lost: {dropped:?}");
        eprintln!("  {}", dropped.stdout.trim().replace('\n', ", "));
        Ok(())
    });
}

/// Delays and loses packets to the guest, and those that leave dom0's bridge for the host.
fn worsen(bed: &Bed, vif: &str) -> Outcome {
    let script = format!(
        "lan=$(ls /sys/class/net/xenbr0/brif | grep -v ^vif)
         for nic in {vif} $lan; do {TC} qdisc replace dev $nic root netem {PATH} || exit 1; done"
    );
    let output = bed.dom0(&script)?;
    if output.success() { Ok(()) } else { Err(format!("{output:?}").into()) }
}

/// curl in the background, which verifies the certificate.
fn download(port: SocketAddr, trusted: &Path, into: &Path) -> Outcome<Child> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--limit-rate", &RATE.to_string(), "--max-time", "600", "--cacert"]);
    curl.arg(trusted).args(["--resolve", &format!("{HOST}:{}:{}", port.port(), port.ip()), "--output"]);
    curl.arg(into).arg(format!("https://{HOST}:{}/blob.bin", port.port()));
    Ok(curl.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

fn wait_for(mut is_so: impl FnMut() -> bool) -> Outcome {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > 4 * BOOT {
            return Err("the download stands".into());
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}
