//! The web appliance: serves status pages and pushed content over HTTP.
//!
//! One task for each port answers the requests that are complete, one for each channel receives what dom0 pushes, one ticks
//! while requests come, and one serves each request that waits for its rest or for the client. An idle connection has no task
//! and no buffer. The stack limits the number of connections.

#![cfg_attr(bare, no_std, no_main)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::missing_panics_doc))]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::as_conversions))]
#![cfg_attr(not(test), deny(clippy::alloc_instead_of_core, clippy::cast_possible_truncation))]
#![cfg_attr(not(test), deny(clippy::std_instead_of_core))]

#[cfg(bare)]
extern crate alloc;

#[cfg(bare)]
mod guest_status;
#[cfg(bare)]
mod log_service;
#[cfg(bare)]
mod push_channels;

#[cfg(bare)]
mod tls_service;

#[cfg(bare)]
mod guest {
    use crate::guest_status::GuestStatus;
    use crate::log_service;
    use crate::push_channels::Pushes;
    use crate::tls_service::Secure;
    use alloc::format;
    use alloc::rc::Rc;
    use alloc::vec::Vec;
    use core::fmt::Display;
    use core::time::Duration;
    use kernel::System;
    use kernel::ledger::Consumer;
    use kernel::net::{Bytes, Ipv6State, Net, TcpListener, TcpOptions};
    use web::http::{AtOnce, Limits, Port, RequestLog, Server, Site, Stream};
    use web::https::RedirectSite;
    use web::memory::Memory;
    use web::options::{KEYS, Options, PUBLIC_PORT, Tls};
    use web::site::{Admin, StatusSite};

    const SECOND_NS: u64 = 1_000_000_000;
    /// Where the site is over TLS (RFC 9110 §4.2.2).
    const SECURE_PORT: u16 = 443;

    pub(crate) type WebServer = Server<StatusSite<GuestStatus>>;

    async fn run(system: System) {
        let options: Options = system.options(KEYS);
        let net = system.net().await;
        let Some(public) = listen(&net, PUBLIC_PORT, &options) else { return };
        let secure = (options.tls != Tls::Off).then(|| Rc::new(Secure::new(&system, &options)));
        let pushes = Rc::new(Pushes::new(&system, &options, secure.as_ref().map(|secure| secure.tls())));
        let replies = Rc::new(Memory::new(system.ledger().open(Consumer::Replies)));
        let log = log_service::open(&system, &options);
        let outbox = log.as_ref().map(|log| Rc::clone(log.outbox()));
        let status = GuestStatus {
            system: system.clone(),
            net: net.clone(),
            pushes: Rc::clone(&pushes),
            outbox,
            secure: secure.clone(),
        };
        let site = StatusSite::new(status, pushes.store(), replies);
        let account = system.ledger().open(Consumer::Appliance);
        let requests = log.clone().map(|log| -> Rc<dyn RequestLog> { log });
        let server =
            Server::new(site, Limits::default()).with_account(account.clone()).with_log(requests.clone());
        let server = Rc::new(server);
        if let Some(log) = log {
            system.spawn(log_service::count(system.clone(), log, Rc::clone(&server)));
        }
        pushes.serve(&system);
        system.spawn(tick(system.clone(), Rc::clone(&server)));
        system.spawn(greet(net.clone()));
        if let Admin::Port(port) = options.store.admin {
            let Some(admin) = listen(&net, port, &options) else { return };
            system.spawn(serve(system.clone(), Rc::clone(&server), admin, Port::Admin));
        }
        if let Some(secure) = secure {
            let Some(listener) = listen(&net, SECURE_PORT, &options) else { return };
            system.spawn(serve_secure(system.clone(), Rc::clone(&server), listener, secure));
        }
        if options.tls == Tls::Only {
            let redirect = Server::new(RedirectSite, Limits::default()).with_account(account);
            let redirect = Rc::new(redirect.with_log(requests));
            system.spawn(tick(system.clone(), Rc::clone(&redirect)));
            serve(system, redirect, public, Port::Public).await;
        } else {
            serve(system, server, public, Port::Public).await;
        }
    }

    fn listen(net: &Net, port: u16, options: &Options) -> Option<TcpListener> {
        let idle = u64::try_from(options.idle_seconds).ok().map(Duration::from_secs);
        match net.tcp_listen(port, TcpOptions { idle, ..TcpOptions::default() }) {
            Ok(listener) => Some(listener),
            Err(error) => {
                kernel::log::error!("port {port}: {error}");
                None
            }
        }
    }

    /// Serves connections with received bytes.
    async fn serve<S: Site + 'static>(
        system: System,
        server: Rc<Server<S>>,
        listener: TcpListener,
        port: Port,
    ) {
        loop {
            let stream = listener.ready().await;
            if server.begins(stream.is_new()) {
                tell_time(&system, &server);
            }
            answer(&system, &server, stream, port, &Bytes::new()).await;
        }
    }

    /// The same over TLS.
    async fn serve_secure(system: System, server: Rc<WebServer>, listener: TcpListener, secure: Rc<Secure>) {
        loop {
            let stream = listener.ready().await;
            if server.begins(stream.is_new()) {
                tell_time(&system, &server);
            }
            secure.tell_time(&system);
            if let Some(stream) = secure.open(stream) {
                answer(&system, &server, stream, Port::Public, secure.lines()).await;
            }
        }
    }

    /// Answers what has come. Most requests are answered at once; one that waits becomes a task, if there is memory for it.
    async fn answer<S: Site + 'static, T: Stream<Error: Display> + 'static>(
        system: &System,
        server: &Rc<Server<S>>,
        mut stream: T,
        port: Port,
        lines: &Bytes,
    ) {
        match server.answer_at_once(&mut stream, port, lines) {
            AtOnce::Idle => stream.park(),
            AtOnce::End => stream.end(),
            AtOnce::Later(received) => {
                let request = attend(Rc::clone(server), stream, port, lines.clone(), received);
                if let Some(task) = server.begin(request).await {
                    system.spawn(task);
                }
            }
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
        let v4 = status.address.map(|cidr| format!("http://{}:{PUBLIC_PORT}/", cidr.address()));
        let v6 =
            status.ipv6.iter().filter(|own| own.state == Ipv6State::Valid).map(|own| own.address.address());
        let v6 = v6
            .filter(|address| !address.is_unicast_link_local())
            .map(|address| format!("http://[{address}]:{PUBLIC_PORT}/"));
        let all: Vec<_> = v4.into_iter().chain(v6).collect();
        kernel::log::info!("listening on {}", all.join(" and "));
    }

    async fn attend<S: Site, T: Stream<Error: Display>>(
        server: Rc<Server<S>>,
        stream: T,
        port: Port,
        lines: Bytes,
        received: Option<T::Chunk>,
    ) {
        let peer = stream.peer();
        // Any client can cause an error here, so the console does not show it.
        if let Err(error) = server.attend(stream, port, &lines, received).await {
            kernel::log::debug!("{peer:?}: {error}");
        }
    }

    async fn tick<S: Site>(system: System, server: Rc<Server<S>>) {
        loop {
            server.in_use().await;
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
#[cfg(not(bare))]
fn main() {}
