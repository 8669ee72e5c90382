//! deploy/ is the chart, rendered: `kubectl apply -f deploy/` works at the first try on an empty cluster.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use lbpool_chart::{Object, object, render, root};

/// Files as `kubectl apply -f deploy/` reads them: in order, those of its folders left out.
fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("deploy"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|it| it.extension().is_some_and(|it| it == "yaml"))
        .collect();
    files.sort();
    files
}

fn objects(file: &Path) -> Vec<Object> {
    object::parse(&fs::read_to_string(file).unwrap()).unwrap()
}

fn applied() -> Vec<Object> {
    files().iter().flat_map(|file| objects(file)).collect()
}

fn rendered() -> Vec<Object> {
    let values = root().join("charts/lbpool/ci/deploy-values.yaml");
    render(&["--values".as_ref(), values.as_os_str()]).unwrap()
}

#[test]
fn deploy_holds_all_that_the_chart_renders() {
    let names = |objects: Vec<Object>| objects.iter().map(Object::to_string).collect::<BTreeSet<_>>();
    assert_eq!(
        names(applied()),
        names(rendered()),
        "a template is missing in .ci/generate"
    );
}

#[test]
fn deploy_holds_it_as_the_chart_renders_it() {
    let rendered = rendered();
    for object in applied() {
        // Helm's annotation and labels are of no use without helm; the file is generated from the types.
        if object.kind() != "CustomResourceDefinition" {
            assert!(
                rendered.contains(&object),
                "{object} is out of date: run `make generate`"
            );
        }
    }
}

#[test]
fn a_namespace_and_an_account_come_before_what_needs_them() {
    let mut known = BTreeSet::from(["default".to_owned()]);
    let mut accounts = BTreeSet::new();
    for object in applied() {
        match object.kind() {
            "Namespace" => _ = known.insert(object.name().to_owned()),
            "ServiceAccount" => _ = accounts.insert((object.namespace().to_owned(), object.name().to_owned())),
            _ => {}
        }
        if !object.namespace().is_empty() {
            assert!(
                known.contains(object.namespace()),
                "{object} comes before its namespace"
            );
        }
        if object.pod_spec().is_some() {
            let account = object.text("/spec/template/spec/serviceAccountName").to_owned();
            assert!(
                accounts.contains(&(object.namespace().to_owned(), account)),
                "{object} comes before its account"
            );
        }
    }
}

#[test]
fn no_object_is_of_a_kind_that_comes_with_it() {
    // kubectl looks all kinds up before it applies the first object: one such object fails the whole command.
    for object in applied() {
        assert!(!object.text("/apiVersion").starts_with("lbpool.dev/"), "{object}");
    }
}

#[test]
fn the_definition_comes_first() {
    let first = files().remove(0);
    let kinds: Vec<_> = objects(&first).iter().map(|it| it.kind().to_owned()).collect();
    assert_eq!(kinds, ["CustomResourceDefinition"]);
}

#[test]
fn the_sample_pool_is_made_in_the_namespace_default() {
    let applied = applied();
    let job = applied.iter().find(|it| it.kind() == "Job").unwrap();
    let args = job.list("/spec/template/spec/containers/0/args");
    assert_eq!(args[0], "create-pool");
    assert!(args.contains(&"--from-namespace=default".into()), "{args:?}");
    let from = args[2].as_str().unwrap().strip_prefix("--from-config-map=").unwrap();
    let holds = |it: &&Object| it.kind() == "ConfigMap" && it.name() == from && it.namespace() == "default";
    let pool = applied.iter().find(holds).unwrap().text("/data/pool.yaml");
    let pool = lbpool_api::strict::pool_from_yaml("pool.yaml", pool).unwrap().pool;
    assert_eq!((pool.metadata.name.as_deref(), pool.spec.replicas), (Some("demo"), 3));
}
