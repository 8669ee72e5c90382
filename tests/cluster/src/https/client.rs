//! One connection over TLS that hides nothing: no retry, no pool.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Mutex, task::JoinSet, time::timeout};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        client::Resumption,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

use super::Site;

/// How long an exchange may take.
const LIMIT: Duration = Duration::from_secs(15);

/// What is spoken over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// A connection; several users of one of HTTP/2.
pub(super) struct Client {
    pub site: Site,
    pub version: Version,
    /// What the other side has shown.
    pub certificate: CertificateDer<'static>,
    requests: Requests,
    /// What moves its bytes, until nobody uses it.
    moves: Arc<JoinSet<()>>,
}

#[derive(Clone)]
enum Requests {
    Http1(Arc<Mutex<http1::SendRequest<Full<Bytes>>>>),
    Http2(h2::client::SendRequest<Bytes>),
}

/// What came back.
pub(super) struct Answer {
    pub server: String,
    pub via: String,
}

/// Why nothing came back, or not what had to.
#[derive(Debug)]
pub(super) struct Failure {
    pub reason: String,
    /// The connection ended without a byte of the answer.
    pub unanswered: bool,
}

// === impl Client ===

impl Client {
    /// A new connection: no session is resumed, so that each is shown a certificate.
    pub async fn connect(site: &Site, version: Version) -> Result<Self, Failure> {
        let opened = timeout(LIMIT, Self::open(site, version)).await;
        opened.map_err(|_| Failure::new("no connection in time"))?
    }

    async fn open(site: &Site, version: Version) -> Result<Self, Failure> {
        let tcp = TcpStream::connect(site.address).await.map_err(Failure::new)?;
        tcp.set_nodelay(true).map_err(Failure::new)?;
        let host = ServerName::try_from(site.host.clone()).map_err(Failure::new)?;
        let stream = connector(site, version)?
            .connect(host, tcp)
            .await
            .map_err(Failure::new)?;
        let session = stream.get_ref().1;
        let agreed = session.alpn_protocol().map(<[u8]>::to_vec);
        if agreed.as_deref() != Some(version.alpn()) {
            return Err(Failure::new(format!("agreed to {agreed:?}")));
        }
        let certificate = session.peer_certificates().and_then(|all| all.first()).cloned();
        let mut moves = JoinSet::new();
        let requests = Requests::over(stream, version, &mut moves).await?;
        Ok(Self {
            site: site.clone(),
            version,
            certificate: certificate.ok_or_else(|| Failure::new("no certificate"))?,
            requests,
            moves: Arc::new(moves),
        })
    }

    /// Another user of it.
    pub fn another(&self) -> Self {
        Self {
            site: self.site.clone(),
            version: self.version,
            certificate: self.certificate.clone(),
            requests: self.requests.clone(),
            moves: Arc::clone(&self.moves),
        }
    }

    /// Whether it takes another request, when the last one has ended.
    pub async fn is_open(&self) -> bool {
        match &self.requests {
            Requests::Http1(sender) => sender.lock().await.ready().await.is_ok(),
            Requests::Http2(sender) => sender.clone().ready().await.is_ok(),
        }
    }

    /// Asks for /home.
    pub async fn get(&mut self, key: usize) -> Result<Answer, Failure> {
        let (answer, body) = self.exchange("GET", "/home", key, Bytes::new()).await?;
        let expected = format!("Hello from Server: {}\"", answer.server);
        if answer.server.is_empty() || !String::from_utf8_lossy(&body).contains(&expected) {
            return Err(Failure::new(format!("not of {:?}: {body:?}", answer.server)));
        }
        Ok(answer)
    }

    /// Sends `body` to /echo.
    pub async fn post(&mut self, key: usize, body: &[u8]) -> Result<Answer, Failure> {
        let sent = Bytes::copy_from_slice(body);
        let (answer, body) = self.exchange("POST", "/echo", key, sent.clone()).await?;
        if body != sent {
            return Err(Failure::new(format!("{} other bytes came back", body.len())));
        }
        Ok(answer)
    }

    async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        key: usize,
        body: Bytes,
    ) -> Result<(Answer, Bytes), Failure> {
        let (host, requests) = (&self.site.host, &mut self.requests);
        let exchange = async {
            let request = Request::builder()
                .method(method)
                .header("x-request-id", format!("key-{key}"));
            match requests {
                Requests::Http1(sender) => {
                    let request = request.uri(path).header("host", host).body(Full::new(body));
                    let request = request.map_err(Failure::new)?;
                    let answer = sender.lock().await.send_request(request).await;
                    let (head, body) = answer.map_err(Failure::unanswered)?.into_parts();
                    let body = body.collect().await.map_err(Failure::new)?.to_bytes();
                    checked(&Response::from_parts(head, ()), body)
                }
                Requests::Http2(sender) => {
                    let request = request.uri(format!("https://{host}{path}")).body(());
                    let request = request.map_err(Failure::new)?;
                    let mut ready = sender.clone().ready().await.map_err(Failure::unanswered)?;
                    let empty = body.is_empty();
                    let (answer, mut stream) = ready.send_request(request, empty).map_err(Failure::unanswered)?;
                    if !empty {
                        stream.send_data(body, true).map_err(Failure::new)?;
                    }
                    let (head, mut parts) = answer.await.map_err(Failure::unanswered)?.into_parts();
                    let mut body = Vec::new();
                    while let Some(part) = parts.data().await {
                        let part = part.map_err(Failure::new)?;
                        parts
                            .flow_control()
                            .release_capacity(part.len())
                            .map_err(Failure::new)?;
                        body.extend_from_slice(&part);
                    }
                    checked(&Response::from_parts(head, ()), body.into())
                }
            }
        };
        let outcome = timeout(LIMIT, exchange).await;
        outcome.map_err(|_| Failure::new("no answer in time"))?
    }
}

fn checked(head: &Response<()>, body: Bytes) -> Result<(Answer, Bytes), Failure> {
    if head.status() != 200 {
        let (status, headers) = (head.status(), head.headers());
        return Err(Failure::new(format!("status {status}, {headers:?}, {body:?}")));
    }
    let field = |name: &str| {
        let value = head.headers().get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    };
    let answer = Answer {
        server: field("x-server-id"),
        via: field("via"),
    };
    Ok((answer, body))
}

fn connector(site: &Site, version: Version) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    for root in &site.roots {
        roots.add(root.clone()).map_err(Failure::new)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Failure::new)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![version.alpn().to_vec()];
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

// === impl Requests ===

impl Requests {
    /// What carries requests over a stream.
    async fn over(stream: TlsStream<TcpStream>, version: Version, moves: &mut JoinSet<()>) -> Result<Self, Failure> {
        Ok(match version {
            Version::Http1 => {
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::new)?;
                // How it ends, its requests tell.
                moves.spawn(async move { drop(connection.await) });
                Self::Http1(Arc::new(Mutex::new(sender)))
            }
            Version::Http2 => {
                let (sender, connection) = h2::client::handshake(stream).await.map_err(Failure::new)?;
                moves.spawn(async move { drop(connection.await) });
                Self::Http2(sender)
            }
        })
    }
}

// === impl Version ===

impl Version {
    const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }

    pub const fn index(self) -> usize {
        match self {
            Self::Http1 => 0,
            Self::Http2 => 1,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

// === impl Failure ===

impl Failure {
    fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            reason: reason.into().to_string(),
            unanswered: false,
        }
    }

    fn unanswered(reason: impl std::error::Error) -> Self {
        let cause = reason.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Self {
            reason: format!("{reason}{cause}"),
            unanswered: true,
        }
    }
}
