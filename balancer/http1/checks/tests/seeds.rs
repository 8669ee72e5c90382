//! What the fuzzer found worth keeping, on any compiler: each seed goes through the check of its folder.

use std::{fs, panic, path::Path};

use lbpool_http1_checks::CHECKS;

#[test]
fn every_seed_holds() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, check) in CHECKS {
        let mut seeds = 0;
        for entry in fs::read_dir(corpora.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let held = panic::catch_unwind(|| check(&bytes));
            assert!(
                held.is_ok(),
                "{}: {:?}",
                path.display(),
                String::from_utf8_lossy(&bytes)
            );
            seeds += 1;
        }
        assert!(seeds >= 10, "{name}: {seeds} seeds");
    }
}

#[test]
fn every_folder_of_seeds_has_a_check_and_a_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut folders: Vec<String> = fs::read_dir(fuzz.join("corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort_unstable();
    let names: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
    assert_eq!(folders, names);
    for name in names {
        assert!(fuzz.join(format!("targets/{name}.rs")).is_file(), "{name}");
    }
}
