//! What the sessions of a server share: certificates, keys of tickets, random numbers, the time.
//!
//! ```text
//!   set_identities ─► Epoch { certificates, keys of tickets } ─► sessions that are accepted from now on
//!                     the one before lives until the last handshake that was begun with it is over
//! ```

use crate::clock::Clock;
use crate::error::Error;
use crate::generator::Generator;
use crate::identity::{Identities, Identity};
use crate::provider::provider;
use crate::session::Session;
use crate::tickets::Tickets;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};
use rustls::version::TLS13;
use spin::Mutex;

/// The protocol that clients may ask for by ALPN (RFC 7301).
const PROTOCOL: &[u8] = b"http/1.1";

/// A server of TLS 1.3.
#[derive(Debug)]
pub struct Server {
    provider: Arc<CryptoProvider>,
    generator: &'static Generator,
    clock: Arc<Clock>,
    epoch: Mutex<Option<Epoch>>,
}

/// Certificates, and the keys of the tickets of sessions that were opened with them.
#[derive(Debug)]
struct Epoch {
    config: Arc<ServerConfig>,
    tickets: Arc<Tickets>,
    identities: Arc<Identities>,
}

impl Server {
    /// A server without a certificate, whose random numbers follow from `seed`: 32 bytes that nobody else knows.
    ///
    /// The generator is never freed: a program makes one server.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let generator: &'static Generator = Box::leak(Box::new(Generator::new(seed)));
        let provider = Arc::new(provider(generator));
        Self { provider, generator, clock: Arc::default(), epoch: Mutex::new(None) }
    }

    /// Sets the time in seconds: `monotonic` does not go back, `unix` is the wall clock, 0 if it is unknown.
    pub fn tick(&self, monotonic: u64, unix: u64) {
        self.clock.set(monotonic, unix);
    }

    /// Continues with another seed and other keys of tickets, for instance after a restore: the domain may have a copy.
    pub fn reseed(&self, seed: [u8; 32]) {
        self.generator.reseed(seed);
        if let Some(epoch) = &*self.epoch.lock() {
            epoch.tickets.renew();
        }
    }

    /// Exchanges the certificates. Sessions that are open go on; later ones get the new certificates, since former tickets
    /// are refused. The former private keys are cleared when the last handshake that was begun with them is over.
    ///
    /// # Errors
    /// [`Error::Internal`] if rustls refuses the configuration.
    pub fn set_identities(&self, identities: Identities) -> Result<(), Error> {
        let identities = Arc::new(identities);
        let tickets = Arc::new(Tickets::new(self.generator, Arc::clone(&self.clock)));
        let clock = Arc::<Clock>::clone(&self.clock);
        let builder = ServerConfig::builder_with_details(Arc::clone(&self.provider), clock);
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(|error| Error::of(&error))?;
        let resolver = Arc::<Identities>::clone(&identities);
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.ticketer = Arc::<Tickets>::clone(&tickets);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
        // The provider knows which suite this processor is good at.
        config.ignore_client_order = true;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        *self.epoch.lock() = Some(Epoch { config: Arc::new(config), tickets, identities });
        Ok(())
    }

    /// What is known of the certificates in use; no secrets.
    #[must_use]
    pub fn identities(&self) -> Vec<Identity> {
        self.epoch.lock().as_ref().map(|epoch| epoch.identities.summary()).unwrap_or_default()
    }

    /// A session for a connection that was accepted.
    ///
    /// # Errors
    /// [`Error::NoIdentity`] before [`Server::set_identities`].
    pub fn accept(&self) -> Result<Session, Error> {
        let config = self.epoch.lock().as_ref().map(|epoch| Arc::clone(&epoch.config));
        let connection = UnbufferedServerConnection::new(config.ok_or(Error::NoIdentity)?);
        Ok(Session::new(connection.map_err(|error| Error::of(&error))?))
    }
}
