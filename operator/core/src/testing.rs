//! Fixtures of the unit tests.

use jiff::Timestamp;
use lbpool_api::LoadBalancerPool;

use crate::{Action, BalancerReport, Instance, InstanceId, Observed, Phase, ValidPool, departures, plan, validate};

/// The pool `web` with a template of one container; `spec` is YAML in braces, whose fields win.
pub(crate) fn pool(spec: &str) -> LoadBalancerPool {
    let mut pool: serde_json::Value = serde_json::json!({
        "apiVersion": "lbpool.dev/v1alpha1",
        "kind": "LoadBalancerPool",
        "metadata": {"name": "web", "uid": "u-1", "generation": 4},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "main", "image": "v1"}]}}},
    });
    let spec: serde_json::Map<String, serde_json::Value> = serde_yaml::from_str(spec).unwrap();
    for (field, value) in spec {
        pool["spec"][field] = value;
    }
    serde_json::from_value(pool).unwrap()
}

/// The same, checked.
pub(crate) fn valid(spec: &str) -> ValidPool {
    validate(&pool(spec)).unwrap()
}

/// So many seconds after the start of time.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// A fleet that does what it is told at once, and balancers that believe at once.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) pool: ValidPool,
    pub(crate) seen: Observed,
    made: u32,
}

impl World {
    pub(crate) fn new(pool: ValidPool) -> Self {
        let balancers = vec![BalancerReport {
            name: "b".into(),
            ..BalancerReport::default()
        }];
        Self {
            pool,
            seen: Observed {
                balancers,
                ..Observed::default()
            },
            made: 0,
        }
    }

    /// A pool whose members are all ready and routed to.
    pub(crate) fn settled(pool: ValidPool) -> Self {
        let mut world = Self::new(pool);
        for _ in 0..3 {
            world.run(at(1));
            world.all_ready();
            world.confirm();
        }
        assert_eq!(plan(&world.pool, &world.seen, at(1)).actions, []);
        world
    }

    /// One pass: what was planned, by name of the instance.
    pub(crate) fn run(&mut self, now: Timestamp) -> Vec<String> {
        let seen = &mut self.seen;
        seen.departures = departures(&seen.departures, &seen.instances, seen.routing.as_ref(), now);
        let planned = plan(&self.pool, &self.seen, now);
        planned
            .actions
            .into_iter()
            .map(|action| self.apply(action, now))
            .collect()
    }

    fn apply(&mut self, action: Action, now: Timestamp) -> String {
        match action {
            Action::Publish { document, reason } => {
                let pods = document
                    .members
                    .iter()
                    .map(|member| member.pod.as_deref().unwrap_or("-"));
                let said = format!("publish {reason:?} {}", pods.collect::<Vec<_>>().join(" "));
                self.seen.routing = Some(document);
                said
            }
            Action::Create(create) => {
                assert!(
                    self.seen.instances.iter().all(|it| it.name != create.name),
                    "exists: {}",
                    create.name
                );
                self.made += 1;
                self.seen.instances.push(Instance {
                    id: InstanceId(format!("id-{}", self.made)),
                    name: create.name,
                    seat: create.seat.clone(),
                    template: create.template,
                    phase: Phase::Starting,
                    address: None,
                    created: now,
                    trouble: None,
                });
                format!("create {:?} {}", create.reason, create.seat)
            }
            Action::Delete(delete) => {
                let ended = self.seen.instances.iter_mut().find(|it| it.id == delete.id).unwrap();
                ended.phase = Phase::Ending;
                format!("delete {:?} {}", delete.reason, delete.id)
            }
        }
    }

    pub(crate) fn all_ready(&mut self) {
        for instance in &mut self.seen.instances {
            if instance.phase == Phase::Starting {
                instance.phase = Phase::Ready;
            }
        }
    }

    /// The balancers have swapped to the published document and finished what they had.
    pub(crate) fn confirm(&mut self) {
        self.seen.balancers[0].epoch = self.seen.routing.as_ref().map_or(0, |routing| routing.epoch);
        self.seen.balancers[0].in_flight.clear();
    }

    pub(crate) fn instance(&mut self, id: &str) -> &mut Instance {
        self.seen.instances.iter_mut().find(|it| it.id.0 == id).unwrap()
    }

    /// What was told to end has ended.
    pub(crate) fn reap(&mut self) {
        self.seen.instances.retain(|it| it.phase != Phase::Ending);
    }
}
