//! What the server must know of its own certificates (RFC 5280). Signatures are for the clients to verify.

use super::RefusalReason;
use alloc::string::String;
use alloc::vec::Vec;
use rustls_pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};

/// The certificate that is to be the first of a chain.
pub(super) struct Leaf {
    /// The host names, in lower case.
    pub(super) names: Vec<String>,
    /// Seconds since 1970.
    pub(super) not_after: u64,
    /// The bits of `subjectPublicKey`.
    pub(super) public_key: Vec<u8>,
    /// Whether it is the certificate of an authority (basicConstraints, §4.2.1.9).
    pub(super) is_authority: bool,
}

impl Leaf {
    /// `None` if it cannot be parsed.
    pub(super) fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let certificate = certificate.tbs_certificate();
        let constraints = certificate.get_extension::<BasicConstraints>().ok()?;
        let alternatives = certificate.get_extension::<SubjectAltName>().ok()?;
        let names = alternatives.iter().flat_map(|(_, names)| &names.0).filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
            _ => None,
        });
        Some(Self {
            names: names.collect(),
            not_after: certificate.validity().not_after.to_unix_duration().as_secs(),
            public_key: certificate.subject_public_key_info().subject_public_key.as_bytes()?.to_vec(),
            is_authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
        })
    }
}

/// Checks that all certificates of a chain are valid at a time, if it is known, and in order.
pub(super) fn check(chain: &[CertificateDer<'_>], unix: u64) -> Result<(), RefusalReason> {
    let mut issuer = None;
    for der in chain {
        let certificate = Certificate::from_der(der).map_err(|_| RefusalReason::BadCertificate)?;
        let certificate = certificate.tbs_certificate();
        let validity = certificate.validity();
        if unix != 0 && validity.not_after.to_unix_duration().as_secs() < unix {
            return Err(RefusalReason::Expired);
        }
        if unix != 0 && validity.not_before.to_unix_duration().as_secs() > unix {
            return Err(RefusalReason::NotYetValid);
        }
        if issuer.is_some_and(|issuer| issuer != *certificate.subject()) {
            return Err(RefusalReason::ChainOrder);
        }
        issuer = Some(certificate.issuer().clone());
    }
    Ok(())
}
