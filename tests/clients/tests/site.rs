//! A documentation site of 10,000 files and 200 MB, as its operator would have it: published by `push --watch`, served over
//! https, replaced while clients load it, and back after a restart of the guest without anybody's help.
//!
//! ```text
//!   dom0: push --watch ──► web, app.tls=only ◄── https ── the host: curl, Chromium, wrk
//! ```

use bed::{Bed, Domain, DomainConfig, Options, run_test_with};
use client_tests::authority::Authority;
use client_tests::chromium::Chromium;
use client_tests::documentation::{self, Extent};
use client_tests::{Namespace, Outcome, reports};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

const HOST: &str = "docs.test";
const ADDRESS: &str = "10.0.2.34";
/// From `xl create` to the last line of a start, on a machine with other work.
const BOOT: Duration = Duration::from_secs(120);
/// A push of the whole site under emulation, on a machine with other work.
const PUSH: Duration = Duration::from_secs(900);
/// The guest holds the old release and the new one in five eighths of what its ledger may give out: here half of its heap.
const GUEST_MIB: u32 = 1096;
/// dom0's file system, which has both too, is part of its memory.
const DOM0_MIB: u32 = 1536;
const MACHINE_MIB: u32 = 3072;
/// Files that are compared byte by byte with what was pushed.
const COMPARED: usize = 300;
/// Requests that wrk makes at least with the old release, and then with the new one.
const REQUESTS: u64 = 100;

struct Scene<'a> {
    bed: &'a Bed,
    host: &'a Namespace,
    authority: Authority,
    /// Paths of all files of the site, in the order of their names.
    paths: Vec<String>,
}

#[test]
#[ignore = "takes many minutes: make test-site"]
fn a_site_is_served_replaced_and_back_after_a_reboot() {
    let namespace = Namespace::new().unwrap_or_else(|error| panic!("{error}"));
    let authority = Authority::new(HOST).unwrap_or_else(|error| panic!("{error}"));
    let releases = releases(authority.folder()).unwrap_or_else(|error| panic!("{error}"));
    let options = Options::default().without_snapshot().lan_tap(namespace.script());
    let options = options.memory_mib(MACHINE_MIB).dom0_memory_mib(DOM0_MIB);
    // dom0 reads them from a disk.
    let disk = format!("if=virtio,format=raw,readonly=on,file={}", releases.display());
    let options = options.qemu_arg("-drive").qemu_arg(&disk);
    run_test_with("site", options, |bed| -> Outcome {
        let mut scene = Scene { bed, host: &namespace, authority, paths: Vec::new() };
        scene.prepare()?;
        let root = bed::repository();
        let cmdline = format!("ip={ADDRESS}/24 gw=10.0.2.2 app.push=site,tls app.tls=only app.hsts=31536000");
        let config = DomainConfig::from_file(root.join("xen.cfg"))?.name("web").cmdline(&cmdline);
        let web = bed.create(&config.kernel(root.join("build/web.elf")).memory_mib(GUEST_MIB))?;
        web.wait_for("listening on ", BOOT)?;
        scene.watch()?;
        published(&scene, "1.0")?;
        replaced(&scene)?;
        rebooted(&scene, &web)?;
        let console = web.console();
        assert!(!console.contains("panic") && !console.contains("ERROR"), "{console}");
        Ok(())
    });
}

impl Scene<'_> {
    /// Unpacks both releases in dom0, with the certificate and `push` beside them.
    fn prepare(&mut self) -> Outcome {
        let bed = self.bed;
        bed.put_file(bed::repository().join("build/push"), "/usr/bin/push")?;
        self.dom0(BOOT, "mkdir -p /srv && mount -t tmpfs -o size=90% none /srv && mkdir /srv/tls")?;
        for name in ["site.crt", "site.key"] {
            bed.put_file(self.authority.secrets().join(name), &format!("/srv/tls/{name}"))?;
        }
        self.dom0(PUSH, "tar -x -f /dev/vda -C /srv && mv /srv/1.0 /srv/web")?;
        let root = self.release("1.0");
        list(&root, &root, &mut self.paths)?;
        self.paths.sort();
        fs::write(self.list(), self.paths.join("\n") + "\n")?;
        let bytes: u64 = self
            .paths
            .iter()
            .filter_map(|path| fs::metadata(root.join(path.get(1..)?)).ok())
            .map(|meta| meta.len())
            .sum();
        eprintln!("  the site: {} files, {bytes} bytes", self.paths.len());
        assert!(self.paths.len() == 10_000 && bytes >= 200_000_000);
        Ok(())
    }

    /// Two services of dom0 from now on, as docs/push@.service has them.
    fn watch(&self) -> Outcome {
        for (folder, more) in [("web", "--port site"), ("tls", "--port tls --secret")] {
            let service = format!(
                "(while :; do push /srv/{folder} --domain web --watch {more}; sleep 2; done) </dev/null >/var/log/push-{folder}.log 2>&1 &"
            );
            self.dom0(BOOT, &service)?;
        }
        Ok(())
    }

    fn dom0(&self, limit: Duration, script: &str) -> Outcome<String> {
        let output = self.bed.dom0_within(script, limit)?;
        if output.success() {
            Ok(output.stdout)
        } else {
            Err(format!("`{script}` in dom0: {output:?}").into())
        }
    }

    /// A release on the host.
    fn release(&self, name: &str) -> PathBuf {
        self.authority.folder().join(name)
    }

    /// The paths, one a line.
    fn list(&self) -> PathBuf {
        self.authority.folder().join("paths")
    }

    /// The page at `path`, by curl, which verifies the certificate; nothing without one.
    fn page(&self, path: &str) -> Option<String> {
        let command = format!(
            "curl -sS --fail --max-time 60 --cacert {} --resolve {HOST}:443:{ADDRESS} https://{HOST}{path}",
            self.authority.trusted().display()
        );
        self.host.run(90, &command).ok()
    }

    /// Waits until the first page is of a release.
    fn wait_for_release(&self, release: &str) -> Outcome<Duration> {
        let began = Instant::now();
        let footer = format!("<footer>Release {release}</footer>");
        while !self.page("/").is_some_and(|page| page.contains(&footer)) {
            // One that is refused is not tried again: the source is the same.
            let refused = self.bed.dom0("grep refused /var/log/push-*.log")?.success();
            if refused || began.elapsed() > PUSH {
                let said = self
                    .bed
                    .dom0("tail -n 5 /var/log/push-*.log; xenstore-ls /local/domain/$(xl domid web)/data")?;
                return Err(format!("there is no release {release}: {}", said.stdout).into());
            }
            sleep(Duration::from_secs(1));
        }
        Ok(began.elapsed())
    }

    /// What the guest says in xenstore about its content.
    fn files(&self) -> Outcome<String> {
        Ok(self.dom0(BOOT, "xenstore-read /local/domain/$(xl domid web)/data/content")?.trim().to_owned())
    }
}

/// Writes both releases into a folder, and beside them an archive of both.
fn releases(folder: &Path) -> Outcome<PathBuf> {
    for release in ["1.0", "2.0"] {
        documentation::write(&folder.join(release), Extent::WHOLE, release)?;
    }
    let archive = folder.join("releases.tar");
    let status = Command::new("tar")
        .arg("-c")
        .arg("-f")
        .arg(&archive)
        .arg("-C")
        .arg(folder)
        .args(["1.0", "2.0"])
        .status()?;
    if status.success() { Ok(archive) } else { Err(format!("tar: {status}").into()) }
}

/// All paths below a folder, as a URL has them.
fn list(root: &Path, folder: &Path, paths: &mut Vec<String>) -> Outcome {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, paths)?;
        } else {
            paths.push(format!("/{}", path.strip_prefix(root)?.display()));
        }
    }
    Ok(())
}

/// The site is there, byte by byte, and a browser has nothing to complain about.
fn published(scene: &Scene<'_>, release: &str) -> Outcome {
    let took = scene.wait_for_release(release)?;
    eprintln!("  release {release} is served after {} s", took.as_secs());
    assert_eq!(scene.files()?, scene.paths.len().to_string());
    same_bytes(scene, release)?;
    browsed(scene, release)
}

/// Files from everywhere in the site, over few connections.
fn same_bytes(scene: &Scene<'_>, release: &str) -> Outcome {
    let got = scene.authority.folder().join("got");
    fs::create_dir_all(&got)?;
    let step = scene.paths.len() / COMPARED;
    let some: Vec<_> = scene.paths.iter().step_by(step).collect();
    let config: Vec<_> = some
        .iter()
        .enumerate()
        .map(|(n, path)| format!("url = \"https://{HOST}{path}\"\noutput = \"{}/{n}\"\n", got.display()))
        .collect();
    let file = scene.authority.folder().join("curl");
    fs::write(&file, config.concat())?;
    let command = format!(
        "curl -sS --fail --cacert {} --resolve {HOST}:443:{ADDRESS} --config {}",
        scene.authority.trusted().display(),
        file.display()
    );
    scene.host.run(600, &command)?;
    for (n, path) in some.iter().enumerate() {
        let expected = fs::read(scene.release(release).join(path.get(1..).unwrap_or_default()))?;
        assert!(fs::read(got.join(n.to_string()))? == expected, "{path} differs");
    }
    eprintln!("  {} files of release {release} are the same, byte by byte", some.len());
    Ok(())
}

/// The contents, a chapter, two pages of it in turn, and a page that is not there. What the title says is what the script of
/// the page has found: headings, pictures, pages that the chapter's search knows, the style, the release.
fn browsed(scene: &Scene<'_>, release: &str) -> Outcome {
    let folder = scene.authority.folder().join(format!("chromium-{}", scene.files()?));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let mut browser = Chromium::start(scene.host, &folder, &scene.authority.trusted(), (HOST, ADDRESS))?;
    let known = Extent::WHOLE.pages;
    let visits = [
        ("/", format!("0 0 0 true Release {release}")),
        ("/chapter-07/", format!("0 0 0 true Release {release}")),
        ("/chapter-07/page-000.html#h5", format!("8 1 {known} true Release {release}")),
        ("/chapter-37/page-214.html", format!("8 1 {known} true Release {release}")),
    ];
    let mut replies = 0;
    for (path, title) in &visits {
        let visit = browser.visit(&format!("https://{HOST}{path}"))?;
        assert_eq!(&visit.title, title, "{path}: {visit:?}");
        assert!(visit.complaints.is_empty(), "{path}: {visit:?}");
        assert!(
            visit.replies.iter().all(|(_, status, tls)| *status == 200 && tls == "TLS 1.3"),
            "{path}: {visit:?}"
        );
        replies += visit.replies.len();
    }
    eprintln!(
        "  Chromium: {} pages of release {release}, {replies} replies, nothing on the console",
        visits.len()
    );
    Ok(())
}

/// The next release takes the place of the present one while wrk loads all of its files over TLS.
fn replaced(scene: &Scene<'_>) -> Outcome {
    let folder = scene.authority.folder();
    let (script, report) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wrk.lua"), folder.join("wrk"));
    // It ends when it is told to, and reports then.
    let command = format!(
        "exec wrk -t 1 -c 8 -d {}s --timeout 120s -s {} https://{ADDRESS}:443 -- {} {HOST} >{} 2>&1",
        2 * PUSH.as_secs(),
        script.display(),
        scene.list().display(),
        report.display()
    );
    let before = requests(scene)?;
    let mut wrk = scene.host.spawn(&command)?;
    while requests(scene)? < before + REQUESTS {
        sleep(Duration::from_secs(1));
        assert!(wrk.try_wait()?.is_none(), "{}", fs::read_to_string(&report)?);
    }
    scene.dom0(BOOT, "cd /srv && mv web old && mv 2.0 web")?;
    let took = scene.wait_for_release("2.0")?;
    let after = requests(scene)?;
    while requests(scene)? < after + REQUESTS {
        sleep(Duration::from_secs(1));
        assert!(wrk.try_wait()?.is_none(), "{}", fs::read_to_string(&report)?);
    }
    let ended = Command::new("kill").args(["-INT", &wrk.id().to_string()]).status()?;
    assert!(ended.success());
    wrk.wait()?;
    let done = reports::wrk(&fs::read_to_string(&report)?)?;
    eprintln!("  replaced after {} s under wrk: {done} requests, none failed", took.as_secs());
    same_bytes(scene, "2.0")?;
    browsed(scene, "2.0")
}

/// Replies that the guest has counted so far, by its own metrics on the port for them.
fn requests(scene: &Scene<'_>) -> Outcome<u64> {
    let metrics =
        scene.host.run(90, &format!("curl -sS --fail --max-time 60 http://{ADDRESS}:9090/status.json"))?;
    let status: serde_json::Value = serde_json::from_str(&metrics)?;
    Ok(status
        .pointer("/http/replies_2xx")
        .and_then(serde_json::Value::as_u64)
        .ok_or("no count of requests")?)
}

/// After `xl reboot` the guest says that it has nothing; both services see another guest, and everything is there again.
fn rebooted(scene: &Scene<'_>, web: &Domain) -> Outcome {
    // Each change of what xenstore says about the content, from now on.
    scene.dom0(
        BOOT,
        "(last=; while :; do
             now=\"$(xl domid web 2>/dev/null) $(xenstore-read /local/domain/$(xl domid web 2>/dev/null)/data/content 2>/dev/null)\"
             [ \"$now\" = \"$last\" ] || echo \"$now\"; last=$now; sleep 0.1
         done) </dev/null >/var/log/content 2>/dev/null &",
    )?;
    scene.dom0(BOOT, "xl reboot web")?;
    let began = Instant::now();
    // Another domain on the same console.
    while web.console().matches("listening on ").count() < 2 {
        assert!(began.elapsed() < BOOT, "{}", web.console());
        sleep(Duration::from_millis(200));
    }
    while !scene.dom0(BOOT, "cat /var/log/content")?.lines().any(|line| line.ends_with(" 0")) {
        assert!(began.elapsed() < BOOT, "the guest does not say that it has no content");
        sleep(Duration::from_millis(200));
    }
    published(scene, "2.0")?;
    let told = scene.dom0(BOOT, "cat /var/log/content")?;
    eprintln!("  domain and number of files, as xenstore had them: {}", told.trim().replace('\n', "; "));
    Ok(())
}
