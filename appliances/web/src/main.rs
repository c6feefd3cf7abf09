//! The web appliance: serves status pages and pushed content over HTTP.
//!
//! One task accepts on each port, one for each channel receives what dom0 pushes, one ticks while connections are open, and one serves each
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
mod secure;

#[cfg(target_os = "none")]
mod guest {
    use crate::machine::Machine;
    use crate::pushes::Pushes;
    use crate::secure::Secure;
    use alloc::format;
    use alloc::rc::Rc;
    use alloc::vec::Vec;
    use kernel::System;
    use kernel::net::{Ipv6State, Net, TcpListener, TcpOptions, TcpStream};
    use web::http::{Limits, Server, Site};
    use web::https::RedirectSite;
    use web::options::{KEYS, Options, Tls};
    use web::site::StatusSite;

    const PORT: u16 = 80;
    const SECURE_PORT: u16 = 443;
    const SECOND_NS: u64 = 1_000_000_000;

    pub(crate) type WebServer = Server<StatusSite<Machine>>;

    async fn run(system: System) {
        let options: Options = system.options(KEYS);
        let idle_seconds = u64::try_from(options.idle_seconds).unwrap_or(u64::MAX);
        let limits = Limits { idle_seconds, ..Limits::default() };
        let net = system.net().await;
        let Some(plain) = listen(&net, PORT) else { return };
        let secure = (options.tls != Tls::Off).then(|| Rc::new(Secure::new(&system, options.hsts_seconds)));
        let pushes = Rc::new(Pushes::new(&system, &options, secure.as_ref().map(|secure| secure.tls())));
        let site = StatusSite::with_store(Machine::new(&system, &pushes), pushes.store());
        let server = Rc::new(Server::new(site, limits));
        pushes.serve(&system);
        system.spawn(tick(system.clone(), Rc::clone(&server)));
        system.spawn(greet(net.clone()));
        if let Some(secure) = secure {
            let Some(listener) = listen(&net, SECURE_PORT) else { return };
            system.spawn(accept_secure(system.clone(), listener, Rc::clone(&server), secure));
        }
        if options.tls == Tls::Only {
            let redirect = Rc::new(Server::new(RedirectSite, limits));
            system.spawn(tick(system.clone(), Rc::clone(&redirect)));
            accept(&system, &plain, &redirect).await;
        }
        accept(&system, &plain, &server).await;
    }

    fn listen(net: &Net, port: u16) -> Option<TcpListener> {
        let listener = net.tcp_listen(port, TcpOptions::default());
        listener.inspect_err(|error| kernel::log::error!("port {port}: {error}")).ok()
    }

    async fn accept<S: Site + 'static>(system: &System, listener: &TcpListener, server: &Rc<Server<S>>) {
        loop {
            let stream = listener.accept().await;
            // There is no tick without connections.
            tell_time(system, server);
            system.spawn(connection(Rc::clone(server), stream));
        }
    }

    async fn accept_secure(system: System, listener: TcpListener, server: Rc<WebServer>, secure: Rc<Secure>) {
        loop {
            let stream = listener.accept().await;
            tell_time(&system, &server);
            secure.tell_time(&system);
            let (server, secure) = (Rc::clone(&server), Rc::clone(&secure));
            system.spawn(async move { secure.connection(&server, stream).await });
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

    async fn connection<S: Site>(server: Rc<Server<S>>, mut stream: TcpStream) {
        // Dropping the stream closes it in order. Any client can cause an error here, so the console does not show it.
        if let Err(error) = server.serve(&mut stream).await {
            kernel::log::debug!("{:?}: {error}", stream.peer());
        }
    }

    async fn tick<S: Site>(system: System, server: Rc<Server<S>>) {
        loop {
            server.occupied().await;
            system.sleep(SECOND_NS).await;
            tell_time(&system, &server);
        }
    }

    fn tell_time<S: Site>(system: &System, server: &Server<S>) {
        let unix_ns = system.xen().machine.unix_time_ns().unwrap_or(0);
        server.tick(system.since_boot() / SECOND_NS, unix_ns / SECOND_NS);
    }

    kernel::main!(run);
    kernel::note!();
}

/// Tests build every binary for the host too.
#[cfg(not(target_os = "none"))]
fn main() {}
