//! Tar archives, entry by entry, also such as no program makes.

/// An entry: a header with name and type, and its bytes.
pub(crate) fn entry(kind: u8, name: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let short = &name[..name.len().min(100)];
    header[..short.len()].copy_from_slice(short);
    header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    header[136..148].copy_from_slice(format!("{:011o}\0", 784_111_777).as_bytes());
    header[148..156].fill(b' ');
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut entry = [header.as_slice(), bytes].concat();
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// A record of a pax header.
pub(crate) fn pax(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key, b"=", value, b"\n"].concat();
    // The length counts its own digits.
    let len = (1..)
        .map(|digits| rest.len() + digits)
        .find(|len| len.to_string().len() + rest.len() == *len)
        .unwrap();
    [len.to_string().as_bytes(), &rest].concat()
}

/// An archive of entries.
pub(crate) fn of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// An archive of files.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    of(&files
        .iter()
        .map(|(name, content)| entry(b'0', name.as_bytes(), content.as_bytes()))
        .collect::<Vec<_>>())
}
