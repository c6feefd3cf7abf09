//! The network protocol: requests, responses, extras, the control ring, and the sizes of the three rings.

use crate::Table;
use crate::table::{flags, layout, numbers, values};
use xen::abi::io_netif::{
    NETIF_CTRL_RING_SIZE, NETIF_MAX_TX_SIZE, NETIF_NR_SLOTS_MIN, NETIF_RX_RING_SIZE, NETIF_RX_SLOT_BYTES,
    NETIF_TX_RING_SIZE, NETIF_TX_SLOT_BYTES, NetRxFlags, NetTxFlags, NetifCtrlRequest, NetifCtrlResponse,
    NetifCtrlStatus, NetifCtrlType, NetifExtra, NetifExtraFlags, NetifExtraGso, NetifExtraHash,
    NetifExtraInfo, NetifExtraType, NetifGref, NetifGrefFlags, NetifGsoType, NetifHashAlgorithm,
    NetifHashFlags, NetifHashType, NetifRsp, NetifRxRequest, NetifRxResponse, NetifTxRequest,
    NetifTxResponse,
};
use xen::abi::io_ring::const_ring_size;
use xen::ids::PAGE_SIZE;

pub(super) fn add(table: &mut Table) {
    rings(table);
    packets(table);
    extras(table);
    extra_bytes(table);
    ctrl(table);
}

fn rings(table: &mut Table) {
    values!(table,
        "XEN_NETIF_NR_SLOTS_MIN" => NETIF_NR_SLOTS_MIN,
        "XEN_NETIF_MAX_TX_SIZE" => NETIF_MAX_TX_SIZE,
        "sizeof(union netif_tx_sring_entry)" => NETIF_TX_SLOT_BYTES,
        "sizeof(union netif_rx_sring_entry)" => NETIF_RX_SLOT_BYTES,
        "sizeof(union xen_netif_ctrl_sring_entry)" => size_of::<NetifCtrlRequest>(),
        "__CONST_RING_SIZE(netif_tx, 4096)" => NETIF_TX_RING_SIZE,
        "__CONST_RING_SIZE(netif_rx, 4096)" => NETIF_RX_RING_SIZE,
        "__CONST_RING_SIZE(xen_netif_ctrl, 4096)" => NETIF_CTRL_RING_SIZE,
        "__CONST_RING_SIZE(xen_netif_ctrl, 4096)" => const_ring_size(PAGE_SIZE, size_of::<NetifCtrlRequest>()),
        "__CONST_RING_SIZE(netif_tx, 8192)" => const_ring_size(8192, NETIF_TX_SLOT_BYTES),
        "__CONST_RING_SIZE(netif_tx, 65536)" => const_ring_size(65536, NETIF_TX_SLOT_BYTES),
        "__CONST_RING_SIZE(netif_tx, 63 + 12)" => const_ring_size(63 + 12, NETIF_TX_SLOT_BYTES),
        "__CONST_RING_SIZE(netif_tx, 64 + 12)" => const_ring_size(64 + 12, NETIF_TX_SLOT_BYTES),
        "__CONST_RING_SIZE(netif_tx, 63 + 24)" => const_ring_size(63 + 24, NETIF_TX_SLOT_BYTES),
    );
}

fn packets(table: &mut Table) {
    layout!(table, "struct netif_tx_request" => NetifTxRequest { gref, offset, flags, id, size });
    layout!(table, "struct netif_tx_response" => NetifTxResponse { id, status });
    layout!(table, "struct netif_rx_request" => NetifRxRequest { id, pad, gref });
    layout!(table, "struct netif_rx_response" => NetifRxResponse { id, offset, flags, status });
    numbers!(table, NetifRsp);
    flags!(
        table,
        NetTxFlags {
            CSUM_BLANK: "NETTXF_csum_blank",
            DATA_VALIDATED: "NETTXF_data_validated",
            MORE_DATA: "NETTXF_more_data",
            EXTRA_INFO: "NETTXF_extra_info",
        }
    );
    flags!(
        table,
        NetRxFlags {
            DATA_VALIDATED: "NETRXF_data_validated",
            CSUM_BLANK: "NETRXF_csum_blank",
            MORE_DATA: "NETRXF_more_data",
            EXTRA_INFO: "NETRXF_extra_info",
            GSO_PREFIX: "NETRXF_gso_prefix",
        }
    );
}

fn extras(table: &mut Table) {
    layout!(table, "struct netif_extra_info" => NetifExtraInfo { kind as "type", flags, u });
    numbers!(table, NetifExtraType, NetifGsoType);
    flags!(table, NetifExtraFlags { MORE: "XEN_NETIF_EXTRA_FLAG_MORE" });
    values!(table, "XEN_NETIF_EXTRA_TYPE_MAX - XEN_NETIF_EXTRA_TYPE_NONE - 1" => NetifExtraType::C_NAMES.len());
}

/// The union of an extra: where each of its fields is, found by writing it and looking for its bytes.
fn extra_bytes(table: &mut Table) {
    let gso = |size, kind, features| NetifExtra::Gso(NetifExtraGso { size, kind, features });
    let hash = |kind, algorithm, value| NetifExtra::Hash(NetifExtraHash { kind, algorithm, value });
    let (no_gso, no_type) = (NetifGsoType::None, NetifHashType::Ipv4);
    let (tcp, no_hash) = (NetifHashType::Ipv4Tcp, NetifHashAlgorithm::None);
    values!(table,
        "offsetof(struct netif_extra_info, u.gso.size)" => first_set(gso(0xffff, no_gso, 0)),
        "offsetof(struct netif_extra_info, u.gso.type)" => first_set(gso(0, NetifGsoType::Tcpv4, 0)),
        "offsetof(struct netif_extra_info, u.gso.features)" => first_set(gso(0, no_gso, 0xffff)),
        "offsetof(struct netif_extra_info, u.mcast.addr)" => first_set(NetifExtra::McastAdd([1; 6])),
        "offsetof(struct netif_extra_info, u.mcast.addr[5])" => first_set(NetifExtra::McastDel([0, 0, 0, 0, 0, 1])),
        "offsetof(struct netif_extra_info, u.hash.type)" => first_set(hash(tcp, no_hash, 0)),
        "offsetof(struct netif_extra_info, u.hash.algorithm)"
            => first_set(hash(no_type, NetifHashAlgorithm::Toeplitz, 0)),
        "offsetof(struct netif_extra_info, u.hash.value)" => first_set(hash(no_type, no_hash, 0xffff_ffff)),
        "offsetof(struct netif_extra_info, u.hash.value[3])" => first_set(hash(no_type, no_hash, 0xff00_0000)),
    );
}

/// Index of the first byte after the type that is not zero; 8 if there is none.
fn first_set(extra: NetifExtra) -> usize {
    let bytes = extra.to_bytes(NetifExtraFlags::empty());
    bytes.iter().skip(1).position(|byte| *byte != 0).map_or(bytes.len(), |at| at.saturating_add(1))
}

fn ctrl(table: &mut Table) {
    layout!(table, "struct xen_netif_ctrl_request" => NetifCtrlRequest { id, kind as "type", data });
    layout!(table, "struct xen_netif_ctrl_response" => NetifCtrlResponse { id, kind as "type", status, data });
    layout!(table, "struct xen_netif_gref" => NetifGref { gref as "ref", flags, status });
    numbers!(table, NetifCtrlType, NetifCtrlStatus, NetifHashType, NetifHashAlgorithm);
    flags!(
        table,
        NetifHashFlags {
            IPV4: "XEN_NETIF_CTRL_HASH_TYPE_IPV4",
            IPV4_TCP: "XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP",
            IPV6: "XEN_NETIF_CTRL_HASH_TYPE_IPV6",
            IPV6_TCP: "XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP",
        }
    );
    flags!(table, NetifGrefFlags { READONLY: "XEN_NETIF_CTRLF_GREF_readonly" });
}
