//! Scaling under load fails no request, moves little more than it has to, and gives every key its home back.

use std::{fmt::Write as _, time::Duration};

use lbpool_tests_cluster::{
    Mix, Namespace, Pool, Running, Table, Traffic,
    load::{Figures, Homes},
};

/// What a change may move: 1.08 times the ideal.
const LIMIT: f64 = 1.08;

struct Scaling {
    pool: Running,
    traffic: Traffic,
    replicas: u32,
    homes: Homes,
    table: Table,
    /// What failed on the way, for the end.
    failures: String,
}

impl Scaling {
    #[expect(clippy::cast_precision_loss, reason = "a share of the keys")]
    fn to(&mut self, replicas: u32) -> Homes {
        let began = tokio::time::Instant::now();
        self.pool.scale(replicas);
        self.pool.settled(replicas);
        let took = began.elapsed();
        let homes = self.traffic.homes();
        let moved = homes.moved_from(&self.homes);
        let ideal = Homes::ideal_share(self.replicas as usize, replicas as usize) * Traffic::keys() as f64;
        let factor = moved as f64 / ideal;
        let what = format!("{} -> {replicas}", self.replicas);
        let phase = self.traffic.mark();
        phase.print(&what);
        if phase.failed() > 0 {
            let _ = writeln!(self.failures, "{what}: {phase}");
        }
        let seconds = |took: Duration| format!("{:.1}", took.as_secs_f64());
        self.table.row(&[
            &what,
            &seconds(took),
            &moved,
            &format_args!("{factor:.3}"),
            &phase.failed(),
        ]);
        assert!(factor <= LIMIT, "{what}: {moved} keys moved, {factor:.3} x the ideal");
        assert_eq!(homes.per_server().len(), replicas as usize, "{what}");
        self.replicas = replicas;
        std::mem::replace(&mut self.homes, homes)
    }
}

#[test]
fn from_3_to_5_to_2_and_back_fails_nothing_and_brings_every_key_home() {
    let namespace = Namespace::new("scale");
    let pool = namespace.pool(&Pool::default());
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    let mut scaling = Scaling {
        pool,
        traffic,
        replicas: 3,
        homes,
        table: Table::new(
            "scaling, keys",
            &["step", "settled after s", "moved", "x the ideal", "failed"],
        ),
        failures: String::new(),
    };
    let _ = scaling.to(5);
    let at_5 = scaling.homes.clone();
    let _ = scaling.to(2);
    let _ = scaling.to(5);
    let Scaling {
        traffic,
        homes,
        table,
        failures,
        ..
    } = scaling;
    let rest = traffic.stop();
    rest.print("scaling, the rest");
    table.print();
    assert_eq!(
        homes.moved_from(&at_5),
        0,
        "keys that are not home again after 5 -> 2 -> 5"
    );
    rest.assert_none_failed("the rest");
    assert!(failures.is_empty(), "{failures}");
    let answered = |mix: &Mix| [&mix.gets, &mix.posts, &mix.streams].map(|figures: &Figures| figures.answered);
    assert!(answered(&rest)[2] > 0, "no stream was answered");
}
