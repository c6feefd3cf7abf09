//! TLS 1.3: the site and the certificate of both sides, and the workloads over them.
//!
//! ```text
//!   dom0: push ──► web: 1k, 1m, certificate          the same suite on both sides:
//!   Linux's files ──► nginx: 1k, 1m, certificate     AES-128-GCM, X25519, ECDSA with P-256
//! ```

use crate::Outcome;
use crate::guests::{configured, nginx, run};
use bed::{Bed, DomainConfig};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};

/// nginx with the suite that ours has, and sessions that can be resumed.
const SERVER: &str = "listen 443 ssl;
        ssl_certificate /etc/site.crt;
        ssl_certificate_key /etc/site.key;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
        ssl_ecdh_curve X25519;
        ssl_session_tickets on;
        ssl_session_timeout 1h;";

/// A certificate and its key, in PEM.
pub(crate) struct Site {
    certificate: String,
    key: String,
}

impl Site {
    /// A new pair.
    pub(crate) fn new() -> Outcome<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(vec!["mill.test".to_owned()])?;
        params.not_after = date_time_ymd(2090, 1, 1);
        Ok(Self { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
    }

    /// Pushes content and certificate to a guest of ours that runs.
    pub(crate) fn push(&self, bed: &Bed, name: &str) -> Outcome {
        let push = bed::repository().join("build/push");
        bed.put_file(&push, "/usr/bin/push")
            .map_err(|error| format!("{}: {error}; run make push", push.display()))?;
        let folder = std::env::temp_dir().join(format!("bench-tls-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        run(bed, "mkdir -p /tmp/tls /tmp/site")?;
        for (file, text) in [("site.crt", &self.certificate), ("site.key", &self.key)] {
            let path = folder.join(file);
            std::fs::write(&path, text)?;
            bed.put_file(&path, &format!("/tmp/tls/{file}"))?;
        }
        std::fs::remove_dir_all(&folder)?;
        run(bed, "head -c 1024 /dev/zero | tr '\\0' x > /tmp/site/1k")?;
        run(bed, "head -c 1048576 /dev/zero | tr '\\0' x > /tmp/site/1m")?;
        run(bed, &format!("push /tmp/site --domain {name} && push --secret /tmp/tls --domain {name}"))?;
        Ok(())
    }

    /// The configuration of a Linux guest with the same.
    pub(crate) fn linux(&self, bed: &Bed, address: &str) -> Outcome<DomainConfig> {
        let guest = nginx(address, SERVER).file("etc/site.crt", 0o644, self.certificate.as_str()).file(
            "etc/site.key",
            0o600,
            self.key.as_str(),
        );
        configured(bed, address, guest)
    }
}
