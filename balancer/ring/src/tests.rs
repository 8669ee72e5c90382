//! Properties of the tables as callers see them.

use super::*;

#[test]
fn figures() {
    for n in [3, 10, 30, 100] {
        let mut all = vec![];
        for set in 0..30 {
            let list = |n| (0..n).map(|i| Member::new(format!("p{set}-{i}"))).collect::<Vec<_>>();
            let a = Table::build(&list(n)).unwrap();
            let b = a.change(Algorithm::Rendezvous, &list(n + 1)).unwrap();
            all.push(b.moved_from(&a) * (n + 1) as f64);
        }
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        println!("{n}: mean {mean:.4} {all:.3?}");
    }
}
