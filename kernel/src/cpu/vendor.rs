//! Which hypercall instruction a processor has, by the vendor string of CPUID leaf 0.
//!
//! ```text
//!   ebx    edx    ecx                       instruction
//!   Auth   enti   cAMD    AMD               VMMCALL
//!   Hygo   nGen   uine    Hygon             VMMCALL
//!   any other: Intel, Centaur, Zhaoxin …    VMCALL
//! ```
//!
//! Linux makes the same choice (`__xen_hypercall_setfunc` in `arch/x86/xen/enlighten.c`): the other vendor's instruction
//! is an invalid opcode.

/// The instruction that enters the hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HypercallInstruction {
    /// `VMCALL`: VT-x.
    Vmcall,
    /// `VMMCALL`: SVM.
    Vmmcall,
}

impl HypercallInstruction {
    /// The instruction of a vendor; `ebx`, `edx` and `ecx` of CPUID leaf 0, in the order of the string.
    pub(crate) const fn of_vendor(ebx: u32, edx: u32, ecx: u32) -> Self {
        const fn registers(name: [u8; 12]) -> [u32; 3] {
            let [a, b, c, d, e, f, g, h, i, j, k, l] = name;
            [
                u32::from_le_bytes([a, b, c, d]),
                u32::from_le_bytes([e, f, g, h]),
                u32::from_le_bytes([i, j, k, l]),
            ]
        }
        const AMD: [u32; 3] = registers(*b"AuthenticAMD");
        const HYGON: [u32; 3] = registers(*b"HygonGenuine");
        const fn same(a: [u32; 3], b: [u32; 3]) -> bool {
            let ([a0, a1, a2], [b0, b1, b2]) = (a, b);
            a0 == b0 && a1 == b1 && a2 == b2
        }
        let vendor = [ebx, edx, ecx];
        if same(vendor, AMD) || same(vendor, HYGON) { Self::Vmmcall } else { Self::Vmcall }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amd_and_hygon_have_vmmcall_all_others_vmcall() {
        let of = |name: &[u8; 12]| {
            let word = |at: usize| u32::from_le_bytes(name[at..at + 4].try_into().unwrap());
            HypercallInstruction::of_vendor(word(0), word(4), word(8))
        };
        for name in [b"AuthenticAMD", b"HygonGenuine"] {
            assert_eq!(of(name), HypercallInstruction::Vmmcall);
        }
        for name in [b"GenuineIntel", b"CentaurHauls", b"  Shanghai  ", b"AuthenticXXX", b"TransmetaCPU"] {
            assert_eq!(of(name), HypercallInstruction::Vmcall);
        }
    }
}
