//! `lbpool get`: the pools that run, in kubectl's columns.

use std::io::{self, Write as _};

use jiff::Timestamp;
use lbpool_api::{LoadBalancerPool, status::ConditionType};
use serde_json::json;

use super::{name_of, runtime};
use crate::{
    cli::{Format, GetArgs},
    client::Client,
    control::Details,
    live,
    output::{age, columns},
    runtime::{Places, Running},
};

/// Shows one pool, or all.
///
/// # Errors
/// Where a pool does not run or does not answer.
pub fn run(places: &Places, GetArgs { pool, output, watch }: GetArgs) -> anyhow::Result<()> {
    let running = match &pool {
        None if !watch => places.running()?,
        name => vec![places.find(name.as_deref())?],
    };
    runtime()?.block_on(async {
        match running.as_slice() {
            [] => {
                eprintln!("No pools run on this machine; start one with: lbpool up");
                Ok(())
            }
            [one] if watch => follow(one, output).await,
            several => show(several, output, pool.is_some()).await,
        }
    })
}

async fn show(running: &[Running], format: Option<Format>, named: bool) -> anyhow::Result<()> {
    let mut pools = Vec::new();
    for running in running {
        let client = Client::new(&running.socket());
        pools.push((client.pool().await?, client.details().await?));
    }
    print(&text(&pools, format, named, true)?)
}

async fn follow(running: &Running, format: Option<Format>) -> anyhow::Result<()> {
    let client = Client::new(&running.socket());
    let mut changes = client.watch().await?;
    let mut first = true;
    while let Some(pool) = changes.next().await? {
        let Ok(details) = client.details().await else { break };
        print(&text(&[(pool, details)], format, true, first)?)?;
        first = false;
    }
    Ok(())
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// `named`: one pool was asked for, so it is shown as itself and not as a list.
fn text(
    pools: &[(LoadBalancerPool, Details)],
    format: Option<Format>,
    named: bool,
    head: bool,
) -> anyhow::Result<String> {
    let resource = || match pools {
        [(pool, _)] if named => serde_json::to_value(pool),
        several => {
            let items: Vec<_> = several.iter().map(|(pool, _)| pool).collect();
            Ok(json!({"apiVersion": "v1", "kind": "List", "items": items}))
        }
    };
    Ok(match format {
        Some(Format::Yaml) => format!(
            "{}{}",
            if head { "" } else { "---\n" },
            serde_yaml::to_string(&resource()?)?
        ),
        Some(Format::Json) => format!("{}\n", serde_json::to_string_pretty(&resource()?)?),
        None => table(pools, false, head),
        Some(Format::Wide) => {
            let seats = pools.iter().map(|(pool, details)| seats(pool, details));
            format!("{}{}", table(pools, true, true), seats.collect::<String>())
        }
    })
}

fn table(pools: &[(LoadBalancerPool, Details)], wide: bool, head: bool) -> String {
    const HEAD: [&str; 7] = ["NAME", "READY", "UPDATED", "EPOCH", "ALGORITHM", "STATUS", "AGE"];
    const WIDE: [&str; 4] = ["ADDRESS", "PID", "DIGEST", "REQUESTS"];
    let shown = HEAD.iter().chain(WIDE.iter().filter(|_| wide));
    let mut rows: Vec<Vec<String>> = vec![shown.map(|&name| name.to_owned()).collect()];
    rows.extend(pools.iter().map(|(pool, details)| row(pool, details, wide)));
    let text = columns(&rows);
    // Later lines of a watch stand below the first ones.
    if head {
        text
    } else {
        text.split_inclusive('\n').skip(1).collect()
    }
}

fn row(pool: &LoadBalancerPool, details: &Details, wide: bool) -> Vec<String> {
    let status = pool.status.clone().unwrap_or_default();
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == ConditionType::Ready.as_str());
    let created = pool
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(details.record.started, |time| time.0);
    let mut row = vec![
        name_of(pool).to_owned(),
        status.ready,
        status.updated_replicas.to_string(),
        status.epoch.to_string(),
        format!("{:?}", pool.spec.routing.algorithm),
        ready.map(|ready| ready.reason.clone()).unwrap_or_default(),
        age(Timestamp::now().as_second() - created.as_second()),
    ];
    if wide {
        row.extend([
            details.record.url.clone(),
            details.record.pid.to_string(),
            status.digest,
            details.requests.to_string(),
        ]);
    }
    row
}

/// The seats of a pool, below a line of their own.
fn seats(pool: &LoadBalancerPool, details: &Details) -> String {
    let head = ["SEAT", "STATE", "POD", "PID", "ADDRESS", "IN-FLIGHT"]
        .map(str::to_owned)
        .to_vec();
    let rows: Vec<_> = [head].into_iter().chain(details.seats.iter().map(live::row)).collect();
    format!("\n{}\n{}", name_of(pool), columns(&rows))
}
