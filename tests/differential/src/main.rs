//! `lbpool-differential`: sends the same odd bytes through the balancer, HAProxy and nginx, and compares what comes out of each
//! with what came out before.

mod case;
mod client;
mod message;
mod origin;
mod outcome;
mod proxies;
mod table;
mod work;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
};

use anyhow::Context as _;
use clap::Parser;
use tokio::task::LocalSet;

use crate::{case::Cases, proxies::Commands, table::Run, work::Work};

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
    tasks.run_until(run(commands, write, only)).await
}

async fn run(commands: Commands, write: bool, only: Option<String>) -> anyhow::Result<ExitCode> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(here.join("cases.yaml")).context("cases.yaml")?;
    let versions = proxies::versions(&commands).await?;
    let shown = only.is_some();
    let work = Rc::new(Work::new(Cases::parse(&text)?, only));
    work.all(&commands).await?;
    if shown {
        return Ok(ExitCode::SUCCESS);
    }
    let cases = &work.cases;
    let run = Run {
        versions,
        outcomes: work.outcomes.take(),
    };
    let kept = here.join("outcomes.json");
    let page = here.join("../../docs/reference/differences.md");
    if write {
        fs::write(&kept, serde_json::to_string_pretty(&run)? + "\n")?;
        fs::write(&page, run.page(cases))?;
    }
    let before: Run =
        serde_json::from_str(&fs::read_to_string(&kept).context("outcomes.json")?).context("outcomes.json")?;
    let mut wrong = [run.changes(&before), run.gone(&before), run.unexplained(cases)].concat();
    if run.versions != before.versions {
        println!(
            "HAProxy and nginx are {:?}; what is known of them is of {:?}",
            run.versions, before.versions
        );
    } else if fs::read_to_string(&page)? != run.page(cases) {
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
