//! A certificate authority of this test, and a certificate of it for one name: what clients verify as they would in earnest.

use crate::Outcome;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Days for which the certificate is valid: public authorities give no more.
const VALID_DAYS: u32 = 89;

/// The files of an authority and of its certificate; removed when dropped.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
}

impl Authority {
    /// Makes both, with keys of P-256.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn new(host: &str) -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("mill-authority-{}", std::process::id()));
        fs::create_dir_all(folder.join("tls"))?;
        let own = Self { folder };
        // Yesterday: the guest's clock may be a little behind.
        let begin = date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(UNIX_EPOCH)? - DAY;
        let mut params = CertificateParams::new(Vec::new())?;
        (params.not_before, params.not_after) = (begin, begin + DAY * VALID_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "Authority of a test");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&key)?;
        fs::write(own.trusted(), certificate.pem())?;
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        (params.not_before, params.not_after) = (begin, begin + DAY * VALID_DAYS);
        params.distinguished_name.push(rcgen::DnType::CommonName, host);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        fs::write(own.secrets().join("site.crt"), params.signed_by(&key, &issuer)?.pem())?;
        fs::write(own.secrets().join("site.key"), key.serialize_pem())?;
        Ok(own)
    }

    /// The authority's certificate, in PEM.
    #[must_use]
    pub fn trusted(&self) -> PathBuf {
        self.folder.join("authority.crt")
    }

    /// The folder with the server's certificate and its key, `site.crt` and `site.key`.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.folder.join("tls")
    }

    /// A folder for other files of the test.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
