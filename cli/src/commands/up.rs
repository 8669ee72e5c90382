//! `lbpool up`: controller, members and balancer of a pool, from this process.

use std::{
    fs::{File, OpenOptions},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use jiff::Timestamp;
use lbpool_api::LoadBalancerPool;
use lbpool_balancer::{
    Balancer, Config, Limits, Opening,
    admin::Admin,
    control::Request,
    metrics::{self, Sources},
    upstream::health::{self, When},
};
use lbpool_daemon::{Cause, Shutdown, log};
use lbpool_operator::{Controller, Fleet, Metrics, controller};
use prometheus_client::registry::Registry;
use tokio::{net::UnixListener, sync::mpsc, task::JoinSet, time::Instant};

use super::name_of;
use crate::{
    cli::{FleetKind, UpArgs},
    control::{
        assignment::{Assignment, QUEUE},
        server,
    },
    fleets,
    live::{self, Screen},
    local::{Local, Pool},
    manifest::{self, Overrides},
    runtime::{Claim, Places, Record},
};

/// Lines of members on their way to the terminal; what does not fit is in their log files.
const LINES: usize = 1024;

/// Clients that come before all members serve wait so long at most: a pool with a member that does not start opens too.
const OPEN_WITHIN: Duration = Duration::from_secs(2);

/// Everything that runs, put together and not started.
struct App<F> {
    controller: Controller<Arc<F>, Local>,
    local: Local,
    pool: Arc<Pool>,
    control: UnixListener,
    assignment: mpsc::Receiver<Request>,
    admin: Option<Admin>,
    lines: mpsc::Receiver<String>,
    screen: Screen,
    logs: PathBuf,
    /// Requests in flight may take so long at the end.
    grace: Duration,
    sample: bool,
}

/// Runs a pool until a signal, or a command, asks for its end.
///
/// # Errors
/// Where it can not start; nothing is left behind then. And where a part of it failed.
pub fn run(places: &Places, args: UpArgs) -> anyhow::Result<()> {
    let started = Instant::now();
    let overrides = Overrides {
        replicas: args.replicas,
    };
    let pool = match &args.file {
        Some(file) => manifest::load(file, overrides)?,
        None => manifest::demo(overrides)?,
    };
    let claim = places.claim(name_of(&pool))?;
    let screen = Screen::new(!args.plain && std::io::IsTerminal::is_terminal(&std::io::stdout()));
    start_log(&args, &claim, &screen)?;
    let shutdown = Shutdown::on_signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can not start a runtime")?;
    let outcome = runtime.block_on(async {
        let (kind, drawn) = (args.fleet.fleet, screen.clone());
        let (own, search_path) = (args.fleet.clone(), args.search_path.clone());
        match kind {
            FleetKind::Process => {
                let start = async |_: &_, printed| fleets::process(&claim, search_path, printed);
                let app = assemble(pool, args, &claim, &shutdown, screen, start).await?;
                serve(app, shutdown, started).await
            }
            FleetKind::Docker => {
                let start = async |pool: &_, printed| {
                    fleets::docker(&own, (places.owner(), &claim), pool, printed, &drawn).await
                };
                let app = assemble(pool, args, &claim, &shutdown, screen, start).await?;
                serve(app, shutdown, started).await
            }
        }
    });
    // Whoever waits for the claim may take that nothing runs any more.
    drop(runtime);
    drop(claim);
    outcome
}

/// Beside a picture the log goes to a file: its lines would tear the picture.
fn start_log(args: &UpArgs, claim: &Claim, screen: &Screen) -> anyhow::Result<()> {
    if !screen.draws() {
        return Ok(log::init(&args.log)?);
    }
    let path = claim.logs().join("lbpool.log");
    let open = || -> std::io::Result<File> {
        std::fs::create_dir_all(claim.logs())?;
        OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
    };
    let file = Arc::new(open().with_context(|| format!("can not use {}", path.display()))?);
    Ok(log::init_to(&args.log, file, false)?)
}

/// Binds every address and checks every file, so that whatever is wrong is said before anything runs.
async fn assemble<F: Fleet + 'static>(
    pool: LoadBalancerPool,
    args: UpArgs,
    claim: &Claim,
    shutdown: &Shutdown,
    screen: Screen,
    start: impl AsyncFnOnce(&LoadBalancerPool, Option<mpsc::Sender<String>>) -> anyhow::Result<F>,
) -> anyhow::Result<App<F>> {
    let UpArgs {
        file,
        replicas: _,
        port,
        host,
        admin,
        workers,
        plain: _,
        quiet,
        fleet: _,
        log: _,
        search_path: _,
    } = args;
    let (control, assignment) = mpsc::channel(QUEUE);
    let name = name_of(&pool).to_owned();
    let grace = pool.spec.update.drain_timeout.get();
    let config = Config {
        name: name.clone(),
        listen: SocketAddr::new(host, port),
        workers,
        control: Some(control),
        opening: Opening {
            members: usize::try_from(pool.spec.replicas).unwrap_or_default(),
            within: OPEN_WITHIN,
        },
        limits: Limits {
            tunnel_drain: grace,
            ..Limits::default()
        },
        ..Config::default()
    };
    let balancer = Balancer::start(config).context("clients' address (--host, --port)")?;
    let address = balancer.local_addr();
    let shared = balancer.shared();
    let mut registry = Registry::default();
    metrics::register(&shared, Sources::default(), &mut registry);
    let counts = Metrics::register(&mut registry);
    let admin = admin
        .map(|at| Admin::bind(at, Arc::clone(&shared), registry))
        .transpose();
    let admin = admin.context("admin address (--admin)")?;

    let (printed, lines) = mpsc::channel(LINES);
    let fleet = tokio::select! {
        fleet = start(&pool, (!quiet).then_some(printed)) => fleet?,
        // A pull takes as long as it takes.
        cause = shutdown.requested() => anyhow::bail!("ended by {} before it ran", cause.as_str()),
    };
    let local = Local::new(balancer);
    let (controller, handle) = controller(pool, Arc::new(fleet), local.clone())?;
    let record = Record {
        pool: name,
        pid: std::process::id(),
        url: url(address),
        admin: admin.as_ref().map(|admin| url(admin.local_addr())),
        started: Timestamp::now(),
    };
    let socket = claim.socket()?;
    let control = server::bind(&socket).with_context(|| format!("can not use {}", socket.display()))?;
    claim.announce(&record)?;
    let pool = Pool {
        handle,
        balancer: shared,
        shutdown: shutdown.clone(),
        record,
        members: claim.members(),
    };
    Ok(App {
        controller: controller.with_metrics(counts),
        local,
        pool: Arc::new(pool),
        control,
        assignment,
        admin,
        lines,
        screen,
        logs: claim.logs(),
        grace,
        sample: file.is_none(),
    })
}

async fn serve<F: Fleet>(app: App<F>, shutdown: Shutdown, started: Instant) -> anyhow::Result<()> {
    let App {
        controller,
        local,
        pool,
        control,
        assignment,
        admin,
        lines,
        screen,
        logs,
        grace,
        sample,
    } = app;
    let address = local.address();
    let mut tasks = JoinSet::new();
    tasks.spawn(server::run(control, Arc::clone(&pool)));
    tasks.spawn(Assignment::new(pool.handle.clone(), address).run(assignment));
    tasks.spawn(health::run(Arc::clone(&pool.balancer), When::Wrong));
    tasks.spawn(live::run(screen.clone(), Arc::clone(&pool), lines));
    tasks.spawn(greet(screen.clone(), Arc::clone(&pool), started, logs, sample));
    let admin = async {
        match admin {
            Some(admin) => admin.run(std::future::pending()).await,
            None => std::future::pending().await,
        }
    };
    let mut admin = std::pin::pin!(admin);

    let stop = async {
        let cause = shutdown.requested().await;
        tracing::info!(cause = cause.as_str(), "ending: requests in flight are finished first");
        screen.line("ending: requests in flight first, then the members");
        local.shutdown(grace).await;
    };
    let mut controller = std::pin::pin!(controller.run(stop));
    let mut failed = Ok(());
    loop {
        tokio::select! {
            () = &mut controller => break,
            ended = &mut admin, if failed.is_ok() => {
                failed = ended.and(Err(std::io::Error::other("it stopped"))).context("the admin listener failed");
                shutdown.request(Cause::Failure);
            }
            Some(ended) = tasks.join_next() => if let Err(error) = ended {
                failed = Err(error).context("a part of lbpool failed");
                shutdown.request(Cause::Failure);
            },
        }
    }
    tasks.shutdown().await;
    screen.end();
    screen.line(&format!("{} ended", pool.record.pool));
    failed
}

/// Says where it serves and what to do next, once it does.
async fn greet(screen: Screen, pool: Arc<Pool>, started: Instant, logs: PathBuf, sample: bool) {
    const LONG: Duration = Duration::from_hours(24);
    if pool.handle.routed(1, LONG).await.is_err() {
        return;
    }
    let Record {
        pool: name, url, admin, ..
    } = &pool.record;
    let members = pool.handle.get().spec.replicas;
    let me = std::env::args().next().unwrap_or_else(|| "lbpool".to_owned());
    screen.line(&format!(
        "{name}: serving {url} from {members} members after {:.2} s",
        started.elapsed().as_secs_f64()
    ));
    screen.line(&format!(
        "  try it     curl {url}{}",
        if sample { "/home" } else { "/" }
    ));
    screen.line(&format!("  scale it   {me} scale {name} --replicas 5"));
    screen.line(&format!("  look       {me} get {name} -o wide"));
    if let Some(admin) = admin {
        screen.line(&format!("  metrics    {admin}/metrics"));
    }
    screen.line(&format!("  logs       {}", logs.display()));
    screen.line(&format!("  end it     ctrl-c, or: {me} down {name}"));
}

/// Where a person reaches it: an address that means all of them is no place to go to.
fn url(address: SocketAddr) -> String {
    let reached = match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()),
        _ => address,
    };
    format!("http://{reached}")
}
