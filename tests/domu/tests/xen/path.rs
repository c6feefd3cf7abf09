//! A path MTU below our link's: dom0 routes to a Linux guest behind a link of 1300 bytes, and reports it.

use bed::linux_domu::Linux;
use bed::{Bed, Domain, run_test};
use domu_tests::dom0::speak_ipv6;
use domu_tests::guest::config;
use domu_tests::{BOOT, Outcome, linux};
use std::time::Duration;

/// From `xl unpause` to both transfers done.
const FAR: Duration = Duration::from_secs(180);

/// Half a million bytes to the echo service and back, over IPv4 and over IPv6.
const SCRIPT: &str = "
    ip route del default; ip addr del 10.0.2.32/24 dev eth0
    ip addr add 10.9.8.2/24 dev eth0; ip route add default via 10.9.8.1
    echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
    ip -6 addr add fd00:98::2/64 dev eth0; ip -6 route add default via fd00:98::1
    head -c 500000 /dev/urandom >/tmp/sent
    for address in 10.0.2.31 fd00:6d69::31; do
        timeout 60 nc $address 7 </tmp/sent >/tmp/got
        cmp /tmp/sent /tmp/got && echo \"far: whole from $address\"
    done
    sleep 1000";

/// The network on the other side of dom0, which forwards.
const ROUTER: &str = "ip link add xenbr1 type bridge && ip link set xenbr1 up &&
    echo 0 >/proc/sys/net/ipv6/conf/xenbr1/accept_dad && echo 0 >/proc/sys/net/ipv6/conf/xenbr1/disable_ipv6 &&
    ip addr add 10.9.8.1/24 dev xenbr1 && ip -6 addr add fd00:98::1/64 dev xenbr1 &&
    echo 1 >/proc/sys/net/ipv4/ip_forward && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";

/// How often dom0 could not pass a packet on because it was too big.
fn refused(bed: &Bed) -> Outcome<u64> {
    let numbers = bed.dom0("awk '/^Ip: [0-9]/ { print $19 }' /proc/net/snmp")?.stdout;
    Ok(numbers.trim().parse()?)
}

#[test]
fn streams_get_through_a_narrow_path() {
    run_test("streams_get_through_a_narrow_path", |bed| -> Outcome {
        speak_ipv6(bed)?;
        let routed = bed.dom0(ROUTER)?;
        assert!(routed.success(), "{routed:?}");
        let line = "ip=10.0.2.31/24 gw=10.0.2.100 ip6=fd00:6d69::31/64 gw6=fd00:6d69::1";
        let guest = bed.create(&config("echo", "near", line)?)?;
        guest.wait_for("IPv6 address fd00:6d69::31/64", BOOT)?;
        let far = Linux::new("far").address("10.0.2.32").script(SCRIPT).config(bed)?;
        // Its own vif has an MTU of 1500, and so has the MSS that it announces.
        let narrow = |far: &Domain| -> Outcome {
            let narrow = format!("ip link set vif{}.0 mtu 1300 && ip link set xenbr1 mtu 1300", far.domid());
            let narrow = bed.dom0(&narrow)?;
            assert!(narrow.success(), "{narrow:?}");
            Ok(())
        };
        let first = ("far: whole from 10.0.2.31", FAR);
        let far = linux::start(bed, &far.vif(["bridge=xenbr1"]), narrow, first)?;
        for address in ["10.0.2.31", "fd00:6d69::31"] {
            far.wait_for(format!("far: whole from {address}").as_str(), FAR)?;
        }
        let refused = refused(bed)?;
        eprintln!("  dom0 refused {refused} packets of IPv4");
        assert!(refused > 0, "the path was not narrow");
        Ok(())
    });
}
