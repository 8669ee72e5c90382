//! `lbpool-differential`: sends the same odd bytes through the balancer, HAProxy and nginx, and compares what comes out of each
//! with what came out before.

mod case;
mod client;
mod message;
mod origin;
mod outcome;
mod proxies;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Parser;
use tokio::task::LocalSet;

use crate::{
    case::{Case, Cases, escaped},
    client::Activity,
    outcome::Outcome,
    proxies::{Commands, Proxy},
    table::Run,
};

/// Sends the same odd bytes through the balancer, HAProxy and nginx, and fails where an outcome has changed.
#[derive(Debug, Parser)]
#[command(name = "lbpool-differential")]
struct Args {
    /// The command `balancer`
    #[arg(long, default_value = "target/debug/balancer")]
    balancer: PathBuf,
    /// The command `haproxy`
    #[arg(long, default_value = "haproxy")]
    haproxy: PathBuf,
    /// The command `nginx`
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    /// Write the outcomes and the page anew
    #[arg(long)]
    write: bool,
    /// Only cases whose name has this in it; prints all bytes, compares nothing
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let Args {
        balancer,
        haproxy,
        nginx,
        write,
        only,
    } = Args::parse();
    let commands = Commands {
        balancer,
        haproxy,
        nginx,
    };
    let tasks = LocalSet::new();
    tasks.run_until(run(&commands, write, only.as_deref(), &tasks)).await
}

async fn run(commands: &Commands, write: bool, only: Option<&str>, tasks: &LocalSet) -> anyhow::Result<ExitCode> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(here.join("cases.yaml")).context("cases.yaml")?;
    let cases = Cases::parse(&text)?;
    let folder = tempfile::tempdir()?;
    let mut run = Run {
        versions: proxies::versions(commands).await?,
        ..Run::default()
    };
    let mut proxies = Proxy::start_all(commands, folder.path(), tasks).await?;
    for case in cases
        .all()
        .filter(|case| only.is_none_or(|only| case.name.contains(only)))
    {
        let [ours, haproxy, nginx] = &proxies;
        let shown = only.is_some();
        let (ours, haproxy, nginx) = tokio::try_join!(
            play(case, ours, shown),
            play(case, haproxy, shown),
            play(case, nginx, shown)
        )?;
        run.outcomes.insert(case.name.clone(), [ours, haproxy, nginx]);
        for proxy in &mut proxies {
            proxy.check().with_context(|| format!("after `{}`", case.name))?;
        }
    }
    drop(proxies);
    if only.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    let kept = here.join("outcomes.json");
    let page = here.join("../../docs/reference/differences.md");
    if write {
        fs::write(&kept, serde_json::to_string_pretty(&run)? + "\n")?;
        fs::write(&page, run.page(&cases))?;
    }
    let before: Run =
        serde_json::from_str(&fs::read_to_string(&kept).context("outcomes.json")?).context("outcomes.json")?;
    let mut wrong = [run.changes(&before), run.gone(&before), run.unexplained(&cases)].concat();
    if run.versions != before.versions {
        println!(
            "HAProxy and nginx are {:?}; what is known of them is of {:?}",
            run.versions, before.versions
        );
    } else if fs::read_to_string(&page)? != run.page(&cases) {
        wrong.push(
            "docs/reference/differences.md is not what cases and outcomes say: make differential WRITE=1".to_owned(),
        );
    }
    for line in &wrong {
        eprintln!("{line}");
    }
    println!("{} cases, {} wrong", run.outcomes.len(), wrong.len());
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Sends a case through one proxy.
async fn play(case: &Case, proxy: &Proxy, shown: bool) -> anyhow::Result<Outcome> {
    let activity = Activity::default();
    proxy.origin.play(case, &activity).await?;
    let got = client::ask(proxy.address, &case.send.bytes()?, &activity).await?;
    let connections = proxy.origin.stop().await;
    let outcome = Outcome::of(case, &connections, &got)?;
    if shown {
        println!("{}, {}: {outcome:?}", case.name, proxy.name);
        for bytes in &connections {
            println!("  origin: {}", escaped(bytes));
        }
        println!("  client: {}", escaped(&got.bytes));
    }
    Ok(outcome)
}
