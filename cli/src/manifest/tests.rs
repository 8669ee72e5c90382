use std::fs;

use super::*;

#[test]
fn the_sample_is_a_good_pool() {
    let pool = demo(Overrides::default()).unwrap();
    assert_eq!((pool.metadata.name.as_deref(), pool.spec.replicas), (Some("demo"), 3));
    let container = &pool.spec.template.spec.as_ref().unwrap().containers[0];
    assert_eq!(container.command.as_deref(), Some(["backend".to_owned()].as_slice()));
}

#[test]
fn replicas_of_the_command_line_replace_those_of_the_file_and_are_checked_too() {
    assert_eq!(demo(Overrides { replicas: Some(7) }).unwrap().spec.replicas, 7);
    let error = demo(Overrides { replicas: Some(2000) }).unwrap_err().to_string();
    assert_eq!(error, "sample pool: --replicas: is 2000, must be 0 to 1024");
}

#[test]
fn what_only_the_whole_pool_shows_is_reported_with_its_line() {
    let text = DEMO.replace(
        "  replicas: 3\n",
        "  replicas: 3\n  members:\n    - name: a\n    - {name: A}\n",
    );
    let error = parse("pool.yaml", &text, Overrides::default()).unwrap_err().to_string();
    let line = text.lines().position(|line| line.contains("{name: A}")).unwrap() + 1;
    assert!(
        error.starts_with(&format!(
            "pool.yaml:{line}: spec.members[1].name: A is also the name of"
        )),
        "{error}"
    );
}

#[test]
fn files_that_can_not_be_read_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let missing = load(&dir.path().join("none.yaml"), Overrides::default()).unwrap_err();
    assert!(missing.to_string().starts_with("can not read "), "{missing}");
    let large = dir.path().join("large.yaml");
    fs::write(&large, vec![b'#'; 5 * 1024 * 1024]).unwrap();
    assert!(matches!(load(&large, Overrides::default()), Err(Error::Large { .. })));
    let binary = dir.path().join("binary");
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    assert!(matches!(load(&binary, Overrides::default()), Err(Error::Read { .. })));
}
