//! TLS, with real handshakes: towards clients, towards members, and what is said at the end.

mod http2;
mod members;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use lbpool_balancer::{
    Balancer, Config, Phase,
    stats::Handshake,
    tls::{Identity, Upstream},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
        version::{TLS12, TLS13},
    },
};

use crate::support::{Act, Client, Member, PATIENCE, becomes, document, eventually, header, ok, read_ask, start_with};

// === certificates ===

/// A CA, and a folder with what it signs.
struct Authority {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    ca: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.crt");
        fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { dir, issuer, ca }
    }

    /// A folder with `tls.crt` and `tls.key` for these names, as a Secret is mounted.
    fn signs(&self, folder: &str, names: &[&str]) -> PathBuf {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        let folder = self.dir.path().join(folder);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
        fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
        folder
    }

    fn connector(&self, versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.ca).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    async fn client(&self, address: SocketAddr) -> TlsStream<TcpStream> {
        connect(&self.connector(&[&TLS13], &[b"http/1.1"]), address)
            .await
            .unwrap()
    }
}

fn identity(folder: &Path) -> Arc<Identity> {
    let identity = Identity::open(&folder.join("tls.crt"), &folder.join("tls.key")).unwrap();
    Arc::new(identity.every(Duration::from_millis(20)))
}

async fn connect(connector: &TlsConnector, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    connector
        .connect(ServerName::try_from("web.test").unwrap(), stream)
        .await
}

// === requests ===

/// A balancer with a certificate for `web.test`, and members that it routes to.
async fn serving(authority: &Authority, members: &[&Member], change: impl FnOnce(&mut Config)) -> Balancer {
    let folder = authority.signs("web", &["web.test"]);
    let balancer = start_with(|config| {
        config.tls = Some(identity(&folder));
        change(config);
    });
    balancer.publish(document(1, members, &json!({}))).await.unwrap();
    balancer
}

/// Sends a request and reads an answer with a Content-Length: its head and its body.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, request: &[u8]) -> io::Result<(String, String)> {
    stream.write_all(request).await?;
    stream.flush().await?;
    timeout(PATIENCE, answer(stream)).await.unwrap()
}

async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok((head, String::from_utf8(body).unwrap()))
}

async fn rest<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap()?;
    Ok(bytes)
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n";

// === clients ===

#[tokio::test]
async fn both_versions_are_spoken_and_members_hear_of_https() {
    let authority = Authority::new();
    let a = Member::named("a").await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    for (version, alpn) in [
        (&TLS12, &[][..]),
        (&TLS13, &[&b"http/1.1"[..]][..]),
        (&TLS12, &[b"x", b"http/1.1"]),
    ] {
        let connector = authority.connector(&[version], alpn);
        for _ in 0..2 {
            // The second one resumes.
            let mut client = connect(&connector, balancer.local_addr()).await.unwrap();
            for _ in 0..2 {
                let (head, body) = ask(&mut client, GET).await.unwrap();
                assert!(head.starts_with("HTTP/1.1 200 ") && body == "a", "{head}");
            }
            let session = client.get_ref().1;
            assert_eq!(session.protocol_version(), Some(version.version));
            assert_eq!(session.alpn_protocol(), alpn.last().copied());
        }
        assert_eq!(header(&a.seen.last(), "x-forwarded-proto"), Some("https"));
    }
    let shared = balancer.shared();
    assert_eq!(shared.stats()[0].handshakes[Handshake::Done as usize].get(), 6);
}

#[tokio::test]
async fn tls_1_1_is_refused_with_an_alert_that_says_so() {
    let authority = Authority::new();
    let balancer = serving(&authority, &[], |_| {}).await;
    // ClientHello of version 3.2 with two suites, and an extension without which it would be refused for that.
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x09, 0xc0, 0x13, 1, 0]);
    hello.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = u8::try_from(hello.len()).unwrap();
    let record = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat();
    let mut client = TcpStream::connect(balancer.local_addr()).await.unwrap();
    client.write_all(&record).await.unwrap();
    let alert = rest(&mut client).await.unwrap();
    assert_eq!(
        (alert[0], &alert[5..]),
        (21, &[2, 70][..]),
        "fatal, protocol_version: {alert:?}"
    );
    let shared = balancer.shared();
    eventually("it is counted", || {
        shared.stats()[0].handshakes[Handshake::Failed as usize].get() == 1
    })
    .await;
}

#[tokio::test]
async fn plain_http_is_told_that_this_port_takes_tls() {
    let authority = Authority::new();
    let a = Member::named("a").await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let answer = client.get("/", "k").await;
    assert_eq!((answer.status, answer.reason()), (400, "malformed"));
    assert!(answer.body.contains("https"), "{}", answer.body);
    assert!(client.ends().await);
    assert_eq!(a.seen.count(), 0);
    assert_eq!(
        balancer.shared().stats()[0].handshakes[Handshake::Plain as usize].get(),
        1
    );
}

#[tokio::test]
async fn a_slow_handshake_has_its_time_and_holds_up_nobody() {
    let authority = Authority::new();
    let a = Member::named("a").await;
    let limit = Duration::from_millis(1500);
    let balancer = serving(&authority, &[&a], |config| config.limits.head_timeout = limit).await;
    let start = Instant::now();
    let mut silent = TcpStream::connect(balancer.local_addr()).await.unwrap();
    let mut slow = TcpStream::connect(balancer.local_addr()).await.unwrap();
    slow.write_all(&[22, 3, 1]).await.unwrap();
    let mut client = authority.client(balancer.local_addr()).await;
    ask(&mut client, GET).await.unwrap();
    assert!(
        start.elapsed() < limit,
        "others are served meanwhile: {:?}",
        start.elapsed()
    );
    for stream in [&mut silent, &mut slow] {
        // It may be a reset: nobody has read what was sent.
        drop(rest(stream).await);
    }
    assert!(start.elapsed() >= limit, "{:?}", start.elapsed());
    let shared = balancer.shared();
    becomes(2, || shared.stats()[0].handshakes[Handshake::TimedOut as usize].get()).await;
}

#[tokio::test]
async fn a_head_in_many_records_and_bodies_larger_than_one_arrive_whole() {
    const LARGE: usize = 3 << 20;
    let authority = Authority::new();
    let a = Member::scripted("a", |ask| vec![ok(&ask.body.len().to_string().repeat(200_000))]).await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    let mut client = authority.client(balancer.local_addr()).await;
    for piece in format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LARGE}\r\n\r\n")
        .as_bytes()
        .chunks(7)
    {
        client.write_all(piece).await.unwrap();
        client.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    let (head, body) = ask(&mut client, &vec![b'x'; LARGE]).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, LARGE.to_string().repeat(200_000));
    // The connection goes on, with two requests in one record.
    client.write_all(&[GET, GET].concat()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(answer(&mut client).await.unwrap().1.len(), 200_000);
    }
}

#[tokio::test]
async fn an_upgrade_over_tls_is_a_tunnel_whose_ends_are_told_apart() {
    let authority = Authority::new();
    let a = Member::raw("a", |mut stream, _| async move {
        let ask = read_ask(&mut stream, &mut Vec::new()).await.unwrap();
        let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly";
        stream.write_all(switch.as_bytes()).await.unwrap();
        let mut got = [0; 4];
        stream.read_exact(&mut got).await.unwrap();
        stream.write_all(&got).await.unwrap();
        if ask.path() == "/breaks" {
            socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    })
    .await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    for path in ["/ends", "/breaks"] {
        let mut client = authority.client(balancer.local_addr()).await;
        let ask = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nping");
        client.write_all(ask.as_bytes()).await.unwrap();
        let (head, _) = answer(&mut client).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let mut got = [0; 9];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"earlyping");
        let end = rest(&mut client).await.map_err(|error| error.kind());
        if path == "/ends" {
            assert_eq!(end, Ok(Vec::new()), "with a close_notify");
        } else {
            assert!(end.is_err(), "without one");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_ends_without_a_close_notify() {
    let authority = Authority::new();
    let a = Member::scripted("a", |_| {
        let part = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart";
        vec![Act::Send(part.as_bytes().to_vec()), Act::Close]
    })
    .await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    let mut client = authority.client(balancer.local_addr()).await;
    client.write_all(GET).await.unwrap();
    let error = rest(&mut client).await.unwrap_err();
    assert!(
        matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_shutdown_answers_what_is_in_flight_and_says_goodbye() {
    let authority = Authority::new();
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let a = Member::scripted("a", move |ask| match ask.path() {
        "/slow" => vec![Act::Wait(Arc::clone(&wait)), ok("done")],
        _ => vec![ok("quick")],
    })
    .await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    let mut idle = authority.client(balancer.local_addr()).await;
    ask(&mut idle, GET).await.unwrap();
    let mut busy = authority.client(balancer.local_addr()).await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    a.seen.until("it is in flight", |seen| seen.count() == 2).await;
    let shared = balancer.shared();
    tokio::join!(balancer.shutdown(PATIENCE), async {
        assert_eq!(rest(&mut idle).await.unwrap(), b"", "an end that was said");
        assert_eq!(shared.phases().now(), Phase::Draining);
        go.notify_waiters();
        let (head, body) = answer(&mut busy).await.unwrap();
        assert_eq!((header(&head, "connection"), body.as_str()), (Some("close"), "done"));
        assert_eq!(rest(&mut busy).await.unwrap(), b"");
    });
}

#[tokio::test]
async fn a_connection_that_the_client_asked_to_end_is_ended_with_a_close_notify() {
    let authority = Authority::new();
    let a = Member::named("a").await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    let mut client = authority.client(balancer.local_addr()).await;
    let close = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(&mut client, close).await.unwrap().1, "a");
    assert_eq!(rest(&mut client).await.unwrap(), b"");
}

#[tokio::test]
async fn a_client_that_rests_for_longer_goes_on_over_tls() {
    let authority = Authority::new();
    let a = Member::named("a").await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    let mut client = authority.client(balancer.local_addr()).await;
    for _ in 0..2 {
        assert_eq!(ask(&mut client, GET).await.unwrap().1, "a");
        // The passing of time is what is tested: after a moment its buffers are given back.
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(ask(&mut client, GET).await.unwrap().1, "a");
    assert_eq!(balancer.shared().stats()[0].accepted.get(), 1);
}

#[tokio::test]
async fn a_client_that_sends_a_record_in_drips_is_idle_all_the_same() {
    let authority = Authority::new();
    let a = Member::named("a").await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    let routing = json!({"timeouts": {"idle": "500ms"}});
    balancer.publish(document(2, &[&a], &routing)).await.unwrap();
    let mut client = authority.client(balancer.local_addr()).await;
    assert_eq!(ask(&mut client, GET).await.unwrap().1, "a");
    let (mut tcp, _) = client.into_inner();
    // The head of a record of 16 KiB, and a byte of it now and then.
    let record = [&[23, 3, 3, 0x40, 0][..], &[0; 95]].concat();
    let mut told = false;
    for byte in record {
        // Once it has ended the connection it takes no more.
        let _ = tcp.write_all(&[byte]).await;
        told = timeout(Duration::from_millis(50), tcp.read_u8()).await.is_ok();
        if told {
            break;
        }
    }
    assert!(told, "it was said goodbye to");
}

// === certificates that are replaced ===

/// Turns `live` to another folder, as a mounted Secret is replaced.
fn turn(dir: &Path, to: &Path) {
    let new = dir.join("new");
    std::os::unix::fs::symlink(to, &new).unwrap();
    fs::rename(new, dir.join("live")).unwrap();
}

#[tokio::test]
async fn a_certificate_is_replaced_under_load_without_a_request_lost_and_a_wrong_one_changes_nothing() {
    let authority = Authority::new();
    let dir = authority.dir.path();
    let (one, two) = (
        authority.signs("one", &["web.test"]),
        authority.signs("two", &["web.test"]),
    );
    let certificate = |folder: &Path| CertificateDer::from_pem_file(folder.join("tls.crt")).unwrap();
    // The key of another certificate.
    let wrong = authority.signs("wrong", &["web.test"]);
    fs::copy(one.join("tls.key"), wrong.join("tls.key")).unwrap();
    turn(dir, &one);
    let identity = identity(&dir.join("live"));
    let a = Member::named("a").await;
    let balancer = start_with(|config| config.tls = Some(Arc::clone(&identity)));
    balancer.publish(document(1, &[&a], &json!({}))).await.unwrap();
    let address = balancer.local_addr();
    let mut tasks = JoinSet::new();
    let followed = Arc::clone(&identity);
    tasks.spawn(async move { match followed.follow().await {} });
    let presented = async || {
        let client = connect(&authority.connector(&[&TLS13], &[]), address).await.unwrap();
        client.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    assert_eq!(presented().await, certificate(&one));

    let mut load = JoinSet::new();
    let over = Arc::new(Notify::new());
    for kept in [false, false, true, true] {
        let connector = authority.connector(&[&TLS13], &[]);
        let over = Arc::clone(&over);
        load.spawn(async move {
            let mut end = std::pin::pin!(over.notified());
            end.as_mut().enable();
            let mut done = 0;
            let mut client = connect(&connector, address).await.unwrap();
            while timeout(Duration::ZERO, end.as_mut()).await.is_err() {
                if !kept {
                    client = connect(&connector, address).await.unwrap();
                }
                assert_eq!(ask(&mut client, GET).await.unwrap().1, "a");
                done += 1;
            }
            done
        });
    }
    turn(dir, &wrong);
    eventually("it is refused", || {
        identity.is_refused.load(Relaxed) && identity.refused.get() == 1
    })
    .await;
    assert_eq!(presented().await, certificate(&one), "nothing has changed");
    turn(dir, &two);
    eventually("it is used", || {
        !identity.is_refused.load(Relaxed) && identity.used.get() == 2
    })
    .await;
    assert_eq!(presented().await, certificate(&two));
    over.notify_waiters();
    let done = timeout(PATIENCE, load.join_all()).await.unwrap();
    assert!(done.iter().all(|&n: &u64| n > 0), "{done:?}");
}

#[tokio::test]
async fn files_that_are_wrong_from_the_start_are_told_by_name() {
    let authority = Authority::new();
    let folder = authority.signs("web", &["web.test"]);
    let (cert, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let other = authority.signs("other", &["web.test"]).join("tls.key");
    for (cert, key, want) in [
        (&key, &key, "expected certificates in PEM"),
        (&cert, &cert, "expected a private key"),
        (&cert, &other, "tls.crt and "),
        (&cert, &folder.join("none"), "none: can not be read"),
    ] {
        let error = Identity::open(cert, key).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
    assert!(Upstream::open(&key, None).is_err());
    assert!(Upstream::open(&authority.ca, Some("no name!")).is_err());
}
