//! Third-party clients against our images on real Xen: from the host through a TAP device, and from dom0.
//!
//! One machine for all of them; each check prints its name and its result.

use bed::{Bed, Domain, DomainConfig, Options, run_test_with};
use client_tests::reports::{self, expect};
use client_tests::{Namespace, Outcome};
use serde_json::Value;
use std::time::Duration;

/// dom0's additional programs.
const CLIENTS: &[&str] = &["wrk", "libluajit-5.1-2", "libssl3", "iperf3", "libiperf0", "libsctp1", "iperf"];
const WEB: &str = "10.0.2.31";
const IPERF: &str = "10.0.2.32";
const WEB6: &str = "fd00:6d69::31";
const IPERF6: &str = "fd00:6d69::32";
/// From `xl create` to the last line of a start, on a machine with other work.
const BOOT: Duration = Duration::from_secs(120);
/// A command in dom0.
const LONG: Duration = Duration::from_secs(180);

#[test]
fn clients_that_nobody_here_wrote_are_served() {
    let namespace = Namespace::new().unwrap_or_else(|error| panic!("{error}"));
    let options = Options::default().without_snapshot().lan_tap(namespace.script());
    let options = CLIENTS.iter().fold(options, |options, name| options.extra_package(name));
    run_test_with("clients", options, |bed| -> Outcome {
        let web = start(bed, "web", WEB, WEB6)?;
        let iperf = start(bed, "iperf", IPERF, IPERF6)?;
        for (name, check) in CHECKS {
            let said = check(bed, &namespace).map_err(|error| format!("{name}: {error}"))?;
            eprintln!("  {name}: {said}");
        }
        for domain in [&web, &iperf] {
            let console = domain.console();
            assert!(!console.contains("panic") && !console.contains("ERROR"), "{console}");
        }
        Ok(())
    });
}

fn start(bed: &Bed, image: &str, address: &str, ipv6: &str) -> Outcome<Domain> {
    let root = bed::repository();
    let config = DomainConfig::from_file(root.join("xen.cfg"))?
        .kernel(root.join(format!("build/{image}.elf")))
        .name(image)
        .cmdline(&format!("ip={address}/24 gw=10.0.2.2 ip6={ipv6}/64"));
    let domain = bed.create(&config)?;
    domain.wait_for("listening on ", BOOT)?;
    domain.wait_for(format!("IPv6 address {ipv6}/64").as_str(), BOOT)?;
    Ok(domain)
}

type Check = fn(&Bed, &Namespace) -> Outcome<String>;

const CHECKS: &[(&str, Check)] = &[
    ("ping from the host", |_, host| {
        let said = host.run(60, &format!("ping -c 20 -i 0.05 -W 5 {WEB}"))?;
        expect(&said, " 0% packet loss")
    }),
    ("curl: the page and its figures", |_, host| {
        let page = host.run(30, &format!("curl -fsS --max-time 20 http://{WEB}/"))?;
        expect(&page, "</html>")?;
        let status = host.run(30, &format!("curl -fsS --max-time 20 http://{WEB}/status.json"))?;
        let status: Value = serde_json::from_str(&status)?;
        Ok(format!(
            "{} bytes of HTML; {} keys of JSON",
            page.len(),
            status.as_object().map_or(0, |o| o.len())
        ))
    }),
    ("tcpdump reads a capture that the guest made", |_, host| {
        let said = host.run(
            90,
            &format!(
                "ping -i 0.2 {WEB} >/dev/null & p=$!
                 curl -fsS --max-time 60 'http://{WEB}:9090/debug/pcap?seconds=3' | tcpdump -n -v -r - 2>&1; kill $p"
            ),
        )?;
        expect(&said, "link-type EN10MB (Ethernet)")?;
        expect(&said, &format!("10.0.2.2 > {WEB}: ICMP echo request"))?;
        expect(&said, &format!("{WEB} > 10.0.2.2: ICMP echo reply"))?;
        let answered = expect(&said, &format!("{WEB}.9090 > 10.0.2.2"))?;
        assert!(!said.contains("truncated") && !said.contains("[|"), "{said}");
        Ok(format!("{} lines; {answered}", said.lines().count()))
    }),
    ("ping -6 from the host", |_, host| {
        let said = host.run(60, &format!("ping -6 -c 20 -i 0.05 -W 5 -s 1400 {WEB6}"))?;
        expect(&said, " 0% packet loss")
    }),
    ("curl -6", |_, host| {
        let page = host.run(30, &format!("curl -6 -gfsS --max-time 20 http://[{WEB6}]/"))?;
        expect(&page, "</html>")?;
        Ok(format!("{} bytes of HTML", page.len()))
    }),
    ("iperf3 -6, TCP in", |_, host| {
        iperf3(&host.run(60, &format!("iperf3 -6 -c {IPERF6} -J -w 64K -n 4M"))?)
    }),
    ("iperf3 -6, TCP out", |_, host| iperf3(&host.run(60, &format!("iperf3 -6 -c {IPERF6} -J -R -n 4M"))?)),
    ("iperf3 -6, UDP in", |_, host| {
        iperf3(&host.run(60, &format!("iperf3 -6 -c {IPERF6} -J -u -b 4M -l 1400 -t 3"))?)
    }),
    ("nmap -6", |_, host| {
        let said = host.run(120, &format!("nmap -6 -n -Pn -sS --max-retries 3 -p 1-200 {WEB6}"))?;
        expect(&said, "80/tcp open")
    }),
    ("wrk, 16 connections", |_, host| {
        let said = host.run(60, &format!("wrk -t 1 -c 16 -d 3s --timeout 10s http://{WEB}:80/1k"))?;
        wrk(&said)
    }),
    ("wrk in dom0, 16 connections", |bed, _| {
        wrk(&dom0(bed, &format!("wrk -t 1 -c 16 -d 3s --timeout 10s http://{WEB}:80/1k"))?)
    }),
    ("iperf3, TCP in", |_, host| iperf3(&host.run(60, &format!("iperf3 -c {IPERF} -J -w 64K -n 4M"))?)),
    ("iperf3, TCP out", |_, host| iperf3(&host.run(60, &format!("iperf3 -c {IPERF} -J -R -n 4M"))?)),
    ("iperf3, 4 streams in", |_, host| {
        iperf3(&host.run(60, &format!("iperf3 -c {IPERF} -J -w 64K -P 4 -n 4M"))?)
    }),
    ("iperf3, 4 streams out", |_, host| {
        iperf3(&host.run(60, &format!("iperf3 -c {IPERF} -J -R -P 4 -n 4M"))?)
    }),
    ("iperf3, UDP in", |_, host| {
        iperf3(&host.run(60, &format!("iperf3 -c {IPERF} -J -u -b 4M -l 1400 -t 3"))?)
    }),
    ("iperf3, UDP out", |_, host| {
        iperf3(&host.run(60, &format!("iperf3 -c {IPERF} -J -u -R -b 4M -l 1400 -t 3"))?)
    }),
    ("iperf3 in dom0, TCP both ways", |bed, _| {
        let there = iperf3(&dom0(bed, &format!("iperf3 -c {IPERF} -J -n 16M"))?)?;
        let back = iperf3(&dom0(bed, &format!("iperf3 -c {IPERF} -J -R -n 16M"))?)?;
        Ok(format!("{there}; {back}"))
    }),
    ("iperf3 gets an error for what is not supported", |_, host| {
        let said = host.run(60, &format!("iperf3 -c {IPERF} -J --bidir -n 1M; true"))?;
        expect(&said, "\"error\":")?;
        iperf3(&host.run(60, &format!("iperf3 -c {IPERF} -J -w 64K -n 4M"))?)
    }),
    ("iperf, TCP", |_, host| {
        let said = host.run(60, &format!("iperf -c {IPERF} -n 4M -f k"))?;
        expect(&said, "Bytes")
    }),
    ("iperf, UDP with the server's report", |_, host| {
        let said = host.run(60, &format!("iperf -c {IPERF} -u -b 2M -l 1400 -t 3 -f k"))?;
        expect(&said, "Server Report")?;
        let lost = said.lines().rfind(|line| line.contains('%')).unwrap_or_default();
        assert!(!said.contains("did not receive ack"), "{said}");
        Ok(lost.trim().to_owned())
    }),
    ("nmap: every port, and the system", |_, host| {
        let said = host.run(170, &format!("nmap -n -Pn -sS -O -v --max-retries 3 -p 1-1024 {WEB}"))?;
        expect(&said, "80/tcp open")?;
        let rating = expect(&said, "TCP Sequence Prediction")?;
        assert!(rating.contains("Good luck!"), "{said}");
        Ok(rating)
    }),
    ("scapy: frames of chance", |_, host| {
        let script = format!(
            "from scapy.all import *\n\
             import random\n\
             random.seed(7)\n\
             conf.verb = 0\n\
             dev = [i for i in get_if_list() if i != 'lo'][0]\n\
             mac = getmacbyip('{WEB}')\n\
             head = Ether(dst=mac)\n\
             kinds = [lambda: IP(dst='{WEB}')/fuzz(TCP()), lambda: IP(dst='{WEB}')/fuzz(UDP()/DNS()),\n\
             \x20 lambda: IP(dst='{WEB}')/fuzz(ICMP()), lambda: fuzz(IP(dst='{WEB}'))/TCP(dport=80, flags='S'),\n\
             \x20 lambda: fuzz(ARP(pdst='{WEB}')), lambda: fuzz(IPv6())/fuzz(ICMPv6ND_NS())]\n\
             frames = [head/random.choice(kinds)() for _ in range(1500)]\n\
             sendp(frames, iface=dev)\n\
             print('sent', len(frames))\n"
        );
        let said = host.run(170, &format!("/usr/bin/python3 - <<'PY'\n{script}PY"))?;
        expect(&said, "sent 1500")?;
        // It still answers, and nothing has grown for good.
        expect(&host.run(60, &format!("curl -fsS --max-time 30 http://{WEB}/healthz"))?, "")?;
        expect(&host.run(60, &format!("ping -c 10 -i 0.1 -W 5 {WEB}"))?, " 0% packet loss")
    }),
];

fn dom0(bed: &Bed, command: &str) -> Outcome<String> {
    let output = bed.dom0_within(command, LONG)?;
    if output.success() { Ok(output.stdout) } else { Err(format!("`{command}` in dom0: {output:?}").into()) }
}

fn wrk(said: &str) -> Outcome<String> {
    Ok(format!("{} requests", reports::wrk(said)?))
}

/// iperf3's report: something arrived, and of datagrams next to all. A client that sends has done so when the bytes are in its
/// socket: with a small one (`-w`) nearly all have arrived then, however busy the host is.
fn iperf3(said: &str) -> Outcome<String> {
    let report: Value = serde_json::from_str(said)?;
    let number = |path: &str| report.pointer(path).and_then(Value::as_f64);
    if let (Some(packets), Some(lost)) = (number("/end/sum/packets"), number("/end/sum/lost_packets")) {
        assert!(packets >= 100.0 && lost <= packets / 20.0, "{lost} of {packets} datagrams are lost: {said}");
        return Ok(format!("{packets} datagrams, {lost} lost"));
    }
    let bytes = number("/end/sum_received/bytes").ok_or_else(|| format!("no report: {said}"))?;
    assert!(bytes >= f64::from(1 << 20), "{said}");
    Ok(format!("{bytes} bytes"))
}
