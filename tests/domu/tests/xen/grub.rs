//! The same image booted by GRUB for PVH, with multiboot2, as for tenants who cannot choose a kernel.

use bed::run_test;
use domu_tests::guest::{Guest, config};
use domu_tests::http::Connection;
use domu_tests::{Outcome, SOON};
use std::process::Command;

#[test]
fn grub_boots_the_image_and_its_page_is_fetched() {
    run_test("grub_boots_the_image_and_its_page_is_fetched", |bed| -> Outcome {
        let by_xen = config("web", "web", "host=from-xen")?;
        let grub = bed.folder().join("grub-pvh.bin");
        let built = Command::new(bed::repository().join("docs/grub/build.sh"))
            .arg(by_xen.file("kernel").ok_or("no kernel in xen.cfg")?)
            .arg(&grub)
            .output()?;
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

        let guest = Guest::create(bed, &by_xen.kernel(grub))?;
        let banner = guest.domain.wait_for("INFO  kernel: millpond ", SOON)?;
        assert!(banner.contains("started by multiboot2"), "{banner}");
        let mut kept = Connection::open(guest.tcp(80)?)?;
        assert_eq!(kept.get("/")?.status, 200);
        let status = kept.status()?;
        assert_eq!(status["hostname"], "web", "the domain's own command line does not come through GRUB");
        assert_eq!(status["interfaces"][0]["link_up"], true);
        // GRUB had xenstore and console before: both still work, in both directions.
        guest.domain.send_line("status")?;
        guest.domain.wait_for("> status", SOON)?;
        bed.dom0(&format!("xl shutdown {}", guest.domain.domid()))?;
        guest.domain.wait_ended(SOON)?;
        Ok(())
    });
}
