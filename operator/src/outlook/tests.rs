use super::*;

fn pool(spec: &str) -> LoadBalancerPool {
    serde_yaml::from_str(&format!(
        "{{apiVersion: lbpool.dev/v1alpha1, kind: LoadBalancerPool, metadata: {{name: quiz}}, spec: {{{spec}, \
         template: {{spec: {{containers: [{{name: c, command: [x]}}]}}}}}}}}"
    ))
    .unwrap()
}

fn outlook(before: &str, after: &str) -> Outlook {
    Prospect::settled(pool(before), pool(after)).unwrap().outlook().unwrap()
}

#[test]
fn growing_moves_the_share_that_the_new_seats_get() {
    let told = outlook("replicas: 3", "replicas: 4");
    assert!((0.245..0.27).contains(&told.moved), "{}", told.moved);
    assert_eq!((told.before.seats, told.after.seats), (3, 4));
    assert_eq!(told.after.epoch, told.before.epoch + 1);
    assert_ne!(told.after.digest, told.before.digest);
    let new = &told.members[3];
    assert_eq!((new.seat.as_str(), new.before), ("quiz-3", None));
    assert!((new.after.unwrap() - told.moved).abs() < 0.02, "{told:?}");
    let sum: f64 = told.members.iter().filter_map(|load| load.after).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    let kinds: Vec<&str> = told
        .steps
        .iter()
        .map(|step| match step {
            Step::Start { .. } => "start",
            Step::Route { .. } => "route",
            Step::End { .. } => "end",
        })
        .collect();
    assert_eq!(kinds, ["start", "route"]);
    let Step::Route { moved, turns, .. } = &told.steps[1] else {
        panic!("{told:?}")
    };
    assert!((moved - told.moved).abs() < 1e-12);
    assert_eq!((turns[0].seat.as_str(), turns[0].way), ("quiz-3", Way::Joins));
}

#[test]
fn a_seat_that_leaves_is_listed_with_what_it_gives_away() {
    let told = outlook("replicas: 3", "replicas: 2");
    let last = told.members.last().unwrap();
    assert_eq!((last.seat.as_str(), last.after), ("quiz-2", None));
    assert!((last.before.unwrap() - told.moved).abs() < 0.01);
}

#[test]
fn another_template_moves_no_key() {
    let old = "replicas: 2, port: 5000";
    let new = "replicas: 2, port: 5001";
    let told = outlook(old, new);
    assert!(told.moved.abs() < 1e-12);
    assert_eq!(told.steps.len(), 6);
    assert!(
        matches!(&told.steps[0], Step::Start { replaces: Some(_), .. }),
        "{told:?}"
    );
    assert_eq!(told.changes.len(), 1);
    assert_eq!(told.changes[0].path, "spec.port");
}

#[test]
fn what_shares_can_not_tell_is_said() {
    let told = outlook("replicas: 2", "replicas: 2, routing: {key: [{jsonBody: /user}]}");
    assert!(told.notes[0].starts_with("routing.key changes"), "{:?}", told.notes);
    let told = outlook("replicas: 2", "replicas: 2, port: 5001, update: {paused: true}");
    assert!(told.notes[0].contains("old template"), "{:?}", told.notes);
    assert_eq!(told.steps, []);
    let told = outlook(
        "replicas: 2",
        "replicas: 2, port: 5001, update: {maxSurge: 0, maxUnavailable: 1}",
    );
    assert!(told.notes[0].contains("whenAway"), "{:?}", told.notes);
}

#[test]
fn another_algorithm_is_estimated_and_nothing_else_happens() {
    let told = outlook("replicas: 4", "replicas: 4, routing: {algorithm: Maglev}");
    assert!((0.7..0.8).contains(&told.moved), "{}", told.moved);
    assert!(matches!(&told.steps[..], [Step::Route { turns, .. }] if turns.is_empty()));
}

#[test]
fn a_pool_that_is_as_it_should_be_has_nothing_before_it() {
    let told = outlook("replicas: 3", "replicas: 3");
    assert_eq!(
        (told.steps.len(), told.changes.len(), told.before == told.after),
        (0, 0, true)
    );
}

#[test]
fn it_is_read_as_it_was_written() {
    let told = outlook("replicas: 3", "replicas: 4");
    let again: Outlook = serde_json::from_str(&serde_json::to_string(&told).unwrap()).unwrap();
    assert_eq!(again.steps, told.steps);
}
