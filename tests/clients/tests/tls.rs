//! Third-party clients over TLS against the web appliance on real Xen, through a TAP device.
//!
//! One machine for all of them; each check prints its name and its result.

use bed::{Bed, DomainConfig, Options, run_test_with};
use client_tests::authority::Authority;
use client_tests::chromium::Chromium;
use client_tests::reports::{self, Finding, expect};
use client_tests::{Namespace, Outcome};
use std::time::Duration;

/// The name that the certificate is for.
const HOST: &str = "mill.test";
const ADDRESS: &str = "10.0.2.33";
/// From `xl create` to the last line of a start, on a machine with other work.
const BOOT: Duration = Duration::from_secs(120);
/// Requests of h2load.
const REQUESTS: u64 = 2000;

/// The site: a page with a style, a script that changes its title, and a picture.
const SITE: &[(&str, &str)] = &[
    (
        "index.html",
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>before</title>\
         <link rel=\"icon\" href=\"icon.svg\"><link rel=\"stylesheet\" href=\"style.css\">\
         <script src=\"page.js\" defer></script></head><body><h1>Mill</h1><img src=\"icon.svg\" alt=\"\"></body></html>\n",
    ),
    ("style.css", "h1 { color: teal }\n"),
    ("page.js", "document.title = getComputedStyle(document.querySelector('h1')).color;\n"),
    (
        "icon.svg",
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\"><rect width=\"9\" height=\"9\"/></svg>\n",
    ),
];

struct Scene<'a> {
    bed: &'a Bed,
    host: &'a Namespace,
    authority: Authority,
}

#[test]
fn clients_over_tls_are_served() {
    let namespace = Namespace::new().unwrap_or_else(|error| panic!("{error}"));
    let options = Options::default().without_snapshot().lan_tap(namespace.script());
    run_test_with("clients_tls", options, |bed| -> Outcome {
        let scene = Scene { bed, host: &namespace, authority: Authority::new(HOST)? };
        let root = bed::repository();
        let cmdline = format!("ip={ADDRESS}/24 gw=10.0.2.2 app.tls=on app.hsts=31536000");
        let config = DomainConfig::from_file(root.join("xen.cfg"))?.name("web").cmdline(&cmdline);
        let web = bed.create(&config.kernel(root.join("build/web.elf")))?;
        web.wait_for("listening on ", BOOT)?;
        publish(&scene)?;
        let mut failed = Vec::new();
        for (name, check) in CHECKS {
            match check(&scene) {
                Ok(said) => eprintln!("  {name}: {said}"),
                Err(error) => failed.push(format!("{name}: {error}")),
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        let console = web.console();
        assert!(!console.contains("panic") && !console.contains("ERROR"), "{console}");
        Ok(())
    });
}

/// Pushes the site, and the certificate with its key.
fn publish(scene: &Scene<'_>) -> Outcome {
    let bed = scene.bed;
    bed.put_file(bed::repository().join("build/push"), "/usr/bin/push")?;
    bed.dom0("mkdir -p /tmp/site /tmp/tls")?;
    for (name, text) in SITE {
        let file = scene.authority.folder().join(name);
        std::fs::write(&file, text)?;
        bed.put_file(file, &format!("/tmp/site/{name}"))?;
    }
    for name in ["site.crt", "site.key"] {
        bed.put_file(scene.authority.secrets().join(name), &format!("/tmp/tls/{name}"))?;
    }
    let output = bed.dom0("push /tmp/site --domain web && push --secret /tmp/tls --domain web")?;
    if output.success() { Ok(()) } else { Err(format!("{output:?}").into()) }
}

type Check = fn(&Scene<'_>) -> Outcome<String>;

const CHECKS: &[(&str, Check)] = &[
    ("openssl s_client: TLS 1.3, verified, then resumed", resumption),
    ("openssl s_client: TLS 1.2 is refused", |scene| {
        let said = scene.s_client("-tls1_2 || true", "")?;
        expect(&said, "alert protocol version")
    }),
    ("curl: 20 files over one connection, verified", curl),
    ("h2load, HTTP/1.1, 16 connections", |scene| {
        let command =
            format!("h2load --h1 -n {REQUESTS} -c 16 --connect-to={ADDRESS}:443 https://{HOST}/index.html");
        reports::h2load(&scene.host.run(300, &command)?, REQUESTS)
    }),
    ("wrk, 16 connections", |scene| {
        let command =
            format!("wrk -t 1 -c 16 -d 5s --timeout 30s -H 'Host: {HOST}' https://{ADDRESS}:443/index.html");
        Ok(format!("{} requests", reports::wrk(&scene.host.run(120, &command)?)?))
    }),
    ("Chromium: a page, its style, its script, its picture", chromium),
    ("testssl: TLS 1.3 alone, two suites, no vulnerability", testssl),
];

impl Scene<'_> {
    /// `openssl s_client` with a request, which verifies the certificate and its name.
    fn s_client(&self, more: &str, request: &str) -> Outcome<String> {
        let command = format!(
            "printf '{request}' | timeout 60 openssl s_client -connect {ADDRESS}:443 -servername {HOST} -CAfile {} \
             -verify_return_error -verify_hostname {HOST} -ign_eof 2>&1 {more}",
            self.authority.trusted().display()
        );
        self.host.run(90, &command)
    }
}

fn resumption(scene: &Scene<'_>) -> Outcome<String> {
    let session = scene.authority.folder().join("session");
    let request = format!("GET /style.css HTTP/1.1\\r\\nHost: {HOST}\\r\\nConnection: close\\r\\n\\r\\n");
    let new = scene.s_client(&format!("-alpn http/1.1 -sess_out {}", session.display()), &request)?;
    for what in ["Verify return code: 0 (ok)", "ALPN protocol: http/1.1", "HTTP/1.1 200 OK", "color: teal"] {
        expect(&new, what)?;
    }
    expect(&new, "New, TLSv1.3")?;
    let again = scene.s_client(&format!("-sess_in {}", session.display()), &request)?;
    expect(&again, "HTTP/1.1 200 OK")?;
    expect(&again, "Reused, TLSv1.3")
}

fn curl(scene: &Scene<'_>) -> Outcome<String> {
    let command = format!(
        "curl -sS --fail --max-time 60 --cacert {} --resolve {HOST}:443:{ADDRESS} --tlsv1.3 -D - -o /dev/null \
         -w 'new %{{num_connects}} verified %{{ssl_verify_result}}\\n' 'https://{HOST}/index.html?[1-20]'",
        scene.authority.trusted().display()
    );
    let said = scene.host.run(90, &command)?;
    let count = |what: &str| said.lines().filter(|line| line.trim() == what).count();
    let seen = (count("HTTP/1.1 200 OK"), count("Strict-Transport-Security: max-age=31536000"));
    let kept = (count("new 1 verified 0"), count("new 0 verified 0"));
    if (seen, kept) == ((20, 20), (1, 19)) { Ok("20 replies".into()) } else { Err(said.into()) }
}

fn chromium(scene: &Scene<'_>) -> Outcome<String> {
    let folder = scene.authority.folder().join("chromium");
    std::fs::create_dir_all(&folder)?;
    let trusted = scene.authority.trusted();
    let mut browser = Chromium::start(scene.host, &folder, &trusted, (HOST, ADDRESS))?;
    let visit = browser.visit(&format!("https://{HOST}/"))?;
    let good = |(_, status, protocol): &(String, i64, String)| *status == 200 && protocol == "TLS 1.3";
    let parts = ["/", "/style.css", "/page.js", "/icon.svg"].map(|path| format!("https://{HOST}{path}"));
    let all = parts.iter().all(|part| visit.replies.iter().any(|(url, ..)| url == part));
    let well = all && visit.replies.iter().all(good) && visit.complaints.is_empty();
    // The script saw the style.
    if well && visit.title == "rgb(0, 128, 128)" {
        return Ok(format!("{} replies, nothing on the console", visit.replies.len()));
    }
    Err(format!("{visit:?}").into())
}

/// Findings that are neither good nor neutral, and why they stand.
const STAND: &[&str] = &[
    // The test's own authority publishes no list of revoked certificates.
    "cert_revocation",
    // Of the host's OpenSSL.
    "engine_problem",
];

/// What must have been found, and how: protocols, suites, and weaknesses that are known by a name.
const FOUND: &[(&str, &str)] = &[
    ("SSLv2", "not offered"),
    ("SSLv3", "not offered"),
    ("TLS1", "not offered"),
    ("TLS1_1", "not offered"),
    ("TLS1_2", "not offered"),
    ("TLS1_3", "offered with final"),
    ("ALPN", "http/1.1"),
    ("PFS_ciphers", "TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_GCM_SHA256"),
    ("PFS_ECDHE_curves", "X25519"),
    ("cipherorder_TLSv1_3", "TLS_AES_128_GCM_SHA256 TLS_CHACHA20_POLY1305_SHA256"),
    ("cert_chain_of_trust", "passed"),
    ("heartbleed", "not vulnerable"),
    ("CCS", "not vulnerable"),
    ("ticketbleed", "no session ticket extension"),
    ("ROBOT", "not vulnerable"),
    ("secure_renego", "TLS 1.3 only"),
    ("secure_client_renego", "not vulnerable"),
    ("CRIME_TLS", "TLS 1.3 only"),
    ("BREACH", "not vulnerable"),
    ("POODLE_SSL", "not vulnerable"),
    ("fallback_SCSV", "only TLS 1.3"),
    ("FREAK", "not vulnerable"),
    ("DROWN", "not vulnerable"),
    ("LOGJAM", "not vulnerable"),
    ("BEAST", "not vulnerable"),
    ("LUCKY13", "not vulnerable"),
    ("RC4", "not vulnerable"),
    // Handshakes as these programs make them; older ones have no TLS 1.3.
    ("clientsimulation-android_90", "TLSv1.3 TLS_AES_128_GCM_SHA256"),
    ("clientsimulation-chrome_101_win10", "TLSv1.3 TLS_AES_128_GCM_SHA256"),
    ("clientsimulation-firefox_100_win10", "TLSv1.3 TLS_AES_128_GCM_SHA256"),
    ("clientsimulation-edge_101_win10_21h2", "TLSv1.3 TLS_AES_128_GCM_SHA256"),
    ("clientsimulation-safari_154_osx_1231", "TLSv1.3 TLS_AES_128_GCM_SHA256"),
    ("clientsimulation-java1703", "TLSv1.3 TLS_AES_128_GCM_SHA256"),
    ("clientsimulation-go_1178", "TLSv1.3 TLS_AES_128_GCM_SHA256"),
    ("clientsimulation-openssl_303", "TLSv1.3 TLS_AES_128_GCM_SHA256"),
];

fn testssl(scene: &Scene<'_>) -> Outcome<String> {
    let file = scene.authority.folder().join("testssl.json");
    // Its exit code counts findings of every kind.
    let command = format!(
        "testssl --quiet --color 0 --warnings off --nodns none --ip {ADDRESS} --add-ca {} --jsonfile {} https://{HOST}/ \
         >/dev/null 2>&1 || true",
        scene.authority.trusted().display(),
        file.display()
    );
    scene.host.run(1200, &command)?;
    let findings = reports::testssl(&std::fs::read_to_string(&file)?)?;
    let found =
        |(id, text): &(&str, &str)| findings.iter().any(|one| one.id == *id && one.text.starts_with(text));
    if let Some(missing) = FOUND.iter().find(|known| !found(known)) {
        let said: Vec<_> = findings.iter().filter(|one| one.id == missing.0).collect();
        return Err(format!("not {missing:?}, but {said:?}").into());
    }
    let stands = |id: &str| STAND.contains(&id);
    let bad = |one: &&Finding| !matches!(one.severity.as_str(), "OK" | "INFO") && !stands(&one.id);
    match findings.iter().find(bad) {
        None => Ok(format!("{} findings", findings.len())),
        Some(finding) => Err(format!("{finding:?}").into()),
    }
}
