//! `lbpool plan`: what a change would do. Nothing is changed.

mod text;

use std::{io::Write as _, path::Path};

use anyhow::bail;
use lbpool_operator::{Outlook, Prospect};

use super::{name_of, runtime};
use crate::{
    cli::PlanArgs,
    client::Client,
    manifest::{self, Overrides},
    runtime::{Error, Places},
};

/// What there is to tell, and how to do it then.
struct Told {
    outlook: Outlook,
    /// The command that would do it, where there is one.
    command: Option<String>,
}

/// Shows what a change would do to a running pool, or to one that a file describes.
///
/// # Errors
/// Where a file is wrong, the pool does not run, or it would refuse the change.
pub fn run(places: &Places, args: PlanArgs) -> anyhow::Result<()> {
    let PlanArgs {
        pool,
        file,
        replicas,
        from,
        json,
    } = args;
    let overrides = Overrides { replicas };
    let Told { outlook, command } = match (&from, &file) {
        (Some(from), file) => offline(from, file.as_deref(), overrides)?,
        (None, Some(file)) => of_file(places, file, overrides)?,
        (None, None) => of_number(places, pool.as_deref(), replicas.unwrap_or_default())?,
    };
    let text = if json {
        format!("{}\n", serde_json::to_string_pretty(&outlook)?)
    } else {
        text::text(&outlook, from.is_none(), command.as_deref())
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Of a running pool, with another number of seats.
fn of_number(places: &Places, pool: Option<&str>, replicas: i32) -> anyhow::Result<Told> {
    let running = places.find(pool)?;
    let outlook = runtime()?.block_on(Client::new(&running.socket()).plan_scale(i64::from(replicas)))?;
    let named = pool.map(|pool| format!(" {pool}")).unwrap_or_default();
    Ok(Told {
        outlook,
        command: Some(format!("lbpool scale{named} --replicas {replicas}")),
    })
}

/// Of a running pool, with the spec of a file.
fn of_file(places: &Places, file: &Path, overrides: Overrides) -> anyhow::Result<Told> {
    let pool = manifest::load(file, overrides)?;
    let file = file.display();
    let running = places.find(Some(name_of(&pool))).map_err(|error| match error {
        Error::Unknown { .. } => {
            anyhow::anyhow!("{error} -f {file}; or compare with another file: lbpool plan --from OLD -f {file}")
        }
        error => error.into(),
    })?;
    let outlook = runtime()?.block_on(Client::new(&running.socket()).plan(&pool))?;
    // A file says what it says: with another number it has to be edited first.
    let command = overrides.replicas.is_none().then(|| format!("lbpool apply -f {file}"));
    Ok(Told { outlook, command })
}

/// Of a pool that runs nowhere, or not here.
fn offline(from: &Path, file: Option<&Path>, overrides: Overrides) -> anyhow::Result<Told> {
    if file.is_some_and(|file| file == from && file == Path::new("-")) {
        bail!("standard input can be one of --from and --file, not both");
    }
    let now = manifest::load(from, Overrides::default())?;
    let next = match file {
        Some(file) => manifest::load(file, overrides)?,
        None => manifest::with(&now, overrides)?,
    };
    if now.metadata.name != next.metadata.name {
        bail!(
            "{} is the pool {}, {} is the pool {}: a plan is of one pool",
            from.display(),
            name_of(&now),
            file.unwrap_or(from).display(),
            name_of(&next)
        );
    }
    Ok(Told {
        outlook: Prospect::settled(now, next)?.outlook()?,
        command: None,
    })
}
