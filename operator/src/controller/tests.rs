//! The driver against a fleet and balancers that do what a test says; with real processes: `tests/process`.

use std::sync::Mutex;

use lbpool_api::{MemberName, RoutingDocument};
use lbpool_core::{
    BalancerReport, Instance, InstanceId, ValidPool,
    plan::{Create, Delete},
};
use tokio::sync::Notify;

use super::*;
use crate::{Created, balancers::Refused, fleet};

/// Instances are ready as soon as they are made; those of `broken` are never made.
#[derive(Default)]
struct Scripted {
    instances: Mutex<Vec<Instance>>,
    broken: Option<MemberName>,
    /// Nobody can say what runs.
    blind: bool,
    changed: Notify,
}

impl Fleet for Scripted {
    fn check(&self, _: &ValidPool) -> Result<(), fleet::Error> {
        Ok(())
    }

    async fn observe(&self) -> Result<Vec<Instance>, fleet::Error> {
        if self.blind {
            return Err(fleet::Error::Ended);
        }
        Ok(self.instances.lock().unwrap().clone())
    }

    async fn create(&self, _: &ValidPool, create: &Create) -> Result<Created, fleet::Error> {
        if self.broken.as_ref() == Some(&create.seat) {
            return Err(fleet::Error::NoPort { first: 1, last: 2 });
        }
        let mut instances = self.instances.lock().unwrap();
        let instance = Instance {
            id: InstanceId(create.name.clone()),
            name: create.name.clone(),
            seat: create.seat.clone(),
            template: create.template.clone(),
            phase: Phase::Ready,
            address: Some(([127, 0, 0, 1], 1).into()),
            created: Timestamp::UNIX_EPOCH,
            trouble: None,
        };
        instances.push(instance);
        self.changed.notify_one();
        Ok(Created::New)
    }

    async fn delete(&self, delete: &Delete, _: Duration) -> Result<(), fleet::Error> {
        self.instances
            .lock()
            .unwrap()
            .retain(|instance| instance.id != delete.id);
        Ok(())
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    async fn shutdown(&self, _: Duration) {}
}

/// Keeps what is published, in order of epochs; the first `silent` publications get no answer although they arrive, and
/// those of this load bound are kept and answered as a failure.
#[derive(Default)]
struct Ledger {
    documents: Mutex<Vec<RoutingDocument>>,
    silent: Mutex<u32>,
    stalls_at: Option<u32>,
}

impl Balancers for Ledger {
    async fn publish(&self, document: &RoutingDocument) -> Result<(), Refused> {
        {
            let mut documents = self.documents.lock().unwrap();
            if let Some(last) = documents.last()
                && last != document
                && last.epoch >= document.epoch
            {
                return Err(Refused("an old epoch".into()));
            }
            documents.push(document.clone());
        }
        if self.stalls_at == Some(document.routing.load_bound) {
            return Err(Refused("some workers do not follow".into()));
        }
        let silent = {
            let mut left = self.silent.lock().unwrap();
            *left > 0 && {
                *left -= 1;
                true
            }
        };
        if silent {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn reports(&self) -> Vec<BalancerReport> {
        let epoch = self
            .documents
            .lock()
            .unwrap()
            .last()
            .map_or(0, |document| document.epoch);
        vec![BalancerReport {
            name: "ledger".into(),
            epoch,
            in_flight: Vec::new(),
        }]
    }
}

fn pool(replicas: u32) -> LoadBalancerPool {
    serde_yaml::from_str(&format!(
        "{{apiVersion: lbpool.dev/v1alpha1, kind: LoadBalancerPool, metadata: {{name: quiz}}, spec: {{replicas: {replicas}, template: {{spec: {{containers: [{{name: c, command: [x]}}]}}}}}}}}"
    ))
    .unwrap()
}

/// Runs a pool until this generation is routed.
async fn run(fleet: Scripted, ledger: Ledger, replicas: u32) -> (Result<(), Error>, PoolHandle, Arc<Ledger>) {
    let ledger = Arc::new(ledger);
    let (controller, handle) = controller(pool(replicas), Arc::new(fleet), Arc::clone(&ledger)).unwrap();
    let routed = tokio::select! {
        routed = handle.routed(1, Duration::from_mins(1)) => routed,
        () = controller.run(std::future::pending()) => unreachable!("nothing stops it"),
    };
    (routed, handle, ledger)
}

#[tokio::test(start_paused = true)]
async fn a_document_whose_fate_is_unknown_is_published_again_as_it_was() {
    let ledger = Ledger {
        silent: Mutex::new(2),
        ..Ledger::default()
    };
    let (routed, _, ledger) = run(Scripted::default(), ledger, 2).await;
    routed.unwrap();
    let documents = ledger.documents.lock().unwrap();
    assert_eq!(documents[0], documents[1]);
    assert_eq!(documents[1], documents[2]);
    assert!(
        documents
            .windows(2)
            .all(|pair| pair[0] == pair[1] || pair[0].epoch < pair[1].epoch)
    );
}

#[tokio::test(start_paused = true)]
async fn a_publication_that_failed_half_way_keeps_no_later_one_from_being_taken() {
    let ledger = Arc::new(Ledger {
        stalls_at: Some(150),
        ..Ledger::default()
    });
    let (controller, handle) = controller(pool(2), Arc::new(Scripted::default()), Arc::clone(&ledger)).unwrap();
    let bound = |percent: u32| {
        handle.edit(|pool| {
            let mut spec = pool.spec.clone();
            spec.routing.load_bound = percent;
            Ok::<_, Error>(spec)
        })
    };
    let edits = async {
        handle.routed(1, Duration::from_mins(1)).await.unwrap();
        let stalled = bound(150).unwrap();
        handle.routed(stalled, Duration::from_secs(2)).await.unwrap_err();
        let taken = bound(175).unwrap();
        handle.routed(taken, Duration::from_mins(1)).await.unwrap();
    };
    tokio::select! {
        () = edits => {}
        () = controller.run(std::future::pending()) => unreachable!("nothing stops it"),
    }
    let last = ledger.documents.lock().unwrap().last().unwrap().clone();
    assert_eq!(last.routing.load_bound, 175);
}

#[tokio::test(start_paused = true)]
async fn an_action_that_fails_keeps_the_others_from_nothing_and_the_status_names_it() {
    let fleet = Scripted {
        broken: Some("quiz-0".parse().unwrap()),
        ..Scripted::default()
    };
    let (routed, handle, ledger) = run(fleet, Ledger::default(), 3).await;
    let error = routed.unwrap_err();
    assert_eq!(error.category(), crate::Category::Late);
    assert!(error.to_string().contains("no free port"), "{error}");
    let seats: Vec<String> = ledger
        .documents
        .lock()
        .unwrap()
        .last()
        .unwrap()
        .members
        .iter()
        .map(|member| member.name.to_string())
        .collect();
    assert_eq!(seats, ["quiz-1", "quiz-2"]);
    let status = handle.get().status.clone().unwrap();
    let degraded = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Degraded")
        .unwrap();
    assert_eq!(
        (degraded.status.as_str(), degraded.reason.as_str()),
        ("True", "CreateFailed")
    );
    assert!(
        degraded.message.starts_with("quiz-0: could not start quiz-0-"),
        "{}",
        degraded.message
    );
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_can_not_begin_is_told_of() {
    let fleet = Scripted {
        blind: true,
        ..Scripted::default()
    };
    let (routed, handle, _) = run(fleet, Ledger::default(), 1).await;
    routed.unwrap_err();
    let status = handle.get().status.clone().unwrap();
    let degraded = status.conditions.iter().find(|it| it.type_ == "Degraded").unwrap();
    assert_eq!(
        (degraded.status.as_str(), degraded.reason.as_str()),
        ("True", "ObserveFailed")
    );
}

#[test]
fn pauses_double_up_to_the_longest_and_start_again() {
    let mut pause = Pause::new((Duration::from_millis(10), Duration::from_millis(100)));
    let taken: Vec<u128> = (0..6).map(|_| pause.take().as_millis()).collect();
    assert_eq!(taken, [10, 20, 40, 80, 100, 100]);
    pause.reset();
    assert_eq!(pause.take().as_millis(), 10);
}
