//! Takes the kernel out of Debian's `vmlinuz`, and unpacks compressed kernels and modules.
//!
//! Neither Xen (for dom0) nor `xl` in dom0 (for a guest) then has to unpack it, which takes seconds in emulation.

use crate::error::{Doing, Error, Result};
use std::io::Read;

/// Offsets in the header of a bzImage, from Linux's `Documentation/arch/x86/boot.rst`.
const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// Returns the kernel as an ELF file.
pub(crate) fn unpack(bzimage: &[u8]) -> Result<Vec<u8>> {
    let payload = payload(bzimage).ok_or_else(|| Error::host("the kernel is not a bzImage"))?;
    let elf = unpack_stream(payload).doing(|| "unpacking the kernel".into())?;
    if elf.starts_with(b"\x7fELF") { Ok(elf) } else { Err(Error::host("the unpacked kernel is no ELF file")) }
}

/// Unpacks xz, gzip or zstd; other data is returned as it is. Bytes after the stream are ignored: the
/// payload of a bzImage ends with its unpacked length.
pub(crate) fn unpack_stream(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if packed.starts_with(b"\xfd7zXZ\0") {
        lzma_rust2::XzReader::new(packed, false).read_to_end(&mut bytes)?;
    } else if packed.starts_with(b"\x1f\x8b") {
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes)?;
    } else if packed.starts_with(b"\x28\xb5\x2f\xfd") {
        let mut reader = ruzstd::decoding::StreamingDecoder::new(packed).map_err(std::io::Error::other)?;
        reader.read_to_end(&mut bytes)?;
    } else {
        bytes.extend_from_slice(packed);
    }
    Ok(bytes)
}

/// The packed kernel inside a bzImage.
fn payload(bzimage: &[u8]) -> Option<&[u8]> {
    if bzimage.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    let sectors = match usize::from(*bzimage.get(SETUP_SECTORS)?) {
        0 => 4,
        sectors => sectors,
    };
    let start = (sectors + 1) * 512 + word(bzimage, PAYLOAD_OFFSET)?;
    bzimage.get(start..start.checked_add(word(bzimage, PAYLOAD_LENGTH)?)?)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(word)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024 + 16];
        image[SETUP_SECTORS] = 1;
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16u32.to_le_bytes());
        let len = u32::try_from(payload.len()).unwrap();
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&len.to_le_bytes());
        image.extend_from_slice(payload);
        image
    }

    #[test]
    fn payload_is_found_and_unpacked() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"\x7fELF and more").unwrap();
        let image = bzimage(&packer.finish().unwrap());
        assert_eq!(unpack(&image).unwrap(), b"\x7fELF and more");
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        assert!(unpack(b"short").is_err());
        assert!(unpack(&bzimage(b"unknown packing")).is_err());
        let mut cut = bzimage(b"payload");
        cut.truncate(1000);
        assert!(unpack(&cut).is_err());
    }
}
