//! TLS: the certificate that clients see, read again when it was replaced, and what members' certificates are checked by.
//!
//! rustls with ring, TLS 1.2 and 1.3. Keys are read from files and stay in memory; nothing here asks clients for theirs.

use std::{
    convert::Infallible,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use lbpool_api::routing::Protocol;
use tokio::{net::TcpStream, sync::watch, time::sleep};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore, ServerConfig,
        crypto::{CryptoProvider, ring},
        pki_types::{self, CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
        server::ProducesTickets,
        version::{TLS12, TLS13},
    },
};

use crate::{
    discovery::look::{Look, blocking, look},
    stats::Count,
    stream::{HTTP2, Tls},
    target::Target,
};

/// Protocols that clients are offered, the best first (ALPN, RFC 7301).
const CLIENTS: &[&[u8]] = &[HTTP2, HTTP1];
/// HTTP/1.1, as handshakes name it.
const HTTP1: &[u8] = b"http/1.1";
/// Time between two looks at the files.
const PERIOD: Duration = Duration::from_millis(500);
/// Time between the two looks that must show the same.
const SETTLE: Duration = Duration::from_millis(100);

/// Why a certificate, a key or a CA can not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing, or may not be read.
    #[error("{}: can not be read: {source}", file.display())]
    Read {
        /// Its path.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file is no PEM, or has not what it should have.
    #[error("{}: {source}: expected {expected} in PEM", file.display())]
    Pem {
        /// Its path.
        file: PathBuf,
        /// What should be there.
        expected: &'static str,
        /// What is wrong.
        source: pki_types::pem::Error,
    },
    /// The certificate and the key do not fit each other, or are of a kind that is not served.
    #[error("{} and {}: {source}", cert.display(), key.display())]
    Pair {
        /// The certificate's path.
        cert: PathBuf,
        /// The key's path.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// A CA's certificate that none is.
    #[error("{}: {source}", file.display())]
    Authority {
        /// Its path.
        file: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// A name that no certificate can have.
    #[error("{0:?} is neither a DNS name nor an address")]
    Name(String),
}

/// The certificate and key that clients see, and the files that they come from.
///
/// Cheap to ask for the present ones: workers do at each connection.
pub struct Identity {
    cert: PathBuf,
    key: PathBuf,
    period: Duration,
    /// Outlives a new certificate: who has a ticket resumes, and sees the new one at its next full handshake.
    tickets: Arc<dyn ProducesTickets>,
    current: watch::Sender<Arc<ServerConfig>>,
    /// How the files looked before they were read for the first time.
    first: (Look, Look),
    /// Times that what the files say was taken into use.
    pub used: Count,
    /// Times that it was refused, and what was there before kept.
    pub refused: Count,
    /// Whether what they say now is refused.
    pub is_refused: AtomicBool,
}

/// How members are spoken to over TLS.
pub struct Upstream {
    http1: TlsConnector,
    http2: TlsConnector,
    name: Option<ServerName<'static>>,
}

// === impl Identity ===

impl Identity {
    /// Reads a chain of certificates, the server's own first, and the key of that one.
    ///
    /// # Errors
    /// They can not be read, or do not fit.
    pub fn open(cert: &Path, key: &Path) -> Result<Self, Error> {
        let pair = |source| Error::Pair {
            cert: cert.to_owned(),
            key: key.to_owned(),
            source,
        };
        let tickets = ring::Ticketer::new().map_err(pair)?;
        let first = (look(cert), look(key));
        let config = load(cert, key, &tickets)?;
        let used = Count::default();
        used.inc();
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            period: PERIOD,
            tickets,
            current: watch::Sender::new(Arc::new(config)),
            first,
            used,
            refused: Count::default(),
            is_refused: AtomicBool::new(false),
        })
    }

    /// With another time between two looks at the files.
    #[must_use]
    pub fn every(self, period: Duration) -> Self {
        Self { period, ..self }
    }

    /// What the next handshake uses.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.borrow())
    }

    /// Uses what the files say whenever they were replaced, for as long as it is polled: connections that are open keep
    /// what they began with. Wrong files change nothing, and are told once.
    ///
    /// Two files are not replaced at one moment: they are read once both have looked the same twice.
    pub async fn follow(&self) -> Infallible {
        let mut read = self.first.clone();
        let mut changing = None;
        loop {
            sleep(if changing.is_some() {
                SETTLE.min(self.period)
            } else {
                self.period
            })
            .await;
            let now = self.looks().await;
            if now == read {
                changing = None;
            } else if changing.as_ref() == Some(&now) {
                self.reload().await;
                read = now;
                changing = None;
            } else {
                changing = Some(now);
            }
        }
    }

    async fn looks(&self) -> (Look, Look) {
        let (cert, key) = (self.cert.clone(), self.key.clone());
        blocking(move || (look(&cert), look(&key))).await
    }

    async fn reload(&self) {
        let (cert, key, tickets) = (self.cert.clone(), self.key.clone(), Arc::clone(&self.tickets));
        let loaded = blocking(move || load(&cert, &key, &tickets)).await;
        self.is_refused.store(loaded.is_err(), Relaxed);
        match loaded {
            Ok(config) => {
                self.current.send_replace(Arc::new(config));
                self.used.inc();
                tracing::info!(cert = %self.cert.display(), "a new certificate is in use");
            }
            Err(error) => {
                self.refused.inc();
                tracing::error!("certificate refused, the one before stays in use: {error}");
            }
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("cert", &self.cert)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn load(cert: &Path, key: &Path, tickets: &Arc<dyn ProducesTickets>) -> Result<ServerConfig, Error> {
    let chain = certificates(cert)?;
    let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|source| Error::Pem {
        file: key.to_owned(),
        expected: "a private key (PKCS #8, PKCS #1 or SEC1)",
        source,
    })?;
    let pair = |source| Error::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
        source,
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(pair)?;
    config.alpn_protocols = CLIENTS.iter().map(|protocol| protocol.to_vec()).collect();
    config.ticketer = Arc::clone(tickets);
    Ok(config)
}

// === impl Upstream ===

impl Upstream {
    /// Members whose certificates a CA of the file has signed, each for `name`; `None`: each for its own host.
    ///
    /// # Errors
    /// The file can not be read or has no certificate in it, or the name is none.
    pub fn open(authorities: &Path, name: Option<&str>) -> Result<Self, Error> {
        let failed = |source| Error::Authority {
            file: authorities.to_owned(),
            source,
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(authorities)? {
            roots.add(certificate).map_err(failed)?;
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(failed)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Ok(Self {
            http1: connector(HTTP1),
            http2: connector(HTTP2),
            name: name.map(server_name).transpose()?,
        })
    }

    /// Makes the handshake with a member: for the one name that all have, else for its host, else for its address. It is asked
    /// for the version of HTTP that it speaks.
    ///
    /// # Errors
    /// The member's certificate is not accepted, it does not agree to HTTP/2 where it should, or the handshake fails otherwise.
    pub(crate) async fn connect(&self, stream: TcpStream, target: &Target) -> io::Result<Tls> {
        let own = || match target.host() {
            Some(host) => server_name(host).map_err(io::Error::other),
            None => Ok(ServerName::from(target.address().ip())),
        };
        let name = self.name.clone().map_or_else(own, Ok)?;
        match target.protocol() {
            // One that knows no ALPN speaks it.
            Protocol::Http1 => self.http1.connect(name, stream).await.map(Tls::from),
            Protocol::H2c => {
                let tls = Tls::from(self.http2.connect(name, stream).await?);
                if tls.is_http2() {
                    Ok(tls)
                } else {
                    Err(io::Error::other(
                        "the member did not agree to HTTP/2 (ALPN h2) in its handshake: is its protocol right?",
                    ))
                }
            }
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === files ===

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server_name(name: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(name.to_owned()).map_err(|_| Error::Name(name.to_owned()))
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|source| Error::Read {
        file: file.to_owned(),
        source,
    })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |source| Error::Pem {
        file: file.to_owned(),
        expected: "certificates",
        source,
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    let found = found.map_err(failed)?;
    if found.is_empty() {
        return Err(failed(pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}
