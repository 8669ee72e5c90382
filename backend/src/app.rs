//! From flags to a server that runs until it is told to end.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use actix_web::{App, HttpServer, dev::Server, rt, web};
use anyhow::Context as _;
use lbpool_daemon::{Shutdown, log};

use crate::{
    cli::Args,
    docs::Docs,
    routes::{self, Identity},
    trial::Trial,
};

/// Longer than balancers keep idle connections, so that they never find one closed under their hands.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// For the head of a request. The default of 5 s answers 408 to a request that a balancer has sent while the machine was
/// starved of CPU; who is slow on purpose meets the balancer's own limits first.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves until SIGTERM or SIGINT, then finishes what is under way.
pub fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        id,
        port,
        host,
        workers,
        grace,
        delay,
        fail_rate,
        seed,
        trials,
        log,
    } = args;
    log::init(&log)?;
    let identity = Identity::new(id.filter(|id| !id.is_empty()).unwrap_or_else(host_name));
    let trial = Trial {
        delay,
        fail_rate,
        seed,
        routes: trials,
        ..Trial::default()
    };
    let address = SocketAddr::new(host, port);
    let listener = listen(address)?;
    let address = listener
        .local_addr()
        .context("can not read the address of the socket")?;
    let shutdown = Shutdown::on_signals()?;

    rt::System::new().block_on(async move {
        tracing::info!("server {} answers at http://{address}/home", identity.id());
        let server = server(listener, workers.into(), grace, identity, trial)?;
        let handle = server.handle();
        let serving = rt::spawn(server);
        let cause = shutdown.requested().await;
        tracing::info!("{}: finishing what is under way", cause.as_str());
        handle.stop(true).await;
        serving
            .await
            .context("the server panicked")?
            .context("the server failed")
    })
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("can not listen on {address}: choose another address with --host, another port with --port or PORT")
    })?;
    listener.set_nonblocking(true).context("can not set up the socket")?;
    Ok(listener)
}

fn server(
    listener: TcpListener,
    workers: usize,
    grace: Duration,
    identity: Identity,
    trial: Trial,
) -> anyhow::Result<Server> {
    let identity = web::Data::new(identity);
    let docs = web::Data::new(Docs::new(trial.routes)?);
    let trial = web::Data::new(trial);
    let app = move || {
        App::new()
            .app_data(identity.clone())
            .app_data(docs.clone())
            .app_data(trial.clone())
            .wrap(routes::server_header(&identity))
            .configure(|config| routes::configure(config, &trial))
    };
    let server = HttpServer::new(app)
        .workers(workers)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(REQUEST_TIMEOUT)
        .tcp_nodelay(true)
        .shutdown_timeout(grace.as_secs() + u64::from(grace.subsec_nanos() > 0))
        .disable_signals()
        // HTTP/1.1 and, with prior knowledge, HTTP/2: a pool's appProtocol says which one its members are asked in.
        .listen_auto_h2c(listener)
        .context("can not start the server")?;
    Ok(server.run())
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
