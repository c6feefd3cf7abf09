//! An image without Xen prints one line on the debug port and ends with a distinct exit code; and no image contains
//! the path where it was built.

use domu_tests::Outcome;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// `isa-debug-exit` turns a written value into `code << 1 | 1`; the guest writes 35.
const NO_XEN: i32 = 71;
/// It takes a fraction of a second.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn plain_qemu_is_told_that_there_is_no_xen() -> Outcome {
    for image in ["web", "echo"] {
        let kernel = bed::repository().join("build").join(format!("{image}.elf"));
        let said = std::env::temp_dir().join(format!("millpond-{}-{image}.log", std::process::id()));
        let mut qemu = Command::new("qemu-system-x86_64")
            .args(["-accel", "tcg", "-cpu", "max", "-m", "64M", "-nodefaults", "-no-user-config"])
            .args(["-display", "none", "-monitor", "none", "-no-reboot"])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"])
            .arg("-debugcon")
            .arg(format!("file:{}", said.display()))
            .arg("-kernel")
            .arg(&kernel)
            .stdin(Stdio::null())
            .spawn()?;
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match qemu.try_wait()? {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    qemu.kill()?;
                    break qemu.wait()?;
                }
                None => thread::sleep(Duration::from_millis(50)),
            }
        };
        let text = fs::read_to_string(&said)?;
        fs::remove_file(&said)?;
        assert_eq!(status.code(), Some(NO_XEN), "{image}: {status}, having said {text:?}");
        let expected =
            "millpond: this guest does not run on Xen; start it with xl create, or with make run\n";
        // SeaBIOS writes to the same port before the guest does.
        assert!(text.ends_with(expected), "{image}: {text:?}");
        assert_eq!(text.matches("millpond").count(), 1, "{image}: one line, not more: {text:?}");
    }
    Ok(())
}

/// The short form of `make reproduce`, which builds everything twice: a path of this machine in an image is the
/// reason for a difference.
#[test]
fn images_do_not_tell_where_they_were_built() -> Outcome {
    let folders = ["HOME", "CARGO_HOME", "CARGO_TARGET_DIR"].map(std::env::var_os);
    let mut folders: Vec<_> =
        folders.into_iter().flatten().map(|folder| folder.into_encoded_bytes()).collect();
    folders.push(bed::repository().into_os_string().into_encoded_bytes());
    folders.extend([b".cargo/registry".to_vec(), b"/rustup/".to_vec()]);
    for image in ["web", "echo", "probe"] {
        let bytes = fs::read(bed::repository().join("build").join(format!("{image}.elf")))?;
        for folder in folders.iter().filter(|folder| folder.len() > 1) {
            // With a slash: `/root` alone may be a part of something else.
            let folder = [folder.strip_suffix(b"/").unwrap_or(folder), b"/"].concat();
            let found = bytes.windows(folder.len()).position(|window| window == folder);
            let around = found.map(|at| String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 120)]));
            assert!(found.is_none(), "{image}.elf has {:?}", around.unwrap_or_default());
        }
    }
    Ok(())
}
