//! Certificates and private keys of a folder, put together in one block.
//!
//! ```text
//!   file fullchain.pem\n
//!   -----BEGIN CERTIFICATE----- …
//!   file privkey.pem\n
//!   -----BEGIN PRIVATE KEY----- …
//! ```
//!
//! PEM allows text between its sections (RFC 7468 §2), and no line of its base64 has a space.

use std::fs;
use std::io;
use std::path::Path;

/// Ends of the names of files that are taken; whatever else lies in the folder is left out.
const ENDS: [&str; 5] = ["pem", "crt", "cer", "key", "chain"];
/// Bytes of a file at most.
const MOST_BYTES: u64 = 64 * 1024;

/// The files of `folder` itself, by name. Links are followed: the client of Let's Encrypt leaves links.
pub(crate) fn bundle(folder: &Path) -> io::Result<Vec<u8>> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.retain(|path| {
        path.extension().is_some_and(|end| ENDS.iter().any(|known| end.eq_ignore_ascii_case(known)))
    });
    paths.sort();
    let mut bundle = Vec::new();
    for path in &paths {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if fs::metadata(path).map_err(named)?.len() > MOST_BYTES {
            return Err(named(io::Error::other("more than 64 KiB, which no certificate has")));
        }
        let name =
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().replace('\n', "?"));
        let bytes = fs::read(path).map_err(named)?;
        bundle.extend_from_slice(format!("file {name}\n").as_bytes());
        bundle.extend_from_slice(&bytes);
        bundle.push(b'\n');
    }
    if bundle.is_empty() {
        return Err(io::Error::other(
            "no certificate and no private key in it: files named *.pem, *.crt, *.cer, *.key",
        ));
    }
    Ok(bundle)
}
