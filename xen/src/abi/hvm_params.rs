//! Parameters of an HVM or PVH domain. Header `hvm/params.h`, Xen 4.17.
//!
//! Read and written with `HVMOP_get_param` and `HVMOP_set_param` ([`crate::abi::hvm_op`]). The toolstack writes
//! where the xenstore and console rings are; the guest writes how events interrupt it.

use crate::abi::number::numbers;

numbers! {
    /// `HVM_PARAM_*`: parameters that are of use to a guest.
    ///
    /// Source: `xen/include/public/hvm/params.h`, `HVM_PARAM_CALLBACK_IRQ` and following, Xen 4.17.
    pub enum HvmParam: u32 {
        /// How events interrupt vCPU 0: 0 for not at all, or see [`CallbackType`].
        CallbackIrq = 0 => "HVM_PARAM_CALLBACK_IRQ",
        /// The gfn of xenstore's ring page.
        StorePfn = 1 => "HVM_PARAM_STORE_PFN",
        /// The port of xenstore.
        StoreEvtchn = 2 => "HVM_PARAM_STORE_EVTCHN",
        /// The gfn of the console's ring page.
        ConsolePfn = 17 => "HVM_PARAM_CONSOLE_PFN",
        /// The port of the console.
        ConsoleEvtchn = 18 => "HVM_PARAM_CONSOLE_EVTCHN",
        /// What a triple fault does: a [`crate::abi::sched::ShutdownReason`].
        TripleFaultReason = 31 => "HVM_PARAM_TRIPLE_FAULT_REASON",
        /// Guest-physical address of the VM generation id, which changes when the domain is cloned or restored.
        VmGenerationIdAddr = 34 => "HVM_PARAM_VM_GENERATION_ID_ADDR",
    }
}

/// One past the highest parameter.
pub const HVM_NR_PARAMS: u32 = 39;

numbers! {
    /// `HVM_PARAM_CALLBACK_TYPE_*`: the top byte of [`HvmParam::CallbackIrq`]'s value.
    ///
    /// Source: `xen/include/public/hvm/params.h`, `HVM_PARAM_CALLBACK_TYPE_GSI` and following, Xen 4.17.
    pub enum CallbackType: u8 {
        /// An interrupt line of the I/O APIC, in the low 56 bits.
        Gsi = 0 => "HVM_PARAM_CALLBACK_TYPE_GSI",
        /// An interrupt line of a PCI device.
        PciIntx = 1 => "HVM_PARAM_CALLBACK_TYPE_PCI_INTX",
        /// A vector, in the low 8 bits; see `XENFEAT_hvm_callback_vector`.
        Vector = 2 => "HVM_PARAM_CALLBACK_TYPE_VECTOR",
    }
}

/// The bits of [`HvmParam::CallbackIrq`]'s value that hold the [`CallbackType`].
#[doc(alias = "HVM_PARAM_CALLBACK_IRQ_TYPE_MASK")]
pub const CALLBACK_IRQ_TYPE_MASK: u64 = 0xff00_0000_0000_0000;

/// The value of [`HvmParam::CallbackIrq`] by which events arrive at `vector`.
#[doc(alias = "HVM_PARAM_CALLBACK_TYPE_VECTOR")]
#[must_use]
pub const fn callback_vector(vector: u8) -> u64 {
    u64::from_be_bytes([CallbackType::Vector.raw(), 0, 0, 0, 0, 0, 0, vector])
}

#[cfg(test)]
mod tests {
    use super::{CALLBACK_IRQ_TYPE_MASK, callback_vector};

    #[test]
    fn the_type_is_the_top_byte_and_the_vector_the_lowest() {
        assert_eq!(callback_vector(0xf3), 0x0200_0000_0000_00f3);
        assert_eq!(callback_vector(0xff) & CALLBACK_IRQ_TYPE_MASK, 2 << 56);
    }
}
