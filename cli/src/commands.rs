//! The commands, one file each.

pub mod analyze;
pub mod apply;
pub mod completion;
pub mod crd;
pub mod down;
pub mod explain;
pub mod get;
pub mod logs;
pub mod plan;
pub mod scale;
pub mod up;

use anyhow::Context as _;
use lbpool_api::{Duration, LoadBalancerPool};

use crate::control::Edited;

/// A runtime for a command that asks a running pool.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can not start a runtime")
}

/// Where a change has not come as far as was waited for, the command failed.
fn waited(changed: Edited, wait: Option<Duration>) -> anyhow::Result<()> {
    match (changed.pending, wait) {
        (Some(pending), Some(_)) => Err(anyhow::anyhow!("accepted, but {pending}")),
        _ => Ok(()),
    }
}

/// `loadbalancerpool.lbpool.dev/demo`, as kubectl names what it changed.
fn full_name(name: &str) -> String {
    format!("loadbalancerpool.lbpool.dev/{name}")
}

fn name_of(pool: &LoadBalancerPool) -> &str {
    pool.metadata.name.as_deref().unwrap_or_default()
}
