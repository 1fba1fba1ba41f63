//! A certificate authority of our own, and servers that have their certificates from it.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// An authority, and one server's certificate.
pub struct Authority {
    directory: tempfile::TempDir,
    config: Arc<rustls::ServerConfig>,
}

impl Authority {
    /// A new authority, and a certificate for a server with these names or addresses, over HTTP/2 and HTTP/1.1.
    ///
    /// # Panics
    /// With a sentence when one of them can't stand in a certificate.
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names to mind");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().expect("a key");
        let ca = params.self_signed(&ca_key).expect("an authority");
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(names)
            .expect("names for a certificate")
            .signed_by(&key, &issuer)
            .expect("a certificate");
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("ca.pem"), ca.pem()).expect("a new file");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("a certificate with its key");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self {
            directory,
            config: Arc::new(config),
        }
    }

    /// The authority's certificate as PEM, for those that are to trust it; it lives as long as this.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// What a server takes connections with.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}
