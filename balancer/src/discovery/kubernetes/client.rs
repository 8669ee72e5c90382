//! Connections to the API server that notice soon when nobody is there any more.
//!
//! A watch is silent for minutes while nothing changes, so a limit on that silence finds a lost connection after minutes
//! too. The kernel asks instead: an API server that stopped answers through its kernel and goes on where it was; one that
//! vanished, or a network that is cut, does not, and the watch is started anew.

use std::time::Duration;

use hyper_util::{
    client::legacy::{Builder, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
    config::AuthInfo,
};
use tower::{BoxError, ServiceBuilder, timeout::TimeoutLayer};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take to begin.
const ANSWER: Duration = Duration::from_secs(10);
/// The silence after which the other side is asked whether it is there, the time between two questions, and how many may
/// stay without an answer: 11 s at most.
const ASK_AFTER: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_secs(2);
const ASKED: u32 = 3;

/// A client that acts as the balancer itself.
///
/// # Errors
/// Where its certificates or credentials can not be used.
pub fn own(config: Config) -> kube::Result<Client> {
    if config.proxy_url.is_some() {
        return Client::try_from(config);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_keepalive(Some(ASK_AFTER));
    tcp.set_keepalive_interval(Some(ASK_EVERY));
    tcp.set_keepalive_retries(Some(ASKED));
    tcp.set_tcp_user_timeout(Some(ASK_AFTER + ASK_EVERY * ASKED));
    let tls = config.rustls_https_connector_with_connector(tcp)?;
    let http = Builder::new(TokioExecutor::new()).build::<_, Body>(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .layer(TimeoutLayer::new(ANSWER))
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}

/// A client that is nobody: whoever uses it brings credentials with each request.
///
/// # Errors
/// Where the API server's certificates can not be used.
pub fn nobody(config: &Config) -> kube::Result<Client> {
    let mut config = config.clone();
    config.auth_info = AuthInfo::default();
    config.headers = Vec::new();
    own(config)
}
