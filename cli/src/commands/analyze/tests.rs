use clap::Parser as _;

use super::*;

/// The flags alone, as the command has them.
#[derive(clap::Parser, Debug)]
struct Flags {
    #[command(flatten)]
    args: AnalyzeArgs,
}

fn plan(flags: &[&str]) -> anyhow::Result<Plan> {
    let flags = Flags::try_parse_from(["analyze"].iter().chain(flags))?;
    Plan::new(flags.args)
}

#[test]
fn charts_have_a_small_and_a_large_number_of_requests() {
    let plan = plan(&[]).unwrap();
    assert_eq!(plan.series(3), [1000, 10_000]);
    assert_eq!(plan.series(4), [10_000]);
    assert_eq!(plan.total(), 4 * (6 * 10_000 + 3 * 1000 + 2 * 3 * 10_000 + 4000 + 1000));
    assert_eq!(super::tests::plan(&["--requests", "500"]).unwrap().series(3), [500]);
}

#[test]
fn a_quick_run_asks_for_the_same_with_less() {
    let quick = plan(&["--quick"]).unwrap();
    assert_eq!((quick.requests, quick.algorithms.len()), (2000, 4));
    assert_eq!(quick.kill_load(), 800);
    let some = plan(&[
        "--quick",
        "--no-kill",
        "--algorithms",
        "ring,rendezvous",
        "--requests",
        "3000",
    ])
    .unwrap();
    assert_eq!((some.requests, some.kill_requests() == some.kill_check()), (3000, true));
    assert_eq!(some.algorithms, [Algorithm::Ring, Algorithm::Rendezvous]);
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (flags, reason) in [
        (&["--keys", "file"][..], "needs --key-file"),
        (&["--key-file", "keys.txt"], "--keys file only"),
        (&["--path", "home"], "does not begin with /"),
        (&["--url", "http://127.0.0.1:5000"], "POOL"),
        (&["--connections", "0"], "--connections"),
        (
            &["--keys", "file", "--key-file", "/nowhere/keys.txt"],
            "can not read /nowhere",
        ),
    ] {
        let error = format!("{:#}", plan(flags).unwrap_err());
        assert!(error.contains(reason), "{flags:?}: {error}");
    }
}

#[test]
fn keys_come_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.txt");
    fs::write(&file, "cart/1\ncart/2\n").unwrap();
    let plan = plan(&["--keys", "file", "--key-file", file.to_str().unwrap()]).unwrap();
    assert_eq!(plan.keys.distinct(1, 10).len(), 2);
}
