//! What the accounts may do is what is written down: a rule more has to be argued for.

use std::{fs, path::Path};

use lbpool_tests_cluster::{Namespace, Operator, Pool};

/// Compares with what is committed; `LBPOOL_E2E_WRITE=1` writes it anew.
fn compare(file: &str, list: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rbac").join(file);
    // Columns are as wide as the longest cell: one rule more would change every line.
    let mut lines: Vec<_> = list
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    lines.sort();
    let list = lines.join("\n") + "\n";
    if std::env::var_os("LBPOOL_E2E_WRITE").is_some() {
        fs::write(&path, &list).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == list,
        "{} differs; what the account may do now:\n{list}",
        path.display()
    );
}

#[test]
fn the_operators_account_may_do_what_is_written_down() {
    let namespace = Namespace::new("rbac");
    for (file, place) in [
        ("operator.txt", namespace.name()),
        ("operator-own-namespace.txt", Operator::NAMESPACE),
    ] {
        let list = lbpool_tests_cluster::kubectl(&["auth", "can-i", "--list", "-n", place, "--as", Operator::ACCOUNT]);
        compare(file, &list.ok());
    }
}

#[test]
fn a_balancers_account_may_do_what_is_written_down() {
    let namespace = Namespace::new("rbac");
    let _ = namespace.pool(&Pool {
        replicas: 1,
        ..Pool::default()
    });
    let account = format!("system:serviceaccount:{}:demo-balancer", namespace.name());
    let list = namespace.kubectl(&["auth", "can-i", "--list", "--as", &account]);
    compare("balancer.txt", &list.ok());
    // Elsewhere it may do nothing that others may not.
    let list = lbpool_tests_cluster::kubectl(&["auth", "can-i", "--list", "-n", "default", "--as", &account]);
    compare("nobody.txt", &list.ok());
}
