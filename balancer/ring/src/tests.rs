//! Properties of the tables as callers see them.

use super::*;
use std::time::Duration;

fn pool(count: usize) -> Vec<Member> {
    (0..count).map(|index| Member::new(format!("demo-{index}"))).collect()
}

fn weighted(count: usize) -> Vec<Member> {
    (0..count)
        .map(|index| Member::weighted(format!("demo-{index}"), 1 + index as u32 % 4))
        .collect()
}

#[test]
fn figures() {
    for n in [1, 3, 10, 30, 100, 1000] {
        for (what, list) in [("equal", pool as fn(usize) -> Vec<Member>), ("weighted", weighted)] {
            let start = std::time::SystemTime::now();
            let a = Table::build(&list(n)).unwrap();
            let built = start.elapsed().unwrap_or(Duration::ZERO);
            let start = std::time::SystemTime::now();
            let b = a.change(Algorithm::Rendezvous, &list(n + 1)).unwrap();
            let changed = start.elapsed().unwrap_or(Duration::ZERO);
            assert_eq!(b.digest(), Table::build(&list(n + 1)).unwrap().digest());
            let total: u32 = b.members().iter().map(|m| m.weight).sum();
            let ideal = f64::from(b.members()[n].weight) / f64::from(total);
            let total: u32 = a.members().iter().map(|m| m.weight).sum();
            let worst = a
                .shares()
                .iter()
                .zip(a.members())
                .map(|(s, m)| s * f64::from(total) / f64::from(m.weight))
                .fold(0.0, f64::max);
            println!(
                "{what} {n}: built {built:?} changed {changed:?} max/fair {worst:.4} moved {:.4} x{:.3}",
                b.moved_from(&a),
                b.moved_from(&a) / ideal
            );
        }
    }
}
