//! Which certificates and keys are accepted, and why others are not.

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, date_time_ymd,
};
use support::*;
use tls::{CHAIN_LIMIT, Identities, RefusalReason, Secret};

fn refused(files: &[Secret]) -> (String, RefusalReason) {
    let refusal = Identities::from_files(files, now()).unwrap_err();
    assert!(!refusal.to_string().is_empty());
    (refusal.file, refusal.reason)
}

#[test]
fn a_pair_may_be_in_one_file_or_in_two() {
    let (one, two) = (Pair::p256("one.test"), Pair::ed25519("TWO.test"));
    let files = [one.file("b.pem"), secret("a.crt", &two.certificate), secret("z.key", &two.key)];
    let summary = Identities::from_files(&files, now()).unwrap().summary();
    let shown: Vec<_> = summary.iter().map(|one| (one.file.as_str(), one.names[0].as_str())).collect();
    assert_eq!(shown, [("a.crt", "two.test"), ("b.pem", "one.test")]);
    // rcgen's year 4096.
    assert_eq!(summary[0].not_after, 67_090_118_400);
}

#[test]
fn a_key_in_the_older_form_is_read() {
    let output = |args: &[&str], input: &str| {
        use std::io::Write;
        let mut child = std::process::Command::new("openssl")
            .args(args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let pair = Pair::p256("a.test");
    let sec1 = output(&["ec"], &pair.key);
    assert!(sec1.contains("BEGIN EC PRIVATE KEY"), "{sec1}");
    Identities::from_files(&[secret("a.crt", &pair.certificate), secret("a.key", &sec1)], now()).unwrap();
    let locked = output(&["ec", "-aes128", "-passout", "pass:secret"], &pair.key);
    let files = [secret("a.crt", &pair.certificate), secret("a.key", &locked)];
    assert_eq!(refused(&files), ("a.key".into(), RefusalReason::EncryptedKey));
    let locked = output(&["pkcs8", "-topk8", "-passout", "pass:secret"], &pair.key);
    let files = [secret("a.crt", &pair.certificate), secret("a.key", &locked)];
    assert_eq!(refused(&files), ("a.key".into(), RefusalReason::EncryptedKey));
    let rsa = output(&["genrsa", "2048"], "");
    let files = [secret("a.crt", &pair.certificate), secret("a.key", &rsa)];
    assert_eq!(refused(&files), ("a.key".into(), RefusalReason::UnusableKey));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (one, two) = (Pair::p256("one.test"), Pair::p256("two.test"));
    let files = [secret("one.crt", &one.certificate), secret("two.key", &two.key)];
    assert_eq!(refused(&files), ("two.key".into(), RefusalReason::NoCertificate));
    let files = [one.file("one.pem"), secret("two.crt", &two.certificate)];
    assert_eq!(refused(&files), ("two.crt".into(), RefusalReason::NoKey));
    assert_eq!(refused(&[]), (String::new(), RefusalReason::Nothing));
}

#[test]
fn validity_is_checked_if_the_time_is_known() {
    let with = |from: i32, to: i32| {
        let pair = Pair::with(&["a.test"], &PKCS_ECDSA_P256_SHA256, |params| {
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        });
        assert!(Identities::from_files(&[pair.file("a.pem")], 0).is_ok());
        Identities::from_files(&[pair.file("a.pem")], now()).err().map(|refusal| refusal.reason)
    };
    assert_eq!(with(2000, 2020), Some(RefusalReason::Expired));
    assert_eq!(with(2100, 2200), Some(RefusalReason::NotYetValid));
    assert_eq!(with(2000, 2200), None);
}

#[test]
fn a_chain_has_its_leaf_first() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let leaf =
        CertificateParams::new(vec!["a.test".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let in_order = secret("fullchain.pem", &format!("{}{}", leaf.pem(), authority.pem()));
    let key = || secret("privkey.pem", &key.serialize_pem());
    // As Let's Encrypt's client leaves them: the chain without the leaf, and the leaf alone.
    let files = [in_order, key(), secret("chain.pem", &authority.pem()), secret("cert.pem", &leaf.pem())];
    let summary = Identities::from_files(&files, now()).unwrap().summary();
    assert_eq!((summary.len(), summary[0].file.as_str()), (1, "fullchain.pem"));
    let reversed = secret("fullchain.pem", &format!("{}{}", authority.pem(), leaf.pem()));
    assert_eq!(refused(&[reversed, key()]).1, RefusalReason::NoCertificate);
    let other = Pair::p256("other.test").certificate;
    let twisted = secret("fullchain.pem", &format!("{}{other}", leaf.pem()));
    assert_eq!(refused(&[twisted, key()]), ("fullchain.pem".into(), RefusalReason::ChainOrder));
}

#[test]
fn a_chain_that_is_too_long_to_send_is_refused() {
    let (fits, bytes) = chain(&[100, 100]);
    Identities::from_files(&[fits], now()).unwrap();
    // With 5 bytes more for each certificate, one byte too many. The length of a signature varies by a byte or two.
    let room = CHAIN_LIMIT - bytes - 10;
    let (fits, _) = chain(&[100 + room - 20, 100]);
    Identities::from_files(&[fits], now()).unwrap();
    let (long, bytes) = chain(&[100 + room + 20, 100]);
    let refusal = Identities::from_files(&[long], now()).unwrap_err();
    assert_eq!(
        (refusal.file.as_str(), refusal.reason),
        ("chain.pem", RefusalReason::ChainTooLong(bytes + 10))
    );
    assert!(refusal.to_string().contains("leave out the root"), "{refusal}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let pair = Pair::p256("a.test");
    assert_eq!(refused(&[secret("x", "no PEM")]), ("x".into(), RefusalReason::NotPem));
    assert_eq!(refused(&[secret("x", "")]), ("x".into(), RefusalReason::NotPem));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(refused(&[secret("x", broken)]), ("x".into(), RefusalReason::BadCertificate));
    let cut = &pair.certificate[..pair.certificate.len() / 2];
    assert_eq!(refused(&[secret("x", cut)]), ("x".into(), RefusalReason::NotPem));
    let other = Pair::with(&["a.test"], &PKCS_ECDSA_P384_SHA384, |_| {});
    assert_eq!(refused(&[other.file("x")]), ("x".into(), RefusalReason::UnusableKey));
    assert_eq!(refused(&[secret("x", &"a".repeat(64 * 1024 + 1))]).1, RefusalReason::TooLarge);
    let many: Vec<Secret> = (0..33).map(|_| pair.file("x")).collect();
    assert_eq!(refused(&many).1, RefusalReason::TooLarge);
}

#[test]
fn secrets_are_not_shown() {
    let pair = Pair::p256("a.test");
    let file = pair.file("a.pem");
    let shown = format!("{file:?} {:?}", Identities::from_files(&[pair.file("a.pem")], now()).unwrap());
    let secret = pair.key.lines().nth(1).unwrap();
    assert!(shown.contains("PrivateKey::P256") && !shown.contains(secret), "{shown}");
}
