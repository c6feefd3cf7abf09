//! A sender that was written from `docs/datafront.md` alone, in another language: the document is sufficient.

mod support;

use bed::Options;
use domu_tests::guest::{Guest, config};
use domu_tests::http::{Connection, number};
use domu_tests::{BOOT, Outcome};
use support::{LONG, chain, dom0, random, sum, upload};

/// Python, as small as Debian has it. The program imports nothing that is not in there.
const PYTHON: [&str; 3] = ["python3.11-minimal", "libpython3.11-minimal", "libexpat1"];
const SENDER: &str = include_str!("../sender/sender.py");
const BLOCKS: usize = 40;
/// Acknowledgements after which it loses its connection, again and again.
const CUT: usize = 7;

#[test]
fn a_sender_written_from_the_document() {
    let options = PYTHON.iter().fold(Options::default(), |options, name| options.extra_package(name));
    bed::run_test_with("datafront_sender", options, |bed| -> Outcome {
        let guest = Guest::create(bed, &config("web", "web", "ip=dhcp app.admin=path:/-/")?)?;
        guest.domain.wait_for("dom0 pushes at ", BOOT)?;
        let contents: Vec<Vec<u8>> = (0..BLOCKS).map(|n| random(n as u64 + 1, n * n * 3)).collect();
        let folder = std::env::temp_dir().join(format!("datafront-sender-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        for (n, content) in contents.iter().enumerate() {
            std::fs::write(folder.join(format!("{n:02}")), content)?;
        }
        upload(bed, &folder, "/tmp/blocks")?;
        std::fs::remove_dir_all(&folder)?;
        bed.dom0_with_input("cat >/tmp/sender.py", SENDER.as_bytes(), LONG)?;
        let said = dom0(
            bed,
            &format!(
                "python3.11 /tmp/sender.py $(xl domid web) push 42 {CUT} /tmp/blocks/* 2>/tmp/why; cat /tmp/why"
            ),
        )?;
        println!("{}", said.lines().rev().take(3).collect::<Vec<_>>().join("; "));
        let acknowledged: Vec<&str> = said.lines().filter(|line| line.ends_with(" 0")).collect();
        let expected: Vec<String> = (1..=BLOCKS).map(|seq| format!("{seq} 0")).collect();
        assert_eq!(acknowledged, expected, "{said}");
        let mut http = Connection::open(guest.tcp(80)?)?;
        let status = http.status()?;
        assert_eq!(number(&status, "/datafront/channels/0/blocks/accepted")?, BLOCKS as u64, "{status}");
        // Acknowledgements that were on their way when it lost a connection count, too: how many it loses is chance.
        assert!(number(&status, "/datafront/channels/0/link/clients")? >= 3, "{status}");
        let expected =
            (1..).zip(&contents).fold(0, |before, (seq, content)| chain(before, seq, sum(content)));
        assert_eq!(
            number(&status, "/datafront/channels/0/chain")?,
            u64::from(expected),
            "once, in order: {status}"
        );
        for (n, content) in contents.iter().enumerate() {
            assert_eq!(http.get(&format!("/{n:02}"))?.body, *content, "block {n}");
        }
        Ok(())
    });
}
