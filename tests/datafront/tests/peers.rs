//! The channel on real Xen, in both roles, against programs over libxenvchan that know nothing of us: `peer/peer.c`,
//! and Debian's `vchan-socket-proxy` in both of its roles.

#![allow(clippy::too_many_lines, reason = "a test follows one story from its beginning to its end")]

mod support;

use bed::{Bed, Domain};
use domu_tests::guest::config;
use domu_tests::{BOOT, Outcome, SOON};
use support::{dom0, install_peer};

#[test]
fn libxenvchan_in_both_roles() {
    support::run("datafront_peers", |bed| {
        install_peer(bed)?;
        our_server(bed)?;
        our_client(bed)
    });
}

fn probe(bed: &Bed, what: &str, rings: &str) -> Outcome<Domain> {
    let domain =
        bed.create(&config("probe", what, &format!("app.do={what} app.port=app {rings}"))?.memory_mib(16))?;
    let ready = if what == "vchan-server" { "vchan-server: at " } else { "vchan-client: waiting" };
    domain.wait_for(ready, BOOT)?;
    Ok(domain)
}

/// A process that is killed while it is connected; the pattern after it.
fn killed_then_echo(bed: &Bed, start: &str) -> Outcome {
    dom0(
        bed,
        &format!(
            "{start} hold >/tmp/hold & p=$!
             for i in $(seq 200); do grep -q open /tmp/hold && break; sleep 0.1; done
             sleep 0.3; kill -9 $p; wait $p 2>/dev/null; {start} echo 30000 7"
        ),
    )
    .map(|said| assert!(said.contains("echoed 30000"), "{said}"))
}

/// Our server, met by C and by the proxy as clients.
fn our_server(bed: &Bed) -> Outcome {
    for rings in ["", "app.left=10 app.right=11", "app.left=20 app.right=20"] {
        let domain = probe(bed, "vchan-server", rings)?;
        let path = format!("/local/domain/{}/data/vchan/0/app", domain.domid());
        let start = format!("peer client {} {path}", domain.domid());
        for seed in 1..4 {
            let said = dom0(bed, &format!("{start} echo 200000 {seed}"))?;
            assert!(said.contains("echoed 200000"), "{rings}: {said}");
            domain.wait_for_next("echoed 200000, the peer left", SOON)?;
        }
        if rings.is_empty() {
            // An index that cannot be: closed with a name, where libxenvchan would go silent; the next one is served.
            let said = dom0(bed, &format!("{start} corrupt"))?;
            assert!(said.contains("corrupt: open 0"), "{said}");
            domain.wait_for_next("is no index of a ring", SOON)?;
            killed_then_echo(bed, &start)?;
            let proxy = format!("vchan-socket-proxy -m client {} {path} -", domain.domid());
            through_proxy(bed, &proxy)?;
        }
        domain.destroy()?;
    }
    Ok(())
}

/// The proxy's standard streams: input comes back.
fn through_proxy(bed: &Bed, proxy: &str) -> Outcome {
    let said = dom0(
        bed,
        &format!(
            "proxy=$(echo /usr/lib/xen-*/bin/vchan-socket-proxy); export PATH=$PATH:${{proxy%/*}}
             head -c 300000 /dev/urandom >/tmp/in; rm -f /tmp/back
             (cat /tmp/in; for i in $(seq 200); do [ $(wc -c </tmp/back) = 300000 ] && break; sleep 0.1; done) |
                 {proxy} >/tmp/back
             cmp /tmp/in /tmp/back && echo same"
        ),
    )?;
    assert!(said.contains("same"), "{said}");
    Ok(())
}

/// Our client, of servers in C and of the proxy as a server, one after the other.
fn our_client(bed: &Bed) -> Outcome {
    let domain = probe(bed, "vchan-client", "")?;
    let path = format!("/local/domain/0/data/vchan/{}/app", domain.domid());
    let start = |left: u32, right: u32| format!("peer server {} {path} {left} {right}", domain.domid());
    for (left, right) in [(65_536, 4096), (1024, 2048), (0, 0), (1 << 20, 1 << 20)] {
        let said = dom0(bed, &format!("{} echo 200000 {left}", start(left, right)))?;
        assert!(said.contains("echoed 200000"), "{left} {right}: {said}");
        domain.wait_for_next("echoed 200000, the peer left", SOON)?;
    }
    let said = dom0(bed, &format!("{} corrupt", start(4096, 4096)))?;
    assert!(said.contains("corrupt: open 0"), "{said}");
    domain.wait_for_next("is no index of a ring", SOON)?;
    killed_then_echo(bed, &start(4096, 4096))?;
    through_proxy(bed, &format!("vchan-socket-proxy -m server {} {path} -", domain.domid()))?;
    // Nothing is mapped any more: dom0's kernel could free all its pages.
    domain.destroy()?;
    Ok(())
}
