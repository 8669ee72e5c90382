//! Prints what is documented from the chart itself, `readme` or `rbac`: `make generate` writes the files.

use std::{env, fs};

use anyhow::{Result, bail};
use lbpool_chart::{
    chart, render,
    rules::{self, Rule},
    values,
};

const HEAD: &str = "\
# The chart lbpool
The operator of `LoadBalancerPool`, with what it needs to run: definition of the resource, roles, Deployment, and as options alerts, monitors, a
network policy and a sample pool.

This file is generated from values.yaml: `make generate`.

```sh
helm install lbpool charts/lbpool --namespace lbpool-system --create-namespace --set demo.enabled=true
helm upgrade lbpool charts/lbpool --namespace lbpool-system
helm uninstall lbpool --namespace lbpool-system
```
Upgrades bring the resource's definition along. Uninstalling keeps it, and with it every pool: pools are served without the operator, but do not
heal. The sample pool goes with the release.
[docs/operations/install.md](../../docs/operations/install.md) says more.

## Values
A name that is not in this table is refused (values.schema.json).

";

const RBAC: &str = "\
# What the operator, the balancers and people may do
No rule has a wildcard, none reads Secrets, and nothing of lbpool is cluster-admin. Every rule names the code that needs it.

This file is generated from the chart's templates: `make generate`.

";

fn main() -> Result<()> {
    match env::args().nth(1).as_deref() {
        Some("readme") => readme(),
        Some("rbac") => rbac(),
        other => bail!("readme or rbac, not {other:?}"),
    }
}

fn readme() -> Result<()> {
    let text = fs::read_to_string(chart().join("values.yaml"))?;
    print!("{HEAD}{}", values::table(&values::documented(&text)?));
    Ok(())
}

fn rbac() -> Result<()> {
    let rules = rules::rules(&render::text(&["--set", "demo.enabled=true"])?)?;
    let of = |kind: &str, name: &str| {
        rules::table(
            rules
                .iter()
                .filter(|rule: &&Rule| rule.role.kind() == kind && rule.role.name() == name),
        )
    };
    let people = rules::table(rules.iter().filter(|rule| rule.is_for_people()));
    print!(
        "{RBAC}\
## The operator
In all namespaces (ClusterRole `lbpool-operator`); with `watchNamespaces` all but the first in these namespaces alone (Roles
`lbpool-operator-pools`).

{}
In its own namespace (Role `lbpool-operator-leader`):

{}
## The balancers of a pool
Each pool has a ServiceAccount, a Role and a RoleBinding `<pool>-balancer`, made by the operator (operator/core/src/build/access.rs) and gone with
the pool. A Role per pool, not a ClusterRole for all: a balancer faces users and must not read other ConfigMaps
([decision 8](../decisions/0008-what-balancers-read-and-may-read.md)).

| resources | verbs | who needs it, and what for |
|---|---|---|
| `configmaps` named `<pool>-routing` | get, list, watch | balancer: the routing document |
| `endpointslices.discovery.k8s.io` | get, list, watch | balancer: which members are ready, and where. They have generated names, so no name can be given |

`/add` and `/rm` of the assignment's API change a pool with the caller's own token: the balancer has no right to write.

## The sample pool
Only where it is installed (`demo.enabled`; deploy/ has it): Role `lbpool-demo` in the pool's namespace, for the Job that makes the pool.

{}
## People
Added to the cluster's own roles view, edit and admin (`rbac.aggregate`). Who may edit pools may run Pods, as with a Deployment.

{people}",
        of("ClusterRole", "lbpool-operator"),
        of("Role", "lbpool-operator-leader"),
        of("Role", "lbpool-demo"),
    );
    Ok(())
}
