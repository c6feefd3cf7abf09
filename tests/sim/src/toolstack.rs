//! The toolstack's nodes in xenstore for a guest and its devices, with their permissions.
//!
//! After libxl of Xen 4.17 (`tools/libs/light/libxl_create.c`, `libxl_device.c`, `libxl_nic.c`).

use crate::netback::VifConfig;
use crate::store::Xenstored;
use xen::DomId;

/// The nodes of a domain itself.
pub(crate) fn create_domain(store: &Xenstored, id: DomId, name: &str) {
    let home = format!("/local/domain/{id}");
    let (readable, writable) = ([('n', 0), ('r', id.0)], [('n', id.0)]);
    store.create(&home, "", &readable);
    store.create(&format!("{home}/name"), name, &readable);
    store.create(&format!("{home}/domid"), &id.to_string(), &readable);
    for directory in ["cpu", "memory", "device", "control", "console"] {
        store.create(&format!("{home}/{directory}"), "", &readable);
    }
    let control = [
        "shutdown",
        "feature-suspend",
        "feature-poweroff",
        "feature-reboot",
        "platform-feature-xs_reset_watches",
    ];
    for node in control {
        store.create(&format!("{home}/control/{node}"), "", &writable);
    }
    store.create(&format!("{home}/control/platform-feature-xs_reset_watches"), "1", &readable);
    for node in ["data", "drivers", "feature", "attr", "error", "device/suspend/event-channel"] {
        store.create(&format!("{home}/{node}"), "", &writable);
    }
}

/// Where a vif's backend keeps its nodes.
pub(crate) fn backend_path(backend: DomId, frontend: DomId, handle: u32) -> String {
    format!("/local/domain/{backend}/backend/vif/{frontend}/{handle}")
}

/// Where its frontend does.
pub(crate) fn frontend_path(frontend: DomId, handle: u32) -> String {
    format!("/local/domain/{frontend}/device/vif/{handle}")
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// The nodes of a vif: the backend's directory, and the frontend's, which the guest owns.
pub(crate) fn create_vif(store: &Xenstored, frontend: DomId, backend: DomId, config: &VifConfig) {
    let (b, f) = (backend_path(backend, frontend, config.handle), frontend_path(frontend, config.handle));
    let mac = mac_text(config.mac);
    let backend_perms = [('n', backend.0), ('r', frontend.0)];
    let handle = config.handle.to_string();
    store.create(&b, "", &backend_perms);
    let nodes = [
        ("frontend", f.as_str()),
        ("frontend-id", &frontend.to_string()),
        ("online", "1"),
        ("state", "1"),
        ("script", "/etc/xen/scripts/vif-bridge"),
        ("mac", &mac),
        ("bridge", "xenbr0"),
        ("handle", &handle),
        ("type", "vif"),
    ];
    for (name, value) in nodes {
        store.create(&format!("{b}/{name}"), value, &backend_perms);
    }
    create_frontend(store, frontend, backend, config);
}

/// The frontend's directory of a vif.
pub(crate) fn create_frontend(store: &Xenstored, frontend: DomId, backend: DomId, config: &VifConfig) {
    let (b, f) = (backend_path(backend, frontend, config.handle), frontend_path(frontend, config.handle));
    let perms = [('n', frontend.0), ('r', backend.0)];
    store.create(&f, "", &perms);
    let mut nodes = vec![
        ("backend", b),
        ("backend-id", backend.to_string()),
        ("state", config.frontend_state.to_string()),
        ("handle", config.handle.to_string()),
    ];
    if config.mac_at_frontend {
        nodes.push(("mac", mac_text(config.mac)));
    }
    nodes.extend(config.trusted.as_ref().map(|value| ("trusted", value.clone())));
    nodes.extend(config.mtu.as_ref().map(|value| ("mtu", value.clone())));
    for (name, value) in nodes {
        store.create(&format!("{f}/{name}"), &value, &perms);
    }
}
