//! Certificates of a test, as Secrets.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// A CA of a test.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A Secret of type `kubernetes.io/tls`.
#[derive(Clone, Debug)]
pub struct Secret {
    /// For `kubectl apply`.
    pub manifest: String,
    /// The certificate that it holds.
    pub certificate: CertificateDer<'static>,
}

// === impl Authority ===

impl Authority {
    /// A new one.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self { issuer, root }
    }

    /// A Secret with a new certificate for `host`.
    #[must_use]
    pub fn secret(&self, name: &str, host: &str) -> Secret {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let manifest = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": name},
            "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()},
        });
        Secret {
            manifest: manifest.to_string(),
            certificate: certificate.der().clone(),
        }
    }

    /// What who trusts it has.
    pub(crate) const fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }
}
