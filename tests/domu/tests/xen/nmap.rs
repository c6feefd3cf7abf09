//! nmap's judgement of our sequence numbers, from dom0. Not part of the suite: nmap and its libraries make a dom0 of
//! their own. `cargo test --profile host -p domu-tests --test xen -- --ignored nmap`

use bed::{Options, run_test_with};
use domu_tests::Outcome;
use domu_tests::guest::Guest;
use std::time::Duration;

/// nmap and its libraries.
const PACKAGES: &[&str] = &[
    "nmap",
    "nmap-common",
    "liblinear4",
    "libblas3",
    "liblua5.4-0",
    "libpcap0.8",
    "libpcre3",
    "libssh2-1",
    "libssl3",
    "libstdc++6",
    "libgcc-s1",
    "zlib1g",
    "libdbus-1-3",
    "libsystemd0",
    "libcap2",
    "libgcrypt20",
    "libgpg-error0",
    "liblz4-1",
    "liblzma5",
    "libzstd1",
    "libgfortran5",
    "libquadmath0",
];
/// It sends some dozens of packets and waits for each.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
#[ignore = "its own command: a dom0 with nmap in it"]
fn nmap_rates_our_sequence_numbers_as_good_luck() {
    let options = PACKAGES.iter().fold(Options::default(), |options, name| options.extra_package(name));
    run_test_with("nmap_rates_our_sequence_numbers_as_good_luck", options, |bed| -> Outcome {
        let guest = Guest::start(bed, "web", "")?;
        // libblas is in a separate folder, to which Debian's alternatives link.
        let script = format!(
            "export LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/blas:/usr/lib/x86_64-linux-gnu
             nmap --privileged -n -Pn -v -O -p 80,81 --max-retries 3 {}",
            guest.address
        );
        let said = bed.dom0_within(&script, LIMIT)?;
        eprintln!("{}", said.stdout);
        assert!(said.success(), "{}", said.stderr);
        assert!(said.stdout.contains("TCP Sequence Prediction: Difficulty="), "{}", said.stdout);
        assert!(said.stdout.contains("(Good luck!)"), "{}", said.stdout);
        Ok(())
    });
}
