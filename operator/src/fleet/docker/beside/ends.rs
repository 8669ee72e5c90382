//! Ends the containers of pools that are gone: the cluster removes what it has of a pool, and knows nothing of them.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use tokio::{sync::watch, time::sleep};

use super::super::{engine::Engine, labels, labels::Listed};
use super::Beside;
use crate::{
    fleet,
    kubernetes::{Access, Pools, Scope, chain},
};

/// How often it looks although nothing is known to have changed: a request to make a container may have been under way
/// when its pool went.
const LOOK: Duration = Duration::from_secs(30);
/// The same, after something was ended or could not be.
const SOON: Duration = Duration::from_secs(2);
/// Containers that end at the same time.
const AT_ONCE: usize = 16;

/// Looks for ever, from when all pools are known.
pub(super) async fn run(beside: Beside, access: Access, scope: Scope, mut pools: watch::Receiver<Pools>) {
    if pools.wait_for(|pools| pools.complete).await.is_err() {
        return;
    }
    let mut engine = None;
    let mut told = String::new();
    loop {
        let pause = match sweep(&beside, &access, &scope, &mut engine, &mut pools).await {
            Ok(ended) => {
                told.clear();
                if ended == 0 { LOOK } else { SOON }
            }
            Err(error) => {
                let error = chain(&error);
                // The same each time, for as long as the engine is away.
                if told != error {
                    tracing::warn!(error, "containers of pools that are gone are not ended yet");
                    told = error;
                }
                SOON
            }
        };
        tokio::select! {
            changed = pools.changed() => if changed.is_err() { return },
            () = sleep(pause) => {}
        }
    }
}

/// Ends what has no pool: how many containers that were.
async fn sweep(
    beside: &Beside,
    access: &Access,
    scope: &Scope,
    engine: &mut Option<Engine>,
    pools: &mut watch::Receiver<Pools>,
) -> Result<usize, fleet::Error> {
    let by = beside.by(access).await?;
    let engine = match engine {
        Some(engine) => engine,
        none => none.insert(Engine::connect(beside.endpoint.clone()).await?),
    };
    let all = engine.list(&labels::all_of(by)).await?;
    // Asked after the list was made: what is in it has a pool that is known, or none.
    let left = left(all.iter().filter_map(Listed::of), scope, &pools.borrow_and_update());
    let mut ended = 0;
    for (uid, containers) in left {
        tracing::info!(
            pool = uid,
            containers = containers.len(),
            "their pool is gone: they end"
        );
        for batch in containers.chunks(AT_ONCE) {
            for end in join_all(batch.iter().map(|container| engine.end(&container.id))).await {
                end?;
                ended += 1;
            }
        }
    }
    Ok(ended)
}

/// Containers by UID of their pool, where there is no such pool. Those without one, and those of namespaces that another
/// operator looks after, are none of ours.
fn left(all: impl Iterator<Item = Listed>, scope: &Scope, pools: &Pools) -> BTreeMap<String, Vec<Listed>> {
    let mut left: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for listed in all {
        let Some(uid) = listed.pool_uid.clone() else { continue };
        let ours = match scope {
            Scope::Cluster => true,
            Scope::Namespaces(names) => names.contains(&listed.namespace),
        };
        if ours && !pools.has(&uid) {
            left.entry(uid).or_default().push(listed);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::kubernetes::PoolKey;

    fn container(name: &str, namespace: &str, pool_uid: Option<&str>) -> Listed {
        Listed {
            id: name.to_owned(),
            uid: name.to_owned(),
            name: name.to_owned(),
            seat: "web-0".parse().unwrap(),
            template: "t".to_owned(),
            created: Timestamp::UNIX_EPOCH,
            running: true,
            namespace: namespace.to_owned(),
            pool_uid: pool_uid.map(str::to_owned),
        }
    }

    #[test]
    fn containers_end_whose_pool_is_gone_and_no_others() {
        let all = [
            container("lives", "a", Some("u-1")),
            container("same-name-before", "a", Some("u-0")),
            container("gone", "b", Some("u-2")),
            container("of-one-machine", "a", None),
        ];
        let mut pools = Pools::default();
        pools.insert(&PoolKey::new("a", "web"), "u-1");
        let ended = |scope: &Scope| {
            let left = left(all.iter().cloned(), scope, &pools);
            left.into_values().flatten().map(|it| it.name).collect::<Vec<_>>()
        };
        assert_eq!(ended(&Scope::Cluster), ["same-name-before", "gone"]);
        assert_eq!(ended(&Scope::Namespaces(vec!["b".to_owned()])), ["gone"]);
    }
}
