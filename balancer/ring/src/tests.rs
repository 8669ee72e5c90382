//! Properties of the tables as callers see them.

use super::*;
use proptest::prelude::*;

const ALL: [Algorithm; 4] = [
    Algorithm::Rendezvous,
    Algorithm::Ring,
    Algorithm::Maglev,
    Algorithm::Classroom,
];

/// Sizes for which the promises on balance and movement hold.
const SIZES: [usize; 4] = [3, 10, 30, 100];

fn equal(count: usize) -> Vec<Member> {
    (0..count).map(|index| Member::new(format!("demo-{index}"))).collect()
}

fn weighted(count: usize) -> Vec<Member> {
    (0..count)
        .zip([1, 2, 3, 4].into_iter().cycle())
        .map(|(i, weight)| Member::weighted(format!("demo-{i}"), weight))
        .collect()
}

fn owner_name(table: &Table, key: &[u8]) -> String {
    table
        .owner(table.hash(key))
        .map(|index| table.members()[index].name.to_string())
        .unwrap()
}

fn total(members: &[Member]) -> f64 {
    members.iter().map(|member| f64::from(member.weight)).sum()
}

/// The greatest share against what is fair.
fn worst(table: &Table) -> f64 {
    let total = total(table.members());
    let against_fair = |(share, member): (&f64, &Member)| share * total / f64::from(member.weight);
    table
        .shares()
        .iter()
        .zip(table.members())
        .map(against_fair)
        .fold(0.0, f64::max)
}

/// Keys moved by `from` -> `to`, against the least that could.
fn movement(from: &[Member], to: &[Member]) -> f64 {
    let share = |list: &[Member], name: &str| {
        list.iter()
            .filter(|member| &*member.name == name)
            .map(|member| f64::from(member.weight))
            .sum::<f64>()
            / total(list)
    };
    let grows = |member: &Member| (share(to, &member.name) - share(from, &member.name)).max(0.0);
    let ideal: f64 = to.iter().map(grows).sum();
    let before = Table::build(from).unwrap();
    before.change(Algorithm::Rendezvous, to).unwrap().moved_from(&before) / ideal
}

#[test]
fn no_member_gets_much_more_than_its_fair_share() {
    for n in SIZES {
        for members in [equal(n), weighted(n)] {
            let worst = worst(&Table::build(&members).unwrap());
            assert!(worst <= 1.011, "{n} members: {worst}");
        }
    }
}

#[test]
fn a_member_that_joins_or_leaves_moves_little_more_than_its_share() {
    for n in SIZES {
        let (members, more) = (equal(n), equal(n + 1));
        let mut fewer = members.clone();
        fewer.remove(n / 2);
        for (what, ratio) in [
            ("joins", movement(&members, &more)),
            ("leaves", movement(&more, &members)),
            ("leaves from the middle", movement(&members, &fewer)),
        ] {
            assert!(ratio <= 1.08, "{n} members, one {what}: {ratio}");
        }
    }
}

#[test]
fn a_weighted_member_that_joins_or_leaves_moves_little_more_than_its_share() {
    for n in SIZES {
        let (members, more) = (weighted(n), weighted(n + 1));
        for (what, ratio) in [
            ("joins", movement(&members, &more)),
            ("leaves", movement(&more, &members)),
        ] {
            assert!(ratio <= 1.15, "{n} members, one {what}: {ratio}");
        }
    }
}

#[test]
fn keys_come_home() {
    for algorithm in ALL {
        let before = Table::build_with(algorithm, &equal(5)).unwrap();
        let between = before.change(algorithm, &equal(3)).unwrap();
        let after = between.change(algorithm, &equal(5)).unwrap();
        assert!(between.moved_from(&before) > 0.01, "{algorithm}");
        assert!(after.moved_from(&before) < 1e-12, "{algorithm}");
        assert_eq!(after.digest(), before.digest(), "{algorithm}");
    }
}

#[test]
fn the_order_of_the_members_does_not_matter() {
    let members = weighted(7);
    let reversed: Vec<Member> = members.iter().rev().cloned().collect();
    for algorithm in [Algorithm::Rendezvous, Algorithm::Ring, Algorithm::Maglev] {
        let (one, other) = (
            Table::build_with(algorithm, &members).unwrap(),
            Table::build_with(algorithm, &reversed).unwrap(),
        );
        assert_eq!(one.digest(), other.digest(), "{algorithm}");
        assert!(one.moved_from(&other) < 1e-12, "{algorithm}");
        for key in 0..1000_u32 {
            let key = key.to_string();
            assert_eq!(
                owner_name(&one, key.as_bytes()),
                owner_name(&other, key.as_bytes()),
                "{algorithm}"
            );
        }
    }
}

#[test]
fn case_and_a_common_factor_of_the_weights_move_nothing() {
    let small: Vec<Member> = ["s5", "s10", "a"].map(Member::new).to_vec();
    let large: Vec<Member> = ["S5", "S10", "A"].map(|name| Member::weighted(name, 2)).to_vec();
    let (small, large) = (Table::build(&small).unwrap(), Table::build(&large).unwrap());
    assert!(large.moved_from(&small) < 1e-12);
    assert_ne!(large.digest(), small.digest(), "the digest tells weights apart");
}

#[test]
fn a_rank_begins_with_the_owner_and_names_each_member_once() {
    for algorithm in ALL {
        for n in [1, 2, 9, 56] {
            let table = Table::build_with(algorithm, &equal(n)).unwrap();
            for key in ["a", "b", "17", "123456", "cart/42"] {
                let rank: Vec<usize> = table.rank(key.as_bytes()).collect();
                assert_eq!(
                    rank.first().copied(),
                    table.owner(table.hash(key.as_bytes())),
                    "{algorithm}, {n}, {key}"
                );
                let mut sorted = rank.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..n).collect::<Vec<_>>(), "{algorithm}, {n}, {key}");
                assert_eq!(table.rank(key.as_bytes()).len(), n);
            }
        }
    }
}

#[test]
fn an_absent_owner_leaves_its_keys_to_all_others() {
    let table = Table::build(&equal(10)).unwrap();
    let mut second = [0; 10];
    for key in 0..20_000_u32 {
        let mut rank = table.rank(&key.to_le_bytes());
        if rank.next() == Some(3) {
            second[rank.next().unwrap()] += 1;
        }
    }
    assert_eq!(second[3], 0);
    for (member, &count) in second.iter().enumerate().filter(|(member, _)| *member != 3) {
        assert!(
            (150..=300).contains(&count),
            "member {member} gets {count} of about 2,000 keys"
        );
    }
}

#[test]
fn none_one_two_and_the_most_members() {
    for algorithm in [Algorithm::Rendezvous, Algorithm::Ring, Algorithm::Maglev] {
        let none = Table::build_with(algorithm, &[]).unwrap();
        assert_eq!(
            (none.owner(7), none.rank(b"a").next(), none.shares()),
            (None, None, vec![]),
            "{algorithm}"
        );
        let one = none.change(algorithm, &equal(1)).unwrap();
        assert_eq!((one.owner(u64::MAX), one.owner(0)), (Some(0), Some(0)), "{algorithm}");
        assert!((one.moved_from(&none) - 1.0).abs() < 1e-12, "{algorithm}");
        let two = one.change(algorithm, &equal(2)).unwrap();
        assert!(
            two.shares().iter().all(|share| (0.4..=0.6).contains(share)),
            "{algorithm}: {:?}",
            two.shares()
        );
        let most = Table::build_with(algorithm, &equal(MAX_MEMBERS)).unwrap();
        assert!((most.shares().iter().sum::<f64>() - 1.0).abs() < 1e-6, "{algorithm}");
        assert_eq!(most.rank(b"cart/42").count(), MAX_MEMBERS, "{algorithm}");
        let error = Table::build_with(algorithm, &equal(MAX_MEMBERS + 1)).unwrap_err();
        assert_eq!(error, Error::TooManyMembers { count: MAX_MEMBERS + 1 }, "{algorithm}");
    }
    let most = Table::build(&equal(MAX_MEMBERS)).unwrap();
    assert!(worst(&most) <= 1.012, "{}", worst(&most));
}

#[test]
fn wrong_members_are_refused_with_what_is_wrong() {
    let refused = |members: &[Member]| Table::build(members).unwrap_err().to_string();
    assert_eq!(
        refused(&[Member::weighted("m-0", 0)]),
        "member m-0: weight 0 is not within 1..=1000"
    );
    assert_eq!(
        refused(&[Member::weighted("m-0", 1001)]),
        "member m-0: weight 1001 is not within 1..=1000"
    );
    assert_eq!(
        refused(&[Member::new("S5"), Member::new("m-0"), Member::new("s5")]),
        "members S5 and s5 have the same name (case does not count); rename one"
    );
    let heavy: Vec<Member> = (0..27)
        .map(|index| Member::weighted(format!("m-{index}"), 1000))
        .collect();
    assert_eq!(
        Table::build_with(Algorithm::Ring, &heavy).unwrap_err(),
        Error::RingTooHeavy { total: 27_000 }
    );
}

#[test]
fn movement_between_algorithms_is_estimated() {
    let rendezvous = Table::build(&equal(4)).unwrap();
    let maglev = rendezvous.change(Algorithm::Maglev, &equal(4)).unwrap();
    let moved = maglev.moved_from(&rendezvous);
    assert!((moved - 0.75).abs() < 0.01, "{moved}");
}

#[test]
fn ring_members_that_stay_exchange_no_key() {
    let (before, after) = (
        Table::build_with(Algorithm::Ring, &equal(10)).unwrap(),
        Table::build_with(Algorithm::Ring, &equal(11)).unwrap(),
    );
    for key in 0..20_000_u32 {
        let (then, now) = (
            owner_name(&before, &key.to_le_bytes()),
            owner_name(&after, &key.to_le_bytes()),
        );
        assert!(now == then || now == "demo-10", "{key}: {then} -> {now}");
    }
    let came = after.shares()[10];
    assert!((after.moved_from(&before) - came).abs() < 1e-9);
    assert!(worst(&after) < 1.25, "{}", worst(&after));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Through any history: what `change` gives is what `build` gives.
    #[test]
    fn a_table_has_no_history(steps in prop::collection::vec(prop::collection::btree_map(0..20_u8, 1..5_u32, 0..14), 1..6)) {
        let mut table = Table::build(&[]).unwrap();
        for step in steps {
            let members: Vec<Member> = step.iter().map(|(n, w)| Member::weighted(format!("m-{n}"), *w)).collect();
            table = table.change(Algorithm::Rendezvous, &members).unwrap();
            let built = Table::build(&members).unwrap();
            prop_assert_eq!(table.digest(), built.digest());
            for key in 0..200_u32 {
                let key = key.to_le_bytes();
                prop_assert!(table.rank(&key).eq(built.rank(&key)));
            }
        }
    }
}

#[test]
fn many_small_changes_give_the_table_of_one_build() {
    let mut members = weighted(60);
    let mut table = Table::build(&members).unwrap();
    for (step, late) in (0..12).zip(1..) {
        members.remove(step * 3);
        members.push(Member::weighted(format!("late-{step}"), 1 + late % 3));
        members[step].weight = 1 + (members[step].weight + 1) % 4;
        table = table.change(Algorithm::Rendezvous, &members).unwrap();
    }
    assert_eq!(table.digest(), Table::build(&members).unwrap().digest());
}
