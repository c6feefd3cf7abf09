//! The web appliance: serves status pages and pushed content over HTTP.
//!
//! One task accepts, one for each channel receives what dom0 pushes, one ticks while connections are open, and one serves each
//! connection. The stack limits the number of connections.

#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod pushes;

#[cfg(target_os = "none")]
mod guest {
    use crate::machine::Machine;
    use crate::pushes::Pushes;
    use alloc::format;
    use alloc::rc::Rc;
    use alloc::vec::Vec;
    use kernel::System;
    use kernel::net::{Ipv6State, Net, TcpOptions, TcpStream};
    use web::http::{Limits, Server};
    use web::options::{KEYS, Options};
    use web::site::StatusSite;

    const PORT: u16 = 80;
    const SECOND_NS: u64 = 1_000_000_000;

    type WebServer = Server<StatusSite<Machine>>;

    async fn run(system: System) {
        let options: Options = system.options(KEYS);
        let idle_seconds = u64::try_from(options.idle_seconds).unwrap_or(u64::MAX);
        let limits = Limits { idle_seconds, ..Limits::default() };
        let net = system.net().await;
        let listener = match net.tcp_listen(PORT, TcpOptions::default()) {
            Ok(listener) => listener,
            Err(error) => {
                kernel::log::error!("port {PORT}: {error}");
                return;
            }
        };
        let pushes = Rc::new(Pushes::new(&system, &options));
        let site = StatusSite::with_store(Machine::new(&system, &pushes), pushes.store());
        let server = Rc::new(Server::new(site, limits));
        pushes.serve(&system);
        system.spawn(tick(system.clone(), Rc::clone(&server)));
        system.spawn(greet(net));
        loop {
            let stream = listener.accept().await;
            // There is no tick without connections.
            tell_time(&system, &server);
            system.spawn(connection(Rc::clone(&server), stream));
        }
    }

    /// Logs the addresses as soon as the page can be reached.
    async fn greet(net: Net) {
        net.configured().await;
        tell_addresses(&net);
        net.configured_both().await;
        tell_addresses(&net);
    }

    fn tell_addresses(net: &Net) {
        let status = net.status();
        let v4 = status.address.map(|cidr| format!("http://{}:{PORT}/", cidr.address()));
        let v6 =
            status.ipv6.iter().filter(|own| own.state == Ipv6State::Valid).map(|own| own.address.address());
        let v6 = v6
            .filter(|address| !address.is_unicast_link_local())
            .map(|address| format!("http://[{address}]:{PORT}/"));
        let all: Vec<_> = v4.into_iter().chain(v6).collect();
        kernel::log::info!("listening on {}", all.join(" and "));
    }

    async fn connection(server: Rc<WebServer>, mut stream: TcpStream) {
        // Dropping the stream closes it in order. Any client can cause an error here, so the console does not show it.
        if let Err(error) = server.serve(&mut stream).await {
            kernel::log::debug!("{:?}: {error}", stream.peer());
        }
    }

    async fn tick(system: System, server: Rc<WebServer>) {
        loop {
            server.occupied().await;
            system.sleep(SECOND_NS).await;
            tell_time(&system, &server);
        }
    }

    fn tell_time(system: &System, server: &WebServer) {
        let unix_ns = system.xen().machine.unix_time_ns().unwrap_or(0);
        server.tick(system.since_boot() / SECOND_NS, unix_ns / SECOND_NS);
    }

    kernel::main!(run);
    kernel::note!();
}

/// Tests build every binary for the host too.
#[cfg(not(target_os = "none"))]
fn main() {}
