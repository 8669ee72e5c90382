//! What keeps balancers from getting ready, for people.

use std::time::Duration;

use jiff::Timestamp;

use crate::{Observed, UnreadyBalancer, ValidPool, plan::after};

/// How long a balancer may wait for its volumes before that is told: without trouble it takes a second or two.
pub(crate) const MOUNT: Duration = Duration::from_secs(15);

/// One line for each balancer that needs a person.
pub(super) fn ailing(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Vec<String> {
    let unready = seen.balancing.unready.iter();
    unready.filter_map(|balancer| why(pool, balancer, now)).collect()
}

fn why(pool: &ValidPool, balancer: &UnreadyBalancer, now: Timestamp) -> Option<String> {
    let name = &balancer.name;
    let deadline = pool.update.progress_deadline;
    let since = |limit| after(balancer.created, limit) <= now;
    if let Some(trouble) = &balancer.trouble {
        return Some(format!("balancer {name}: {trouble}"));
    }
    if balancer.unmounted && since(MOUNT) {
        // What a kubelet finds missing is in the Pod's Events and not in its status. The operator may read neither Events nor
        // Secrets, so it tells what to look for.
        let cause = pool.balancer.tls.as_ref().map_or_else(
            || "its volumes or its network".to_owned(),
            |tls| {
                format!(
                    "its volumes: is there a Secret {} in namespace {}, with the keys tls.crt and tls.key?",
                    tls.secret_name, pool.namespace
                )
            },
        );
        return Some(format!(
            "balancer {name} waits for {cause} (kubectl describe pod {name} tells)"
        ));
    }
    since(deadline.get()).then(|| format!("balancer {name} is not ready after {deadline}"))
}
