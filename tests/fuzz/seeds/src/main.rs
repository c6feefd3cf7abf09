//! Writes the inputs that fuzzing begins with, a folder for each target, in the forms that the heads of the targets
//! describe. Usage: `seeds FOLDER`.

#![forbid(unsafe_code)]

use std::path::Path;
use std::{fs, io};

/// Inputs of one target: a name each.
type Seeds = Vec<(&'static str, Vec<u8>)>;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A record of kind 0 of `rx`: a correct frame.
fn honest(frame: &[u8]) -> Vec<u8> {
    let mut record = vec![0];
    record.extend((frame.len() as u16).to_le_bytes());
    record.extend(frame);
    record
}

/// A question for the address of 10.0.0.1.
fn arp() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9]);
    frame.extend([10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
    frame
}

/// An echo request to 10.0.0.1, with its checksums.
fn ping() -> Vec<u8> {
    let mut frame = vec![0x00, 0x16, 0x3e, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];
    frame.extend([0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0x66, 0xd6, 10, 0, 0, 9, 10, 0, 0, 1]);
    frame.extend([8, 0, 0xf7, 0xfd, 0, 1, 0, 1]);
    frame
}

fn rx() -> Seeds {
    let spoilt = |id: u16, offset: u16, flags: u16, status: u16| {
        let mut input = vec![0, 1];
        input.extend([id, offset, flags, status].iter().flat_map(|short| short.to_le_bytes()));
        input.extend(&honest(&ping())[1..]);
        input.extend([9, 9]);
        input
    };
    let mut talk = vec![0];
    for frame in [arp(), ping()] {
        talk.extend(honest(&frame));
        talk.extend([9, 9]);
    }
    let untrusted = [&[1_u8][..], &talk[1..]].concat();
    vec![
        ("talk", talk),
        ("untrusted", untrusted),
        ("id", spoilt(1, 0, 0, 0)),
        ("bounds", spoilt(0, 4095, 0, 0)),
        ("more", spoilt(0, 0, 4, 0)),
        ("extra", spoilt(0, 0, 8, 0)),
        ("status", spoilt(0, 0, 0, 0xffff)),
        ("slot", vec![0, 2, 0, 0, 0, 0, 8, 0, 60, 0, 2, 1, 0, 0xb4, 5, 1, 0, 0, 0, 9]),
        ("index", vec![0, 3, 1, 1, 0, 0, 9, 9]),
    ]
}

fn tx() -> Seeds {
    let start = |kind: u8, rest: &[u8]| [&[kind][..], rest].concat();
    vec![
        ("sent", start(0, &[0, 60, 0, 0, 200, 0, 9, 2, 0, 2, 1, 9])),
        ("swapped", start(1, &[0, 60, 0, 0, 60, 0, 0, 60, 0, 9, 2, 2, 2, 0, 2, 1, 9])),
        ("twice", start(0, &[0, 60, 0, 0, 60, 0, 9, 2, 0, 2, 0, 9])),
        ("range", start(0, &[0, 60, 0, 9, 1, 0, 1, 0, 0, 9])),
        ("null", start(0, &[0, 60, 0, 9, 1, 0, 0, 1, 0, 9])),
        ("status", start(0, &[0, 60, 0, 9, 1, 0, 0, 0xff, 0xff, 9])),
        ("index", start(0, &[0, 60, 0, 9, 3, 2, 0, 0, 0, 9])),
        ("event", start(0, &[4, 0, 0, 0, 0x80, 0, 60, 0, 9])),
    ]
}

fn xenstore() -> Seeds {
    // Types: 1 directory, 2 read, 4 watch, 11 write, 15 watch event, 16 error. The first request has the id 1.
    vec![
        ("read", vec![3, 0, 9, 1, 2, 1, 2, b'o', b'k', 9, 9]),
        ("directory", vec![3, 1, 9, 1, 1, 1, 4, b'a', 0, b'b', 0, 9, 9]),
        ("write", vec![3, 2, 9, 1, 11, 1, 3, b'O', b'K', 0, 9, 9]),
        ("error", vec![3, 0, 9, 1, 16, 1, 7, b'E', b'N', b'O', b'E', b'N', b'T', 0, 9, 9]),
        ("watch", vec![3, 3, 9, 1, 4, 1, 3, b'O', b'K', 0, 9, 1, 15, 0, 4, b'a', 0, b'1', 0, 9, 9]),
        ("stray", vec![1, 2, 77, 2, b'o', b'k', 9]),
        ("long", [&[3, 0, 9, 0, 16][..], &words(&[2, 1, 0, 4097]), &[9]].concat()),
        ("index", vec![3, 0, 2, 3, 1, 8, 0, 0, 9, 9]),
    ]
}

fn boot() -> Seeds {
    let mut pvh = words(&[0x336e_c578, 1, 0, 0, 0, 0, 4096 + 128, 0, 0, 0, 4096 + 64, 0, 1, 0]);
    pvh.resize(64, 0);
    pvh.extend(words(&[0, 0, 32 << 20, 0, 1, 0]));
    pvh.resize(128, 0);
    pvh.extend(b"ip=192.0.2.1/24 gw=192.0.2.254 pool.rx=64\0");
    let mut multiboot = words(&[104, 0, 1, 16]);
    multiboot.extend(b"ip=dhcp\0");
    multiboot.extend(words(&[6, 64, 24, 0]));
    multiboot.extend(words(&[0, 0, 0x200_0000, 0, 1, 0, 0xfeff_8000, 0, 0x8000, 0, 2, 0]));
    multiboot.extend(words(&[0, 8]));
    let line =
        b"\x02ip=10.0.0.1/24 gw=10.0.0.2 dns=10.0.0.3,10.0.0.4 host=mill log=debug pool.threshold=0 app.x=1";
    vec![
        ("pvh", [&[0][..], &pvh].concat()),
        ("multiboot2", [&[1][..], &multiboot].concat()),
        ("line", line.to_vec()),
        ("wrong", b"\x02ip=300.1.1.1/99 pool.rx=9999999 nonsense =".to_vec()),
    ]
}

fn pool() -> Seeds {
    vec![
        ("around", vec![0, 0, 0, 1, 0, 1, 0, 1, 0]),
        ("grow", [&[0; 40][..], &[2], &[0; 32], &[2, 5, 2, 3, 9, 4, 4, 4]].concat()),
        ("kept", vec![6, 0, 6, 3, 6, 9, 8, 1, 0, 0, 7, 0, 8, 2, 8, 0]),
        ("shrink", vec![3, 20, 0, 0, 4, 4, 8, 0]),
    ]
}

fn frames() -> Seeds {
    // The cut of what was sent ends each record.
    let hello = |stream: u8, seq: u8| vec![1, stream, seq, 7];
    let block = |seq: u8, aux: u8, flags: u8, name: &[u8], bytes: &[u8]| {
        let mut record = vec![2, seq, aux, flags, name.len() as u8];
        record.extend(name);
        record.push(bytes.len() as u8);
        record.extend(bytes);
        record.push(33);
        record
    };
    let all = |records: &[Vec<u8>]| records.concat();
    vec![
        ("blocks", all(&[hello(1, 0), block(1, 0, 0, b"a", b"hello"), block(2, 1, 0, b"", b"")])),
        (
            "again",
            all(&[hello(1, 0), block(1, 0, 0, b"a", b"x"), vec![4], hello(1, 1), block(1, 0, 0, b"a", b"x")]),
        ),
        (
            "parts",
            all(&[
                hello(2, 0),
                block(1, 2, 0, b"a", b"x"),
                block(2, 6, 0, b"a", b"y"),
                block(3, 4, 0, b"a", b"z"),
            ]),
        ),
        ("aborted", all(&[hello(1, 0), block(1, 0, 2, b"a", b"x"), block(2, 0, 0x80, b"a", b"x")])),
        ("refused", all(&[hello(1, 0), block(1, 0, 0, b"r", b"x"), block(3, 0, 0, b"a", b"x")])),
        ("short", all(&[hello(1, 0), block(1, 0, 1, b"a", b"x"), vec![4]])),
        ("raw", [&[0, 8][..], b"MPB1\x01\x01\0\0", &[3]].concat()),
        (
            "ledger",
            all(&[
                vec![3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 5, 5, 5],
                vec![3, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ]),
        ),
    ]
}

fn vchan() -> Seeds {
    let server = |ops: &[u8]| [&[0, 0, 0, 0, 0, 0][..], ops].concat();
    let client = |ops: &[u8]| [&[1, 0, 0, 0, 0, 0, 0][..], ops].concat();
    vec![
        ("server", server(&[3, 50, 9, 4, 3, 200, 9, 4, 9, 4, 5])),
        ("server-prod", server(&[3, 5, 9, 1, 1, 0, 0, 0, 0x80, 2, 9, 5])),
        ("server-cons", server(&[3, 5, 9, 1, 2, 99, 0, 0, 0, 2, 9, 5])),
        ("server-live", server(&[9, 0, 20, 2, 2, 9, 0, 20, 0, 2, 9, 5])),
        ("server-wrap", [&[0, 1, 0xfe, 0xff, 0xff, 0xff][..], &[3, 200, 9, 4, 5]].concat()),
        ("client", client(&[3, 50, 9, 4, 3, 200, 9, 4, 9, 4, 5])),
        ("client-prod", client(&[3, 5, 9, 1, 3, 0, 0, 0, 0x80, 2, 9, 5])),
        ("client-live", client(&[9, 0, 21, 7, 2, 9, 5])),
        ("client-orders", [&[1, 0, 0, 0, 0, 0, 1, 4, 99, 0, 99, 0][..], &[9, 9, 5]].concat()),
        ("client-grefs", [&[1, 0, 0, 0, 0, 0, 1, 6, 99, 9, 0, 0][..], &[9, 9, 5]].concat()),
    ]
}

/// A passive open with all options or none, the ACK of the handshake, then operations.
fn tcp_segments() -> Seeds {
    let expected = |flags: u8, len: u16| {
        let mut segment = vec![0, flags, 0, 0, 0xff, 0xff];
        segment.extend(len.to_le_bytes());
        // No congestion mark, no options.
        segment.extend([1, 0]);
        segment
    };
    let start = |options: &[u8], rest: &[Vec<u8>]| {
        let mut input = vec![1, 0, 64, 0, 255, 200, 200];
        input.extend(words(&[u32::MAX - 3000]));
        input.extend([0xb4, 5]);
        input.extend(words(&[7, 9]));
        input.push(0);
        input.extend(words(&[u32::MAX - 9000]));
        input.extend([0xff, 0xff]);
        input.extend(options);
        input.extend([0, 0]);
        input.extend(expected(16, 0));
        input.extend(rest.concat());
        input
    };
    let (write, read, shutdown) = (vec![2, 0, 32], vec![3], vec![4]);
    let wait = vec![1, 0xff, 0xff, 8];
    let plain = [6, 7, 0xb4, 5];
    vec![
        (
            "talk",
            start(&[0], &[expected(24, 100), read.clone(), write.clone(), expected(16, 0), expected(17, 5)]),
        ),
        ("options", start(&plain, &[write.clone(), wait.clone(), expected(16, 0), shutdown.clone()])),
        ("timeouts", start(&plain, &[write.clone(), wait.clone(), wait.clone(), wait, expected(16, 0)])),
        ("close", start(&[0], &[shutdown, expected(17, 0), expected(16, 0)])),
        ("resets", start(&[0], &[expected(4, 0), expected(2, 0), read, write])),
    ]
}

/// Two engines with the same options; written data arrives, with and without faults.
fn tcp_link() -> Seeds {
    let host = [&[0x70, 0, 64, 200, 200, 0xb4, 5][..], &words(&[u32::MAX - 3000, 7]), &[0, 0]].concat();
    let start = |rest: &[u8]| [&host[..], &host, &words(&[1]), rest].concat();
    // The handshake: a SYN to host 1, a SYN-ACK to host 0, an ACK to host 1.
    let handshake = [0x80, 0x00, 0x80];
    let write = [12, 0, 40];
    let wait = [11, 255, 12];
    let harmed = [&write[..], &[0x88, 0x89, 0x8a, 0x80, 0x80, 0x80, 0, 0, 0, 13, 0x8d], &wait].concat();
    vec![
        ("kind", start(&[&handshake[..], &write, &[0x80; 8], &[0; 8], &[13, 0x8d, 14, 0x8e]].concat())),
        ("harm", start(&[&handshake[..], &harmed, &harmed, &harmed].concat())),
        ("syn", start(&[&[0x88][..], &wait, &wait, &handshake].concat())),
    ]
}

/// Operations of `tls_records`.
fn tls_records() -> Seeds {
    let write = |len: u16| [&[3][..], &len.to_le_bytes()].concat();
    let talk = [&[1][..], &write(100), &[4, 0, 1, 7], &write(20_000), &[8, 200, 6]].concat();
    let changed = [&[1, 2, 50, 0, 7, 0, 1][..], &write(10)].concat();
    let hello = [&[0, 1, 22, 1, 64, 0, 1, 0, 0, 60][..], &[3; 60]].concat();
    let long = [&[0, 1, 22, 3, 0, 64, 1, 0, 255, 255][..], &[0; 100]].concat();
    let alert = vec![1, 1, 21, 3, 2, 0, 2, 40, 1, 20, 3, 1, 0, 1, 1, 23, 3, 5, 0, 1, 2, 3, 4, 5];
    vec![("talk", talk), ("changed", changed), ("hello", hello), ("long", long), ("alert", alert)]
}

/// Answers of a DHCP server.
fn dhcp() -> Seeds {
    let reply = |flags: u8, options: &[u8]| [&[1, 0, flags, options.len() as u8][..], options].concat();
    let (mask, router) = ([1, 4, 255, 255, 255, 0], [3, 4, 10, 0, 2, 2]);
    let lease = [&mask[..], &router].concat();
    let many =
        [&lease[..], &[6, 8, 1, 1, 1, 1, 8, 8, 8, 8, 12, 4], b"mill", &[26, 2, 5, 100, 42, 4, 10, 0, 2, 3]]
            .concat();
    let routes = [&mask[..], &[121, 12, 0, 10, 0, 2, 2, 32, 10, 0, 2, 2, 0, 0, 0, 0]].concat();
    let refused = [1, 128 + 6, 0, 0];
    let twice = |flags, options: &[u8]| [&[0][..], &reply(flags, options), &reply(flags, options)].concat();
    vec![
        ("lease", twice(0, &lease)),
        ("many", twice(0, &many)),
        ("routes", twice(0, &routes)),
        ("overload", twice(2, &many)),
        ("endless", twice(16, &many)),
        ("refused", [&twice(0, &lease)[..], &[0, 200], &refused].concat()),
        ("probed", [&[1][..], &reply(0, &lease), &reply(0, &lease), &[3, 0, 4, 3]].concat()),
        ("any", [&[0, 2, 44, 1][..], &[0xff; 300]].concat()),
    ]
}

/// Operations of `neighbours`.
fn neighbours() -> Seeds {
    let ask = [0, 0, 0, 0, 0, 2, 1];
    let answer = [0, 1, 3, 3, 0, 1, 1];
    let advert =
        [&[1, 1, 2, 1, 56, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 3, 4, 64, 192][..], &[0; 41]].concat();
    vec![
        ("talk", [&[0][..], &ask, &[4, 0], &answer, &[4, 1, 3, 200, 0]].concat()),
        ("claim", [&[1, 0, 0, 3, 3, 1, 2, 1][..], &[3, 100, 0], &[5], &[3, 100, 0]].concat()),
        ("router", [&[0][..], &advert, &[4, 1, 3, 255, 0]].concat()),
        (
            "solicit",
            [&[0, 1, 1, 3, 2, 20][..], &[0; 20], &[2, 28], &[0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]].concat(),
        ),
    ]
}

/// Archives of `pax`.
fn pax() -> Seeds {
    let file = |name: &[u8], len: u16| {
        [&[0, name.len() as u8][..], name, &[0], &len.to_le_bytes(), &vec![b'x'; len.into()]].concat()
    };
    let path = |value: &[u8]| [&[1, 0, 0, value.len() as u8][..], value, &[0, 1]].concat();
    let long = [&[3, 60][..], &[b'n'; 60]].concat();
    vec![
        ("files", [&[200, 0, 99][..], &file(b"index.html", 700), &file(b"a/b", 3)].concat()),
        ("path", [&[7, 0, 99][..], &path(b"a/long/path.html"), &file(b"short", 5)].concat()),
        ("long", [&[9, 1, 0][..], &long, &file(b"short", 2000)].concat()),
        ("failing", [&[0, 2, 0][..], &file(b"large", 4999)].concat()),
    ]
}

/// Operations of `ledger`.
fn ledger() -> Seeds {
    let all: Vec<u8> = (0..8).flat_map(|consumer| [5, consumer, 100, 1, 6, 0, 50, 0]).collect();
    let reserve = |consumer: u8, bytes: u32| [&[0, consumer][..], &bytes.to_le_bytes()].concat();
    vec![
        ("buffers", [&words(&[1 << 20])[..], &all, &[9, 0, 6, 1, 0, 200, 7, 0, 3, 0, 8, 0]].concat()),
        ("full", [words(&[200_000]), reserve(0, 60_000), reserve(1, 60_000), reserve(0, 60_000)].concat()),
    ]
}

fn main() -> io::Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    let targets = [
        ("rx", rx()),
        ("tx", tx()),
        ("xenstore", xenstore()),
        ("boot", boot()),
        ("pool", pool()),
        ("frames", frames()),
        ("vchan", vchan()),
        ("tcp_segments", tcp_segments()),
        ("tcp_link", tcp_link()),
        ("tls_records", tls_records()),
        ("dhcp", dhcp()),
        ("neighbours", neighbours()),
        ("pax", pax()),
        ("ledger", ledger()),
    ];
    for (target, seeds) in targets {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
