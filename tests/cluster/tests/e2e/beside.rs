//! Members as containers beside the cluster hold what members as Pods hold: names that last, no request lost, and nothing
//! left behind.

use std::time::Duration;

use lbpool_tests_cluster::{
    Audit, Beside, Cluster, Container, Harness, Namespace, Operator, Outside, Pool, Running, Table, Traffic,
    load::Homes, wait_for,
};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_mins(1);
const POOL: &str = "demo";
/// A pool that is deleted while no operator runs.
const LATE: &str = "late";
const SEAT: &str = "demo-1";
/// What a change may move: 1.08 times the ideal.
const MOVED: f64 = 1.08;

/// A pool of containers under load.
struct Scene {
    operator: Outside,
    engine: Beside,
    namespace: Namespace,
    pool: Running,
    traffic: Traffic,
    at_3: Homes,
    table: Table,
}

#[test]
fn containers_beside_the_cluster_keep_names_and_requests_and_end_with_their_pool() {
    let test = "members beside the cluster";
    let (Some(harness), Some(engine)) = (Cluster::get().harness_or_skip(test), Beside::start_or_skip(test)) else {
        return;
    };
    let namespace = Namespace::new("beside");
    let rest = Operator::rest();
    let stranger = stranger(&engine);
    let mut scene = Scene::begin(engine, namespace);
    scene.settled_pool_is_left_alone(harness);
    scene.scales();
    scene.replaces_who_is_killed();
    scene.goes_on_with_another_operator();
    scene.refuses_what_no_engine_can();
    let engine = scene.ends();
    let left = engine.docker(&["inspect", "-f", "{{.State.Running}}", &stranger]);
    assert_eq!(left.as_deref(), Ok("true"), "a stranger was touched");
    drop(rest);
}

/// A container of somebody else that looks much like one of the pool's: its id.
fn stranger(engine: &Beside) -> String {
    let label = format!("lbpool.dev/pool={POOL}-other");
    let args = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "demo-0-aaaaa",
        "--label",
        &label,
    ];
    engine.docker(&[&args[..], &[&Pool::server()]].concat()).unwrap()
}

fn seconds(began: Instant) -> String {
    format!("{:.1} s", began.elapsed().as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a share of the keys")]
fn factor(moved: usize, from: u32, to: u32) -> f64 {
    moved as f64 / (Homes::ideal_share(from as usize, to as usize) * Traffic::keys() as f64)
}

// === impl Scene ===

impl Scene {
    /// From nothing to three, each of which answers under its name.
    fn begin(engine: Beside, namespace: Namespace) -> Self {
        let operator = engine.operator(namespace.name());
        let mut table = Table::new(
            "members beside the cluster",
            &["what", "took", "keys moved", "x the ideal", "failed"],
        );
        let began = Instant::now();
        let late = Pool {
            name: LATE,
            replicas: 1,
            ..Pool::default()
        };
        for pool in [&Pool::default(), &late] {
            let _ = namespace.apply(&pool.to_string()).ok();
        }
        let pool = Running::existing(namespace.name(), POOL);
        pool.settled_with(3, || engine.runs(POOL, 3));
        table.row(&[&"from nothing to 3", &seconds(began), &"", &"", &""]);
        Running::existing(namespace.name(), LATE).settled_with(1, || engine.runs(LATE, 1));
        assert_eq!(pool.members(), [], "Pods");
        let traffic = Traffic::start(pool.address());
        let at_3 = traffic.homes();
        let seats: Vec<_> = at_3.per_server().into_keys().collect();
        assert_eq!(seats, ["demo-0", "demo-1", "demo-2"]);
        Self {
            operator,
            engine,
            namespace,
            pool,
            traffic,
            at_3,
            table,
        }
    }

    fn settled(&self, replicas: u32) {
        self.pool
            .settled_with(replicas, || self.engine.runs(POOL, replicas as usize));
    }

    fn containers(&self) -> Vec<Container> {
        self.engine.containers(POOL).unwrap()
    }

    /// The container in a seat.
    fn in_seat(&self, seat: &str) -> Result<Container, String> {
        let all = self.engine.containers(POOL)?;
        let mut here = all.iter().filter(|it| it.seat == seat && it.state == "running");
        here.next().cloned().ok_or_else(|| format!("{all:?}"))
    }

    /// Every ready endpoint has its seat as hostname, in a slice that says whose it is, of a Service that selects nothing; and
    /// nothing is written.
    fn settled_pool_is_left_alone(&self, harness: &Harness) {
        let service = self.namespace.get("/api/v1", "services/demo-members").unwrap();
        assert!(service["spec"]["selector"].is_null(), "{service:#}");
        let ours = "endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Ddemo-members";
        let slices = self.namespace.get("/apis/discovery.k8s.io/v1", ours).unwrap();
        let slices = slices["items"].as_array().unwrap();
        assert_eq!(slices.len(), 1, "{slices:#?}");
        let by = &slices[0]["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"];
        assert_eq!(by, "lbpool.dev");
        let endpoints = slices[0]["endpoints"].as_array().unwrap().iter();
        let ready = endpoints.filter(|it| it["conditions"]["ready"] == true);
        let named: Vec<_> = ready.map(|it| it["hostname"].as_str().unwrap()).collect();
        assert_eq!(named, ["demo-0", "demo-1", "demo-2"]);

        let audit = Audit::begin(harness);
        let _ = self.traffic.homes();
        let writes = audit.writes("lbpool-beside", self.namespace.name());
        assert_eq!(writes.total(), 0, "writes of a settled pool: {writes}");
        self.traffic.mark().print("3 containers");
    }

    fn scales(&mut self) {
        let mut homes = self.at_3.clone();
        for (from, to) in [(3, 5), (5, 3)] {
            let began = Instant::now();
            self.pool.scale(to);
            self.settled(to);
            let took = seconds(began);
            let now = self.traffic.homes();
            let moved = now.moved_from(&homes);
            let factor = factor(moved, from, to);
            let mix = self.traffic.mark();
            let what = format!("{from} -> {to}");
            mix.print(&what);
            let cells: [&dyn std::fmt::Display; 5] =
                [&what, &took, &moved, &format_args!("{factor:.3}"), &mix.failed()];
            self.table.row(&cells);
            mix.assert_none_failed(&what);
            assert!(factor <= MOVED, "{what}: {moved} keys moved, {factor:.3} x the ideal");
            assert_eq!(now.per_server().len(), to as usize, "{what}");
            homes = now;
        }
        assert_eq!(homes.moved_from(&self.at_3), 0, "keys that are not home again");
    }

    fn replaces_who_is_killed(&mut self) {
        let victim = self.in_seat(SEAT).unwrap();
        let began = Instant::now();
        let _ = self.engine.docker(&["kill", &victim.id]).unwrap();
        let next = wait_for("the seat has another container", LIMIT, || {
            match self.in_seat(SEAT)? {
                same if same.id == victim.id => Err("not killed yet".to_owned()),
                next => Ok(next),
            }
        });
        self.settled(3);
        let took = seconds(began);
        let moved = self.traffic.homes().moved_from(&self.at_3);
        let mix = self.traffic.mark();
        mix.print("docker kill");
        self.table.row(&[&"docker kill", &took, &moved, &"", &mix.failed()]);
        println!("{} takes the seat of {}", next.name, victim.name);
        mix.assert_only_under_way_failed("docker kill");
        assert_eq!(moved, 0, "keys that did not come home");
    }

    fn goes_on_with_another_operator(&mut self) {
        let before = self.containers();
        let began = Instant::now();
        self.operator.kill();
        self.operator = self.engine.operator(self.namespace.name());
        self.pool.scale(4);
        self.settled(4);
        let took = seconds(began);
        let after = self.containers();
        let goes_on = before.iter().all(|it| after.contains(it));
        assert!(goes_on, "not adopted: {before:?} {after:?}");
        self.pool.scale(3);
        self.settled(3);
        let mix = self.traffic.mark();
        mix.print("another operator, 3 -> 4 -> 3");
        self.table
            .row(&[&"kill -9 of the operator, then to 4", &took, &"", &"", &mix.failed()]);
        mix.assert_none_failed("another operator");
        assert_eq!(self.containers(), before);
    }

    /// A template that asks for a node is refused by name of the field, and what runs goes on.
    fn refuses_what_no_engine_can(&self) {
        let before = self.containers();
        let wrong = Pool {
            pod: "      nodeSelector: {disk: ssd}".to_owned(),
            ..Pool::default()
        };
        let _ = self.namespace.apply(&wrong.to_string()).ok();
        let why = wait_for("the pool is degraded", LIMIT, || {
            match self.pool.condition("Degraded") {
                Some((status, reason, message)) if status == "True" => Ok(format!("{reason}: {message}")),
                other => Err(format!("{other:?}")),
            }
        });
        println!("{why}");
        assert!(why.contains("spec.template.spec.nodeSelector"), "{why}");
        assert_eq!(self.containers(), before);
        let _ = self.namespace.apply(&Pool::default().to_string()).ok();
        self.settled(3);
        assert_eq!(self.containers(), before);
    }

    /// Pools that are deleted leave no container, whether or not an operator sees it.
    fn ends(self) -> Beside {
        let Self {
            mut operator,
            engine,
            namespace,
            pool,
            traffic,
            mut table,
            ..
        } = self;
        let mix = traffic.stop();
        mix.print("a template that no engine can run");
        mix.assert_none_failed("a template that no engine can run");
        let delete = |pool: &str| namespace.kubectl(&["delete", "lbpool", pool, "--wait=false"]).ok();

        let began = Instant::now();
        let _ = delete(POOL);
        wait_for("no container is left", LIMIT, || engine.runs(POOL, 0));
        table.row(&[&"deleted, until no container is left", &seconds(began), &"", &"", &""]);
        pool.gone();
        engine.runs(LATE, 1).unwrap();

        operator.stop();
        let _ = delete(LATE);
        Running::existing(namespace.name(), LATE).gone();
        engine.runs(LATE, 1).unwrap();
        let began = Instant::now();
        let operator = engine.operator(namespace.name());
        wait_for("no container is left", LIMIT, || engine.runs(LATE, 0));
        table.row(&[
            &"the same, with an operator that comes after",
            &seconds(began),
            &"",
            &"",
            &"",
        ]);
        table.print();
        drop(operator);
        engine
    }
}
