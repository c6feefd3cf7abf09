//! What a guest shares with other domains, apart from the network: rings, xenbus, xenstore, console, vchan.

use crate::Table;
use crate::table::{flags, layout, numbers, values};
use core::mem::offset_of;
use vchan::layout::{BLOCKING, Libxenvchan, Ring};
use xen::abi::errno::Errno;
use xen::abi::io_console::{self, XenconsInterface};
use xen::abi::io_libxenvchan::{self, RingShared, VchanInterface, VchanNotify};
use xen::abi::io_ring::{self, SringHeader};
use xen::abi::io_xenbus::XenbusState;
use xen::abi::io_xs_wire::{
    self, XENSTORE_ABS_PATH_MAX, XENSTORE_PAYLOAD_MAX, XENSTORE_REL_PATH_MAX, XENSTORE_RING_SIZE, XSD_ERRORS,
    XenstoreConnection, XenstoreDomainInterface, XenstoreError, XenstoreServerFeatures, XsdSockmsg,
    XsdSockmsgType,
};

pub(super) fn add(table: &mut Table) {
    ring(table);
    numbers!(table, XenbusState);
    xs_wire(table);
    xsd_errors(table);
    console(table);
    libxenvchan(table);
}

fn ring(table: &mut Table) {
    // The C struct goes on with one slot; the header is what comes before it.
    values!(table,
        "offsetof(struct netif_tx_sring, req_prod)" => core::mem::offset_of!(SringHeader, req_prod),
        "offsetof(struct netif_tx_sring, req_event)" => core::mem::offset_of!(SringHeader, req_event),
        "offsetof(struct netif_tx_sring, rsp_prod)" => core::mem::offset_of!(SringHeader, rsp_prod),
        "offsetof(struct netif_tx_sring, rsp_event)" => core::mem::offset_of!(SringHeader, rsp_event),
        "offsetof(struct netif_tx_sring, pvt)" => core::mem::offset_of!(SringHeader, pvt),
        "offsetof(struct netif_tx_sring, __pad)" => core::mem::offset_of!(SringHeader, pad),
        "offsetof(struct netif_tx_sring, ring)" => size_of::<SringHeader>(),
        "offsetof(struct netif_tx_sring, req_prod)" => io_ring::offset::REQ_PROD,
        "offsetof(struct netif_tx_sring, req_event)" => io_ring::offset::REQ_EVENT,
        "offsetof(struct netif_tx_sring, rsp_prod)" => io_ring::offset::RSP_PROD,
        "offsetof(struct netif_tx_sring, rsp_event)" => io_ring::offset::RSP_EVENT,
        "offsetof(struct netif_tx_sring, ring)" => io_ring::offset::RING,
        "offsetof(struct netif_rx_sring, ring)" => io_ring::offset::RING,
        "offsetof(struct xen_netif_ctrl_sring, ring)" => io_ring::offset::RING,
        "1 << XEN_PAGE_SHIFT" => xen::ids::PAGE_SIZE,
    );
}

fn xs_wire(table: &mut Table) {
    numbers!(table, XsdSockmsgType, XenstoreConnection, XenstoreError);
    flags!(
        table,
        XenstoreServerFeatures {
            RECONNECTION: "XENSTORE_SERVER_FEATURE_RECONNECTION",
            ERROR: "XENSTORE_SERVER_FEATURE_ERROR",
        }
    );
    layout!(table, "struct xsd_sockmsg" => XsdSockmsg { kind as "type", req_id, tx_id, len });
    layout!(table, "struct xenstore_domain_interface" => XenstoreDomainInterface {
        req, rsp, req_cons, req_prod, rsp_cons, rsp_prod, server_features, connection, error
    });
    values!(table,
        "XENSTORE_RING_SIZE" => XENSTORE_RING_SIZE,
        "XENSTORE_PAYLOAD_MAX" => XENSTORE_PAYLOAD_MAX,
        "XENSTORE_ABS_PATH_MAX" => XENSTORE_ABS_PATH_MAX,
        "XENSTORE_REL_PATH_MAX" => XENSTORE_REL_PATH_MAX,
        "offsetof(struct xenstore_domain_interface, req)" => io_xs_wire::offset::REQ,
        "offsetof(struct xenstore_domain_interface, rsp)" => io_xs_wire::offset::RSP,
        "offsetof(struct xenstore_domain_interface, req_cons)" => io_xs_wire::offset::REQ_CONS,
        "offsetof(struct xenstore_domain_interface, req_prod)" => io_xs_wire::offset::REQ_PROD,
        "offsetof(struct xenstore_domain_interface, rsp_cons)" => io_xs_wire::offset::RSP_CONS,
        "offsetof(struct xenstore_domain_interface, rsp_prod)" => io_xs_wire::offset::RSP_PROD,
        "offsetof(struct xenstore_domain_interface, server_features)" => io_xs_wire::offset::SERVER_FEATURES,
        "offsetof(struct xenstore_domain_interface, connection)" => io_xs_wire::offset::CONNECTION,
        "offsetof(struct xenstore_domain_interface, error)" => io_xs_wire::offset::ERROR,
    );
}

/// The errors that xenstore sends by name: the same ones, in the same order, with the same names.
fn xsd_errors(table: &mut Table) {
    values!(table, "sizeof(xsd_errors) / sizeof(xsd_errors[0])" => XSD_ERRORS.len());
    for (index, errno) in XSD_ERRORS.into_iter().enumerate() {
        let rust = format!("XSD_ERRORS[{index}] = {errno:?}");
        table.value(format!("xsd_errors[{index}].errnum"), &rust, errno.raw());
        let name = errno.name().unwrap_or_default();
        table.value(format!("strcmp(xsd_errors[{index}].errstring, \"{name}\") == 0"), &rust, true);
    }
    table.value("XEN_ENOENT", "xsd_error(b\"ENOENT\")", xsd_error_number(b"ENOENT"));
}

fn xsd_error_number(name: &[u8]) -> u32 {
    io_xs_wire::xsd_error(name).map_or(0, Errno::raw)
}

fn console(table: &mut Table) {
    layout!(table, "struct xencons_interface" => XenconsInterface {
        r#in as "in", out, in_cons, in_prod, out_cons, out_prod
    });
    values!(table,
        "sizeof(((struct xencons_interface *)0)->in)" => io_console::IN_BYTES,
        "sizeof(((struct xencons_interface *)0)->out)" => io_console::OUT_BYTES,
        "offsetof(struct xencons_interface, in)" => io_console::offset::IN,
        "offsetof(struct xencons_interface, out)" => io_console::offset::OUT,
        "offsetof(struct xencons_interface, in_cons)" => io_console::offset::IN_CONS,
        "offsetof(struct xencons_interface, in_prod)" => io_console::offset::IN_PROD,
        "offsetof(struct xencons_interface, out_cons)" => io_console::offset::OUT_CONS,
        "offsetof(struct xencons_interface, out_prod)" => io_console::offset::OUT_PROD,
    );
}

fn libxenvchan(table: &mut Table) {
    flags!(table, VchanNotify { WRITE: "VCHAN_NOTIFY_WRITE", READ: "VCHAN_NOTIFY_READ" });
    layout!(table, "struct ring_shared" => RingShared { cons, prod });
    layout!(table, "struct vchan_interface" => VchanInterface {
        left, right, left_order, right_order, cli_live, srv_live, cli_notify, srv_notify
    });
    layout!(table, "struct libxenvchan_ring" => Ring { shr, buffer, order });
    values!(table,
        "offsetof(struct vchan_interface, left.cons)" => io_libxenvchan::offset::LEFT_CONS,
        "offsetof(struct vchan_interface, left.prod)" => io_libxenvchan::offset::LEFT_PROD,
        "offsetof(struct vchan_interface, right.cons)" => io_libxenvchan::offset::RIGHT_CONS,
        "offsetof(struct vchan_interface, right.prod)" => io_libxenvchan::offset::RIGHT_PROD,
        "offsetof(struct vchan_interface, left_order)" => io_libxenvchan::offset::LEFT_ORDER,
        "offsetof(struct vchan_interface, right_order)" => io_libxenvchan::offset::RIGHT_ORDER,
        "offsetof(struct vchan_interface, cli_live)" => io_libxenvchan::offset::CLI_LIVE,
        "offsetof(struct vchan_interface, srv_live)" => io_libxenvchan::offset::SRV_LIVE,
        "offsetof(struct vchan_interface, cli_notify)" => io_libxenvchan::offset::CLI_NOTIFY,
        "offsetof(struct vchan_interface, srv_notify)" => io_libxenvchan::offset::SRV_NOTIFY,
        "offsetof(struct vchan_interface, grants)" => io_libxenvchan::offset::GRANTS,
        "blocking.w[offsetof(struct libxenvchan, event_port) / 4 + 1]" => BLOCKING,
        "offsetof(struct libxenvchan, ring)" => offset_of!(Libxenvchan, ring),
        "offsetof(struct libxenvchan, event_port) + 4" => offset_of!(Libxenvchan, flags),
        "offsetof(struct libxenvchan, read)" => offset_of!(Libxenvchan, read),
        "offsetof(struct libxenvchan, write)" => offset_of!(Libxenvchan, write),
    );
}
