use serde_json::{Value, json};

use super::*;

/// A document of uid `u` with seats `(name, pod)`, where `-` is nobody.
fn found(epoch: u64, seats: &[(&str, &str)]) -> Found {
    let members: Vec<Value> = seats
        .iter()
        .map(|(name, pod)| match *pod {
            "-" => json!({"name": name, "state": "Vacant"}),
            pod => json!({"name": name, "pod": pod, "address": "10.0.0.1:80"}),
        })
        .collect();
    Found {
        uid: "u".to_owned(),
        document: serde_json::from_value(json!({"pool": "web", "epoch": epoch, "members": members})).unwrap(),
    }
}

fn endpoint(pod: &str, address: &str, ready: bool) -> Endpoint {
    Endpoint {
        pod: pod.to_owned(),
        address: Some(address.parse().unwrap()),
        protocol: None,
        ready,
        terminating: false,
    }
}

fn ready(pod: &str) -> Endpoint {
    endpoint(pod, "10.0.0.9:80", true)
}

fn unready(pod: &str) -> Endpoint {
    endpoint(pod, "10.0.0.9:80", false)
}

fn ending(pod: &str) -> Endpoint {
    Endpoint {
        terminating: true,
        ..unready(pod)
    }
}

/// An index that routes by a document and a slice `s`.
fn index(found: Found, endpoints: &[Endpoint]) -> Index {
    let mut index = Index::default();
    index.reset([("s".to_owned(), endpoints.to_vec())]);
    assert_eq!(index.offer(found, Instant::now()), Offer::Taken);
    index.accept();
    index
}

/// Address and whether it serves, of each seat.
fn seats(index: &mut Index, now: Instant) -> Vec<(Option<String>, bool)> {
    let members = index.resolve(now).unwrap().document.members;
    members
        .into_iter()
        .map(|member| (member.address, member.state == SeatState::Serving))
        .collect()
}

fn serving(index: &mut Index, now: Instant) -> Vec<bool> {
    seats(index, now).into_iter().map(|(_, serving)| serving).collect()
}

/// A document with a pod in seat `a`, and with another seat that serves: the last one that does is never believed to be away.
fn seat_a(epoch: u64, pod: &str) -> Found {
    found(epoch, &[("a", pod), ("z", "z-1")])
}

fn a_serves(index: &mut Index, now: Instant) -> bool {
    serving(index, now)[0]
}

fn here(text: &str) -> String {
    text.to_owned()
}

#[test]
fn an_endpoint_tells_where_a_pod_is_and_the_document_does_where_there_is_none() {
    let mut index = index(found(1, &[("a", "a-1"), ("b", "b-1"), ("c", "-")]), &[ready("a-1")]);
    let now = Instant::now();
    assert_eq!(
        seats(&mut index, now),
        [
            (Some(here("10.0.0.9:80")), true),
            (Some(here("10.0.0.1:80")), true),
            (None, false)
        ]
    );
}

#[test]
fn nothing_is_routed_before_there_is_a_document() {
    let mut index = Index::default();
    index.reset([("s".to_owned(), vec![ready("a-1")])]);
    assert_eq!(index.resolve(Instant::now()), None);
}

#[test]
fn a_seat_is_vacant_while_its_pod_is_not_ready_and_the_epoch_stays() {
    let mut index = index(found(7, &[("a", "a-1"), ("b", "b-1")]), &[ready("a-1"), ready("b-1")]);
    let now = Instant::now();
    for (endpoint, serves) in [(unready("a-1"), false), (ready("a-1"), true), (ending("a-1"), false)] {
        index.apply("s".to_owned(), vec![endpoint.clone(), ready("b-1")]);
        let Resolved { document, again, .. } = index.resolve(now).unwrap();
        assert_eq!((document.epoch, again), (7, None));
        assert_eq!(serving(&mut index, now), [serves, true], "{endpoint:?}");
        assert!(document.members[0].address.is_some(), "who sits there is still known");
    }
}

#[test]
fn a_seat_that_the_document_calls_vacant_is_not_filled_by_a_ready_endpoint() {
    let mut document = found(1, &[("a", "a-1")]);
    document.document.members[0].state = SeatState::Vacant;
    assert_eq!(serving(&mut index(document, &[ready("a-1")]), Instant::now()), [false]);
}

#[test]
fn a_pod_that_was_just_named_is_believed_until_its_slice_follows() {
    let mut index = index(seat_a(1, "a-1"), &[ready("a-1"), unready("a-2")]);
    let now = Instant::now();
    index.offer(seat_a(2, "a-2"), now);
    assert!(a_serves(&mut index, now), "the slice is late");
    assert_eq!(index.resolve(now).unwrap().again, Some(now + TRUST));
    let later = now + TRUST / 2;
    index.apply("s".to_owned(), vec![ready("a-1"), ready("a-2")]);
    assert_eq!(index.resolve(later).unwrap().again, None);
    index.apply("s".to_owned(), vec![ready("a-1"), unready("a-2")]);
    assert!(!a_serves(&mut index, later), "it was ready once: now it is not");
}

#[test]
fn a_pod_that_was_ready_before_it_was_named_gets_no_trust() {
    let mut index = index(seat_a(1, "a-1"), &[ready("a-1"), ready("a-2")]);
    index.apply("s".to_owned(), vec![ready("a-1"), unready("a-2")]);
    let now = Instant::now();
    index.offer(seat_a(2, "a-2"), now);
    assert!(!a_serves(&mut index, now));
}

#[test]
fn trust_ends() {
    let mut index = index(seat_a(1, "-"), &[unready("a-1")]);
    let now = Instant::now();
    index.offer(seat_a(2, "a-1"), now);
    assert!(a_serves(&mut index, now + TRUST - Duration::from_millis(1)));
    assert!(!a_serves(&mut index, now + TRUST));
    assert_eq!(index.resolve(now + TRUST).unwrap().again, None);
}

#[test]
fn a_pod_that_ends_is_not_believed_to_be_ready() {
    let mut index = index(seat_a(1, "-"), &[ending("a-1")]);
    let now = Instant::now();
    index.offer(seat_a(2, "a-1"), now);
    assert!(!a_serves(&mut index, now));
}

#[test]
fn at_the_start_a_slice_that_says_no_counts_at_once() {
    let mut index = index(seat_a(5, "a-1"), &[unready("a-1")]);
    assert!(!a_serves(&mut index, Instant::now()));
}

#[test]
fn pods_that_the_table_does_not_name_change_nothing() {
    let mut index = index(found(1, &[("a", "a-1")]), &[ready("a-1")]);
    let now = Instant::now();
    let before = index.resolve(now);
    index.apply("s".to_owned(), vec![ready("a-1"), unready("a-2"), ending("a-0")]);
    assert_eq!(index.resolve(now), before);
}

#[test]
fn a_slice_that_is_gone_leaves_everybody_where_they_are() {
    let mut index = index(seat_a(1, "a-1"), &[unready("a-1")]);
    let now = Instant::now();
    assert!(!a_serves(&mut index, now));
    index.delete("s");
    assert_eq!(seats(&mut index, now)[0], (Some(here("10.0.0.1:80")), true));
    index.reset([]);
    assert!(a_serves(&mut index, now));
}

#[test]
fn of_a_pod_in_two_slices_the_ready_endpoint_counts() {
    let mut index = index(seat_a(1, "a-1"), &[endpoint("a-1", "10.0.0.7:80", false)]);
    index.apply("t".to_owned(), vec![endpoint("a-1", "10.0.0.8:80", true)]);
    let now = Instant::now();
    assert_eq!(seats(&mut index, now)[0], (Some(here("10.0.0.8:80")), true));
    index.apply("t".to_owned(), vec![ending("a-1")]);
    assert!(!a_serves(&mut index, now), "neither is");
}

#[test]
fn of_two_families_the_document_has_the_say_and_ipv4_where_it_is_silent() {
    let both = [
        endpoint("a-1", "[fd00::1]:80", true),
        endpoint("a-1", "10.0.0.9:80", true),
    ];
    let now = Instant::now();
    let mut six = found(1, &[("a", "a-1")]);
    six.document.members[0].address = Some(here("[fd00::1]:80"));
    assert_eq!(
        seats(&mut index(six.clone(), &both), now),
        [(Some(here("[fd00::1]:80")), true)]
    );
    six.document.members[0].address = None;
    assert_eq!(seats(&mut index(six, &both), now), [(Some(here("10.0.0.9:80")), true)]);
}

#[test]
fn an_older_document_is_ignored_unless_its_object_was_made_anew() {
    let mut index = index(found(7, &[("a", "a-1")]), &[]);
    let now = Instant::now();
    assert_eq!(index.offer(found(6, &[]), now), Offer::Older(7));
    assert_eq!(index.resolve(now).unwrap().document.epoch, 7);
    assert_eq!(index.offer(found(7, &[("a", "a-1")]), now), Offer::Same);
    let anew = Found {
        uid: "v".to_owned(),
        ..found(1, &[("b", "b-1")])
    };
    assert_eq!(index.offer(anew, now), Offer::Taken);
    assert_eq!(index.resolve(now).unwrap().document.epoch, 1);
}

#[test]
fn a_document_of_an_earlier_life_is_compared_with() {
    let mut index = Index::default();
    let now = Instant::now();
    index.resume(found(9, &[("a", "a-1")]));
    assert_eq!(index.resolve(now).unwrap().document.epoch, 9);
    assert_eq!(index.offer(found(8, &[]), now), Offer::Older(9));
    assert_eq!(index.offer(found(10, &[("a", "a-1")]), now), Offer::Taken);
}

#[test]
fn what_can_not_be_routed_by_is_forgotten() {
    let mut index = index(found(1, &[("a", "a-1")]), &[]);
    let now = Instant::now();
    index.offer(found(2, &[("b", "b-1")]), now);
    assert_eq!(index.resolve(now).unwrap().document.epoch, 2);
    assert!(index.reject());
    assert_eq!(index.resolve(now).unwrap().document.epoch, 1);
    assert!(!index.reject(), "what is routed by stays");
    assert_eq!(index.offer(found(2, &[("a", "a-1")]), now), Offer::Taken, "mended");
}

#[test]
fn what_is_kept_has_addresses_and_the_documents_word_on_who_serves() {
    let mut index = index(found(3, &[("a", "a-1"), ("b", "-")]), &[unready("a-1")]);
    let resolved = index.resolve(Instant::now()).unwrap().document;
    let kept = index.keep(&resolved).unwrap();
    assert_eq!(kept.uid, "u");
    let states: Vec<_> = kept.document.members.iter().map(|member| member.state).collect();
    assert_eq!(states, [SeatState::Serving, SeatState::Vacant]);
    assert_eq!(kept.document.members[0].address, Some(here("10.0.0.9:80")));
}

/// Seats `a`, `b`, ... with Pods `a-1`, `b-1`, ...
fn pool(seats: &[&str]) -> Found {
    let pods: Vec<String> = seats.iter().map(|seat| format!("{seat}-1")).collect();
    let named: Vec<(&str, &str)> = seats
        .iter()
        .zip(&pods)
        .map(|(seat, pod)| (*seat, pod.as_str()))
        .collect();
    found(1, &named)
}

fn doubted(index: &mut Index, now: Instant) -> Vec<String> {
    index.resolve(now).unwrap().doubted
}

#[test]
fn slices_that_call_most_of_a_pool_not_ready_are_doubted() {
    let mut index = index(pool(&["a", "b", "c", "d"]), &["a-1", "b-1", "c-1", "d-1"].map(ready));
    let now = Instant::now();
    let say = |index: &mut Index, endpoints: [Endpoint; 4]| index.apply("s".to_owned(), endpoints.to_vec());
    say(&mut index, [unready("a-1"), unready("b-1"), ready("c-1"), ready("d-1")]);
    assert_eq!(
        serving(&mut index, now),
        [false, false, true, true],
        "half of them is believed"
    );
    assert_eq!(doubted(&mut index, now), [""; 0]);
    say(
        &mut index,
        [unready("a-1"), unready("b-1"), unready("c-1"), ready("d-1")],
    );
    assert_eq!(serving(&mut index, now), [true; 4]);
    assert_eq!(doubted(&mut index, now), ["a-1", "b-1", "c-1"]);
    say(&mut index, [unready("a-1"), ready("b-1"), ready("c-1"), ready("d-1")]);
    assert_eq!(serving(&mut index, now), [false, true, true, true], "over");
}

#[test]
fn the_last_that_could_serve_is_doubted_for_a_while() {
    let now = Instant::now();
    let last = now + ALONE - Duration::from_millis(1);
    let mut one = index(pool(&["a"]), &[unready("a-1")]);
    assert_eq!(serving(&mut one, now), [true]);
    assert_eq!(one.resolve(last).unwrap().again, Some(now + ALONE));
    assert_eq!(serving(&mut one, last), [true]);
    assert_eq!(
        serving(&mut one, now + ALONE),
        [false],
        "nobody has contradicted its slice"
    );
    assert_eq!(one.resolve(now + ALONE).unwrap().again, None);
    one.apply("s".to_owned(), vec![ready("a-1")]);
    assert_eq!(serving(&mut one, now + ALONE), [true]);
    one.apply("s".to_owned(), vec![unready("a-1")]);
    assert_eq!(serving(&mut one, now + ALONE), [true], "once more");

    let mut document = pool(&["a", "b", "c"]);
    for seat in [0, 2] {
        document.document.members[seat].state = SeatState::Vacant;
    }
    let mut rest = index(document, &["a-1", "b-1", "c-1"].map(unready));
    assert_eq!(serving(&mut rest, now), [false, true, false], "the others are away");
    assert_eq!(serving(&mut rest, now + ALONE), [false; 3]);

    let mut both = index(pool(&["a", "b"]), &[unready("a-1"), unready("b-1")]);
    assert_eq!(serving(&mut both, now), [true, true]);
    assert_eq!(serving(&mut both, now + ALONE), [true, true]);
    let mut other = index(pool(&["a", "b"]), &[unready("a-1"), ready("b-1")]);
    assert_eq!(
        serving(&mut other, now),
        [false, true],
        "one that is ready tells that slices are right"
    );
}

#[test]
fn pods_that_end_are_neither_doubted_nor_counted() {
    let now = Instant::now();
    let ends = ["a-1", "b-1", "c-1"].map(ending);
    assert_eq!(serving(&mut index(pool(&["a", "b", "c"]), &ends), now), [false; 3]);
    let rest = [
        ending("a-1"),
        ending("b-1"),
        unready("c-1"),
        unready("d-1"),
        ready("e-1"),
    ];
    let mut index = index(pool(&["a", "b", "c", "d", "e"]), &rest);
    assert_eq!(serving(&mut index, now), [false, false, true, true, true]);
}

#[test]
fn seats_that_the_document_calls_vacant_stay_so_whatever_is_doubted() {
    let mut document = pool(&["a", "b", "c"]);
    document.document.members[2].state = SeatState::Vacant;
    let mut index = index(document, &["a-1", "b-1", "c-1"].map(unready));
    assert_eq!(serving(&mut index, Instant::now()), [true, true, false]);
}

#[test]
fn what_a_pod_speaks_is_its_slices_word_and_else_the_documents() {
    let speaks = |protocol| {
        let now = Instant::now();
        let told = Endpoint {
            protocol,
            ..ready("a-1")
        };
        let mut document = found(1, &[("a", "a-1")]);
        document.document.members[0].protocol = Protocol::H2c;
        let mut index = index(document, &[told]);
        let resolved = index.resolve(now).unwrap().document;
        assert_eq!(
            index.keep(&resolved).unwrap().document.members[0].protocol,
            resolved.members[0].protocol
        );
        resolved.members[0].protocol
    };
    assert_eq!(speaks(None), Protocol::H2c);
    assert_eq!(speaks(Some(Protocol::Http1)), Protocol::Http1);
    assert_eq!(speaks(Some(Protocol::H2c)), Protocol::H2c);
}
