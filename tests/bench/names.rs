//! Names of functions by address: of Xen, of dom0's kernel, of an image.

use std::collections::BTreeMap;

/// The upper bits of an address of Xen's: as in `plugin/qemu.h`.
pub(crate) const XEN: u64 = 0xfff_f82d;
/// From here on addresses are a kernel's, or Xen's.
pub(crate) const KERNEL: u64 = 1 << 63;
/// A script for dom0 that lists the functions of Xen and of dom0's kernel.
pub(crate) const MACHINE: &str =
    "mkdir -p /proc/xen; mount -t xenfs xenfs /proc/xen 2>/dev/null; cat /proc/xen/xensyms /proc/kallsyms";

/// Functions by address.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeMap<u64, String>);

impl Names {
    /// From lines of `nm`, of `kallsyms` and of `xensyms`: address, kind, name. Only text.
    pub(crate) fn of(listing: &str) -> Self {
        let line = |line: &str| {
            let mut fields = line.splitn(3, ' ');
            let address = u64::from_str_radix(fields.next()?, 16).ok()?;
            let is_text = matches!(fields.next()?, "t" | "T" | "w" | "W");
            // Xen has the file before the name of a static function.
            let name = fields.next()?.rsplit('#').next()?;
            is_text.then_some((address, name.to_owned()))
        };
        Self(listing.lines().filter_map(line).collect())
    }

    /// The function that has the address in it.
    pub(crate) fn name(&self, address: u64) -> &str {
        self.0.range(..=address).next_back().map_or("?", |(_, name)| name)
    }

    /// The function that begins at the address.
    #[allow(dead_code, reason = "used by one of the programs that count")]
    pub(crate) fn begins(&self, address: u64) -> Option<&str> {
        self.0.get(&address).map(String::as_str)
    }
}
