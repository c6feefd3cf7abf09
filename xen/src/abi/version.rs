//! Which Xen this is and what it can do. Header `version.h`, Xen 4.17.
//!
//! A guest asks with `HYPERVISOR_xen_version(command, buffer)`. Strings end with a zero byte or with their
//! buffer.

use crate::abi::layout::assert_layout;
use crate::abi::number::numbers;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

numbers! {
    /// `XENVER_*`: commands of `HYPERVISOR_xen_version`.
    ///
    /// Source: `xen/include/public/version.h`, `XENVER_version` and following, Xen 4.17.
    pub enum XenVersionOp: u32 {
        /// No buffer. Returns a [`XenVersion`].
        Version = 0 => "XENVER_version",
        /// Buffer: [`EXTRAVERSION_BYTES`] of a string such as ".5".
        Extraversion = 1 => "XENVER_extraversion",
        /// Buffer: [`XenCompileInfo`].
        CompileInfo = 2 => "XENVER_compile_info",
        /// Buffer: [`CAPABILITIES_INFO_BYTES`] of a string such as "xen-3.0-x86_64".
        Capabilities = 3 => "XENVER_capabilities",
        /// Buffer: [`CHANGESET_INFO_BYTES`] of a string.
        Changeset = 4 => "XENVER_changeset",
        /// Buffer: the start of Xen's hole in a PV guest's address space.
        PlatformParameters = 5 => "XENVER_platform_parameters",
        /// Buffer: [`XenFeatureInfo`].
        GetFeatures = 6 => "XENVER_get_features",
        /// No buffer. Returns bytes of a page.
        Pagesize = 7 => "XENVER_pagesize",
        /// Buffer: 16 bytes, the domain's UUID.
        GuestHandle = 8 => "XENVER_guest_handle",
        /// Xen's command line; for dom0.
        Commandline = 9 => "XENVER_commandline",
        /// Xen's build id; for dom0.
        BuildId = 10 => "XENVER_build_id",
    }
}

/// Bytes of the string of [`XenVersionOp::Extraversion`].
#[doc(alias = "XEN_EXTRAVERSION_LEN")]
pub const EXTRAVERSION_BYTES: usize = 16;
/// Bytes of the string of [`XenVersionOp::Capabilities`].
#[doc(alias = "XEN_CAPABILITIES_INFO_LEN")]
pub const CAPABILITIES_INFO_BYTES: usize = 1024;
/// Bytes of the string of [`XenVersionOp::Changeset`].
#[doc(alias = "XEN_CHANGESET_INFO_LEN")]
pub const CHANGESET_INFO_BYTES: usize = 64;

/// A release of Xen, such as 4.17.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct XenVersion {
    /// The number before the point.
    pub major: u16,
    /// The number after the point.
    pub minor: u16,
}

impl XenVersion {
    /// Reads the answer of [`XenVersionOp::Version`]: `major << 16 | minor`.
    #[must_use]
    pub const fn from_raw(raw: u32) -> Self {
        let [minor0, minor1, major0, major1] = raw.to_le_bytes();
        Self { major: u16::from_le_bytes([major0, major1]), minor: u16::from_le_bytes([minor0, minor1]) }
    }
}

impl core::fmt::Display for XenVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// `XENVER_compile_info`: how Xen was built, four strings; 144 bytes.
///
/// | offset | size | field          | written by | meaning |
/// |-------:|-----:|----------------|------------|---------|
/// |      0 |   64 | compiler       | Xen        | by which compiler |
/// |     64 |   16 | compile_by     | Xen        | by whom |
/// |     80 |   32 | compile_domain | Xen        | where |
/// |    112 |   32 | compile_date   | Xen        | when |
///
/// Source: `xen/include/public/version.h`, `struct xen_compile_info`, Xen 4.17.
#[doc(alias = "xen_compile_info")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenCompileInfo {
    /// By which compiler.
    pub compiler: [u8; 64],
    /// By whom.
    pub compile_by: [u8; 16],
    /// Where.
    pub compile_domain: [u8; 32],
    /// When.
    pub compile_date: [u8; 32],
}
assert_layout!(XenCompileInfo, 144, { compiler: 0, compile_by: 64, compile_domain: 80, compile_date: 112 });

/// `XENVER_get_features`: 32 bits of Xen's features; 8 bytes.
///
/// | offset | size | field      | written by | meaning |
/// |-------:|-----:|------------|------------|---------|
/// |      0 |    4 | submap_idx | in         | which 32: 0 is the only one |
/// |      4 |    4 | submap     | out        | [`crate::abi::features::XenFeatures`] |
///
/// Source: `xen/include/public/version.h`, `struct xen_feature_info`, Xen 4.17.
#[doc(alias = "xen_feature_info")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenFeatureInfo {
    /// In: which 32 features.
    pub submap_idx: u32,
    /// Out: the features.
    pub submap: u32,
}
assert_layout!(XenFeatureInfo, 8, { submap_idx: 0, submap: 4 });

#[cfg(test)]
mod tests {
    use super::XenVersion;
    use alloc::string::ToString;

    #[test]
    fn a_version_is_two_halves_and_ordered() {
        let version = XenVersion::from_raw(0x0004_0011);
        assert_eq!(version.to_string(), "4.17");
        assert!(version < XenVersion { major: 4, minor: 18 } && version > XenVersion { major: 3, minor: 99 });
    }
}
