//! The program itself: what it refuses, its exit codes, and what it says. It is built without the channel here, so that a
//! command line that is right ends where the channel would be offered.
#![allow(missing_docs, reason = "tests stop where something is wrong")]

mod support;

use receive::sink::{self, folder};
use receive::{Disk, Keeper};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};
use support::Folder;

fn receive(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_receive")).args(arguments).output().unwrap()
}

/// The exit code, and what was said on the standard error.
fn ends(arguments: &[&str]) -> (i32, String) {
    let output = receive(arguments);
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let folder = Folder::new();
    let dir = folder.0.to_str().unwrap();
    let to = |more: &[&'static str]| [&["--dir", dir], more].concat();
    let long = "x".repeat(17);
    let cases: [Vec<&str>; 13] = [
        vec![],
        to(&["--exec", "sh"]),
        to(&["--socket", "/run/s"]),
        to(&["--keep", "-1"]),
        vec!["--exec", "sh", "--keep", "3"],
        vec!["--exec", "no-such-program-here"],
        vec!["--exec", "/no/such/program"],
        to(&["--", "an", "argument"]),
        to(&["--name", "a/b"]),
        to(&["--name", ""]),
        vec!["--dir", dir, "--name", &long],
        to(&["--ring", "0"]),
        to(&["--count", "0"]),
    ];
    for arguments in cases {
        let (code, said) = ends(&arguments);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(!said.is_empty(), "{arguments:?}");
    }
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_place_that_cannot_be_used_ends_with_7() {
    let folder = Folder::new();
    let file = folder.0.join("file");
    fs::write(&file, "x").unwrap();
    let (code, said) = ends(&["--dir", file.to_str().unwrap()]);
    assert!(code == 7 && said.contains("file/.receive: "), "{code} {said}");
    let (code, said) = ends(&["--exec", "sh", "--state", file.join("state").to_str().unwrap()]);
    assert!(code == 7 && said.contains("file/state"), "{code} {said}");
}

#[test]
fn a_state_in_use_and_a_damaged_one_end_with_7() {
    let folder = Folder::new();
    let (dir, own) = (folder.0.to_str().unwrap(), folder.0.join(folder::OWN));
    let keeper =
        Keeper::open(&own, Box::new(sink::Folder::new(folder.0.clone(), 1)), Disk::default()).unwrap();
    let (code, said) = ends(&["--dir", dir]);
    assert!(code == 7 && said.contains("another receive uses this state"), "{code} {said}");
    drop(keeper);
    fs::write(own.join("state"), "no state").unwrap();
    let (code, said) = ends(&["--dir", dir]);
    assert!(code == 7 && said.contains("state: damaged; remove it"), "{code} {said}");
}

#[test]
fn without_a_channel_it_ends_with_8_and_json_says_so() {
    let folder = Folder::new();
    let dir = folder.0.to_str().unwrap();
    let (code, said) = ends(&["--dir", dir]);
    assert!(code == 8 && said.starts_with("receive: no channel: "), "{code} {said}");
    let output = receive(&["--dir", dir, "--json"]);
    assert_eq!(output.status.code(), Some(8));
    let lines: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    let [error] = lines.as_slice() else { panic!("{output:?}") };
    assert_eq!((error["event"].as_str(), error["code"].as_u64()), (Some("error"), Some(8)), "{error}");
    assert_eq!(error["error"].as_str(), Some("channel"), "{error}");
}
