//! One source into several guests, by their names and by their channel; one of them is not there.

use crate::support::{self, dom0, install_push, push};
use domu_tests::guest::{Guest, config};
use domu_tests::http::Connection;
use domu_tests::{BOOT, Outcome};

#[test]
fn one_push_reaches_two_guests() {
    support::run("datafront_two_guests", |bed| {
        install_push(bed)?;
        let guests = ["web1", "web2"].map(|name| {
            let config = config("web", name, "ip=dhcp app.push=site app.admin=path:/-/")?;
            let guest = Guest::create(bed, &config)?;
            guest.domain.wait_for("dom0 pushes at ", BOOT)?;
            Ok(guest)
        });
        let guests = guests.into_iter().collect::<Outcome<Vec<_>>>()?;
        dom0(bed, "mkdir /tmp/site && echo one >/tmp/site/a.txt && echo two >/tmp/site/b.txt")?;
        let both = push(bed, "/tmp/site --domain web1,web2 --port site")?;
        assert!(both.success(), "{both:?}");
        for line in ["push: web1: /: accepted", "push: web2: /: accepted", "push: accepted by 2 of 2 guests"]
        {
            assert_eq!(both.stderr.matches(line).count(), 1, "{line}: {both:?}");
        }
        for guest in &guests {
            assert_eq!(Connection::open(guest.tcp(80)?)?.get("/b.txt")?.text(), "two\n");
        }
        dom0(bed, "echo three >/tmp/site/c.txt")?;
        let all = push(bed, "/tmp/site --all-with site --json")?;
        assert!(all.success(), "{all:?}");
        for name in ["web1", "web2"] {
            let result =
                format!("{{\"accepted\":true,\"code\":0,\"domain\":\"{name}\",\"event\":\"result\"}}");
            assert!(all.stdout.contains(&result), "{all:?}");
        }
        for guest in &guests {
            assert_eq!(Connection::open(guest.tcp(80)?)?.get("/c.txt")?.text(), "three\n");
        }
        let some = push(bed, "/tmp/site/a.txt --domain web1,nobody --port site")?;
        assert_eq!(some.status, Some(3), "{some:?}");
        assert!(
            some.stderr.contains("push: accepted by 1 of 2 guests; failed: nobody (exit code 3)"),
            "{some:?}"
        );
        assert_eq!(Connection::open(guests[0].tcp(80)?)?.get("/a.txt")?.text(), "one\n");
        Ok(())
    });
}
