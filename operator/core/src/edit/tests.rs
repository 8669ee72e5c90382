use super::*;
use crate::testing::pool;

type Edit = fn(&LoadBalancerPool, i64, &[String]) -> Result<PoolSpec, EditError>;

fn edited(edit: Edit, spec: &str, n: i64, hostnames: &[&str]) -> Result<(Vec<String>, PoolSpec), String> {
    let pool = pool(spec);
    let hostnames: Vec<_> = hostnames.iter().map(ToString::to_string).collect();
    let spec = edit(&pool, n, &hostnames).map_err(|error| error.to_string())?;
    Ok((
        seats("web", &spec)
            .into_iter()
            .map(|seat| seat.name.to_string())
            .collect(),
        spec,
    ))
}

fn seats_after(edit: Edit, spec: &str, n: i64, hostnames: &[&str]) -> Vec<String> {
    edited(edit, spec, n, hostnames).unwrap().0
}

#[test]
fn the_wish_list_is_granted_and_the_rest_is_our_choice() {
    assert_eq!(
        seats_after(add, "{}", 4, &["S5", "S4", "S10"]),
        ["S5", "S4", "S10", "web-0", "web-1", "web-2", "web-3"]
    );
    assert_eq!(seats_after(add, "{}", 1, &[]), ["web-0", "web-1", "web-2", "web-3"]);
}

#[test]
fn a_wished_ordinal_is_no_named_member_where_it_comes_anyway() {
    let (names, spec) = edited(add, "{}", 2, &["web-4"]).unwrap();
    assert_eq!(names, ["web-0", "web-1", "web-2", "web-3", "web-4"]);
    assert!(spec.members.is_empty());
    assert_eq!(
        seats_after(add, "{}", 1, &["web-7"]),
        ["web-7", "web-0", "web-1", "web-2"]
    );
    assert_eq!(
        seats_after(add, "{}", 2, &["web-4", "S5"]),
        ["S5", "web-4", "web-0", "web-1", "web-2"]
    );
}

#[test]
fn a_retired_name_that_is_wished_for_is_back() {
    let (names, spec) = edited(add, "{retired: [web-1, web-9]}", 1, &["WEB-1"]).unwrap();
    assert_eq!(names, ["web-0", "web-1", "web-2", "web-3"]);
    assert_eq!(spec.retired.len(), 1);
}

#[test]
fn the_named_go_and_the_last_of_the_others() {
    let pool = "{replicas: 7, members: [{name: S5}, {name: S4}, {name: S10}]}";
    assert_eq!(
        seats_after(remove, pool, 3, &["S5", "s4"]),
        ["S10", "web-0", "web-1", "web-2"]
    );
    assert_eq!(seats_after(remove, "{}", 3, &[]), Vec::<String>::new());
    assert_eq!(seats_after(remove, "{members: [{name: A}, {name: B}]}", 2, &[]), ["A"]);
}

#[test]
fn an_ordinal_from_the_middle_is_retired_and_one_from_the_end_is_not() {
    let (names, spec) = edited(remove, "{}", 1, &["web-1"]).unwrap();
    assert_eq!(names, ["web-0", "web-2"]);
    assert_eq!(spec.retired, ["web-1".parse::<MemberName>().unwrap()]);
    let (names, spec) = edited(remove, "{}", 2, &["web-1", "web-2"]).unwrap();
    assert_eq!(names, ["web-0"]);
    assert!(spec.retired.is_empty());
}

#[test]
fn a_named_member_with_an_ordinals_name_does_not_come_back_as_one() {
    let pool = "{members: [{name: web-0}]}";
    assert_eq!(seats_after(remove, pool, 1, &["web-0"]), ["web-1", "web-2"]);
}

#[test]
fn what_makes_no_sense_is_refused_in_the_assignments_words() {
    let many: Vec<_> = (0..6).map(|n| format!("x{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let cases: &[(Edit, &str, i64, &[&str], &str)] = &[
        (
            add,
            "{}",
            1,
            &["a", "b"],
            "Length of hostname list is more than newly added instances",
        ),
        (
            remove,
            "{}",
            1,
            &["web-0", "web-1"],
            "Length of hostname list is more than removable instances",
        ),
        (add, "{}", 0, &[], "n is 0, must be 1 or more"),
        (remove, "{}", -3, &[], "n is -3, must be 1 or more"),
        (add, "{}", 2, &["a", "A"], "'A' is listed twice"),
        (add, "{}", 1, &["WEB-0"], "'WEB-0' is a replica already"),
        (remove, "{members: [{name: S10}]}", 1, &["S1"], "'S1' is not a replica"),
        (remove, "{}", 4, &[], "n is 4, but there are only 3 instances to remove"),
        (add, "{}", 1022, &[], "1025 replicas are wanted, a pool has 0 to 1024"),
        (
            add,
            "{}",
            i64::MAX,
            &many,
            "9223372036854775807 replicas are wanted, a pool has 0 to 1024",
        ),
        (
            add,
            "{}",
            1,
            &["a b"],
            "\"a b\" is no member name: use 1 to 63 letters, digits and hyphens, the first and last no hyphen",
        ),
    ];
    for (edit, spec, n, hostnames, message) in cases {
        assert_eq!(edited(*edit, spec, *n, hostnames).unwrap_err(), *message);
    }
    assert!(
        edited(add, "{routing: {algorithm: Classroom}}", 54, &[])
            .unwrap_err()
            .contains("56 seats")
    );
}

#[test]
fn every_seat_that_was_there_is_there_after_an_add_and_n_fewer_after_a_remove() {
    let specs = [
        "{}",
        "{replicas: 0}",
        "{retired: [web-0, web-2]}",
        "{members: [{name: web-1}, {name: S5}]}",
    ];
    for spec in specs {
        let before = hosts(&pool(spec), &pool(spec).spec);
        for n in 1..5 {
            for wish in [&[][..], &["web-6"][..], &["web-9"], &["zz"]] {
                let after = seats_after(add, spec, n, wish);
                assert_eq!(
                    after.len(),
                    before.len() + usize::try_from(n).unwrap(),
                    "{spec} {n} {wish:?}"
                );
                assert!(
                    before
                        .iter()
                        .all(|old| after.iter().any(|new| new.to_ascii_lowercase() == *old)),
                    "{spec} {n} {wish:?}"
                );
                assert!(
                    wish.iter().all(|name| after.iter().any(|new| new == name)),
                    "{spec} {n} {wish:?}"
                );
            }
        }
        for name in &before {
            let after = seats_after(remove, spec, 1, &[name]);
            assert_eq!(after.len(), before.len() - 1, "{spec} {name}");
            assert!(
                after.iter().all(|left| left.to_ascii_lowercase() != *name),
                "{spec} {name}"
            );
            assert!(
                after.iter().all(|left| before.contains(&left.to_ascii_lowercase())),
                "{spec} {name}"
            );
        }
    }
}

#[test]
fn scaling_changes_replicas_alone() {
    let pool = pool("{members: [{name: A}, {name: B}]}");
    assert_eq!(
        scale(&pool, 5).unwrap(),
        PoolSpec {
            replicas: 5,
            ..pool.spec.clone()
        }
    );
    assert!(scale(&pool, 1).unwrap_err().to_string().contains("2 members are named"));
    assert!(scale(&pool, -1).unwrap_err().to_string().contains("0 to 1024"));
    assert!(scale(&pool, 1025).is_err());
}
