//! Members and clients that speak HTTP/2.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
    server::SendResponse,
};
use http::{HeaderMap, Request, Response};
use lbpool_balancer::Balancer;
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use crate::support::{Member, PATIENCE, Seen, seats_document, start};

/// An answer to a request over HTTP/2.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn trailer(&self, name: &str) -> &str {
        let trailers = self.trailers.as_ref();
        trailers
            .and_then(|it| it.get(name))
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A client's connection.
pub struct Client {
    pub requests: SendRequest<Bytes>,
    connection: JoinSet<Result<(), h2::Error>>,
}

impl Client {
    pub async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        let mut task = JoinSet::new();
        task.spawn(connection);
        Self {
            requests,
            connection: task,
        }
    }

    /// Opens a stream.
    pub async fn open(&mut self, request: Request<()>, ended: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut ready = self.requests.clone().ready().await.unwrap();
        ready.send_request(request, ended).unwrap()
    }

    /// Sends a request with a body and trailers, and reads the whole answer.
    pub async fn send(&mut self, request: Request<Vec<u8>>, trailers: Option<HeaderMap>) -> Result<Got, h2::Error> {
        let (parts, body) = request.into_parts();
        let empty = body.is_empty() && trailers.is_none();
        let (answer, mut stream) = self.open(Request::from_parts(parts, ()), empty).await;
        let send = async {
            if !empty {
                // An early answer may end the stream: then nobody wants the rest.
                let _ = write(&mut stream, body.into(), trailers).await;
            }
        };
        let (got, ()) = timeout(PATIENCE, async { tokio::join!(read(answer), send) })
            .await
            .expect("an answer in time");
        got
    }

    pub async fn get(&mut self, path: &str, key: &str) -> Got {
        self.send(get(path, key), None).await.unwrap()
    }

    /// Ends once the balancer has ended the connection.
    pub async fn ended(mut self) -> Result<(), h2::Error> {
        let ended = timeout(PATIENCE, self.connection.join_next()).await;
        ended.expect("an end").expect("one task").unwrap()
    }
}

pub fn get(path: &str, key: &str) -> Request<Vec<u8>> {
    request("GET", path)
        .header("x-request-id", key)
        .body(Vec::new())
        .unwrap()
}

pub fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://test{path}"))
}

pub fn trailers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let fields = fields.iter().map(|(name, value)| {
        (
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static(value),
        )
    });
    fields.collect()
}

/// Sends `data` as the receiver takes it, then the end.
pub async fn write(stream: &mut SendStream<Bytes>, data: Bytes, trailers: Option<HeaderMap>) -> Result<(), h2::Error> {
    push(stream, data).await?;
    match trailers {
        Some(trailers) => stream.send_trailers(trailers),
        None => stream.send_data(Bytes::new(), true),
    }
}

pub async fn push(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        while stream.capacity() == 0 {
            match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(h2::Reason::CANCEL.into()),
            }
        }
        let n = stream.capacity().min(data.len());
        stream.send_data(data.split_to(n), false)?;
    }
    Ok(())
}

pub async fn read(answer: ResponseFuture) -> Result<Got, h2::Error> {
    let (parts, mut body) = answer.await?.into_parts();
    let (data, trailers) = whole(&mut body).await?;
    Ok(Got {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: data,
        trailers,
    })
}

pub async fn whole(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut data = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        data.extend_from_slice(&piece);
    }
    Ok((data, body.trailers().await?))
}

// === members ===

/// A member that speaks HTTP/2, and does with each request whatever the closure does.
pub async fn member<F>(
    name: &str,
    serve: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> F + Clone + Send + Sync + 'static,
) -> Member
where
    F: Future<Output = ()> + Send + 'static,
{
    Member::raw(name, move |stream, seen| {
        let serve = serve.clone();
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            let mut tasks = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = connection.accept() => match accepted {
                        Some(Ok((request, respond))) => {
                            note(&seen, &request);
                            tasks.spawn(serve(request, respond));
                        }
                        _ => break,
                    },
                    Some(_) = tasks.join_next() => {}
                }
            }
        }
    })
    .await
}

/// As an HTTP/1.1 member would have seen it.
fn note(seen: &Arc<Seen>, request: &Request<RecvStream>) {
    use std::fmt::Write;
    let uri = request.uri();
    let path = uri.path_and_query().unwrap();
    let mut head = format!("{} {path} HTTP/2\r\n", request.method());
    if let Some(authority) = uri.authority() {
        write!(head, "host: {authority}\r\n").unwrap();
    }
    for (name, value) in request.headers() {
        write!(head, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    seen.note(&head);
}

/// Answers each request with its name.
pub async fn named(name: &str) -> Member {
    let own: Bytes = name.to_owned().into();
    member(name, move |_, respond| answer(respond, 200, own.clone())).await
}

/// Answers each request with its body and its trailers.
pub async fn echo(name: &str) -> Member {
    member(name, |request, mut respond| async move {
        let mut body = request.into_body();
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        while let Some(Ok(piece)) = body.data().await {
            let n = piece.len();
            if push(&mut stream, piece).await.is_err() {
                return;
            }
            body.flow_control().release_capacity(n).unwrap();
        }
        if let Ok(trailers) = body.trailers().await {
            let _ = write(&mut stream, Bytes::new(), trailers).await;
        }
    })
    .await
}

pub async fn answer(mut respond: SendResponse<Bytes>, status: u16, body: Bytes) {
    let response = Response::builder().status(status).body(()).unwrap();
    let Ok(mut stream) = respond.send_response(response, body.is_empty()) else {
        return;
    };
    if !body.is_empty() {
        let _ = write(&mut stream, body, None).await;
    }
}

// === balancer ===

/// A balancer that routes to members, some of which speak HTTP/2.
pub async fn balancing(members: &[(&Member, bool)], routing: Value) -> Balancer {
    let balancer = start();
    publish(&balancer, 1, members, routing).await;
    balancer
}

pub async fn publish(balancer: &Balancer, epoch: u64, members: &[(&Member, bool)], routing: Value) {
    let seats = members.iter().map(|(m, h2c)| {
        let protocol = if *h2c { "H2c" } else { "Http1" };
        json!({"name": m.name, "pod": m.name, "address": m.address, "protocol": protocol})
    });
    let document = seats_document(epoch, &seats.collect::<Vec<_>>(), &routing);
    balancer.publish(document).await.unwrap();
}

/// Long enough for what would happen to happen.
pub const MOMENT: Duration = Duration::from_millis(100);
