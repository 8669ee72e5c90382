//! The smallest pool: a controller over processes, and balancers that route nothing.
//!
//! `pool DIRECTORY FILE` keeps the pool that FILE describes until it gets SIGINT; DIRECTORY holds what it writes.

use std::{env, error::Error, path::PathBuf, sync::Arc};

use lbpool_api::RoutingDocument;
use lbpool_core::BalancerReport;
use lbpool_operator::{
    Balancers,
    balancers::Refused,
    controller,
    fleet::process::{ProcessConfig, ProcessFleet, guard},
};
use tokio::sync::mpsc;

struct Nobody;

impl Balancers for Nobody {
    async fn publish(&self, document: &RoutingDocument) -> Result<(), Refused> {
        let served = document.members.iter().filter(|member| member.pod.is_some()).count();
        println!(
            "epoch {}: {served} of {} seats served",
            document.epoch,
            document.members.len()
        );
        Ok(())
    }

    async fn reports(&self) -> Vec<BalancerReport> {
        Vec::new()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == guard::COMMAND).is_some() {
        return Err(guard::exec(args).into());
    }
    let (Some(dir), Some(file)) = (args.next().map(PathBuf::from), args.next()) else {
        return Err("usage: pool DIRECTORY FILE".into());
    };
    let pool = serde_yaml::from_str(&std::fs::read_to_string(file)?)?;
    let (terminal, mut lines) = mpsc::channel(1024);
    let fleet = ProcessFleet::new(ProcessConfig {
        log_dir: dir.join("logs"),
        runtime_dir: dir,
        search_path: env::var_os("PATH").unwrap_or_default(),
        guard: Some(env::current_exe()?),
        terminal: Some(terminal),
        ..ProcessConfig::default()
    })?;
    let (controller, _handle) = controller(pool, Arc::new(fleet), Nobody)?;
    let print = async {
        while let Some(line) = lines.recv().await {
            println!("{line}");
        }
    };
    let stop = async {
        _ = tokio::signal::ctrl_c().await;
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            tokio::select! {
                () = controller.run(stop) => {}
                () = print => {}
            }
        });
    Ok(())
}
