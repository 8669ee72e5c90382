//! The chart renders with every set of values, and refuses what can not be meant.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::fs;

use lbpool_chart::{Object, chart, lint, render, render::notes, value_sets, values};

fn with(file: &std::path::Path) -> [&std::ffi::OsStr; 2] {
    ["--values".as_ref(), file.as_os_str()]
}

fn one<'a>(objects: &'a [Object], kind: &str, name: &str) -> &'a Object {
    let mut found = objects.iter().filter(|it| it.kind() == kind && it.name() == name);
    found.next().unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn refused(options: &[&str], because: &str) {
    let error = format!("{:#}", render(options).unwrap_err());
    assert!(error.contains(because), "{options:?}: {error}");
}

#[test]
fn every_set_of_values_passes_lint() {
    lint::<&str>(&[]).unwrap();
    for file in value_sets().unwrap() {
        lint(&with(&file)).unwrap();
    }
}

#[test]
fn no_object_is_rendered_twice() {
    for file in value_sets().unwrap() {
        let mut names: Vec<_> = render(&with(&file)).unwrap().iter().map(Object::to_string).collect();
        let rendered = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), rendered, "{}", file.display());
    }
}

#[test]
fn a_typo_in_a_value_is_refused() {
    refused(&["--set", "operator.replica=3"], "'replica'");
    refused(&["--set", "demo.enable=true"], "'enable'");
    refused(&["--set", "networkpolicy.enabled=true"], "'networkpolicy'");
    refused(&["--set", "metrics.serviceMonitor.label.a=b"], "'label'");
}

#[test]
fn a_value_of_the_wrong_type_is_refused() {
    refused(&["--set-string", "operator.replicas=two"], "operator/replicas");
    refused(&["--set", "image.pullPolicy=Sometimes"], "image/pullPolicy");
    refused(
        &["--set", "operator.leaderElection.leaseDuration=15"],
        "leaderElection/leaseDuration",
    );
    refused(&["--set", "watchNamespaces={Shop}"], "watchNamespaces/0");
    refused(&["--set", "operator.image.digest=sha256:short"], "image/digest");
}

#[test]
fn what_would_not_work_is_refused_with_the_reason() {
    refused(
        &["--set", "operator.leaderElection.enabled=false"],
        "two operators would both lead",
    );
    refused(
        &["--set", "serviceAccount.create=false"],
        "serviceAccount.name is needed",
    );
    refused(
        &["--set", "demo.enabled=true", "--set", "watchNamespaces={shop}"],
        "none of watchNamespaces",
    );
    refused(
        &[
            "--set",
            "metrics.service.enabled=false",
            "--set",
            "metrics.serviceMonitor.enabled=true",
        ],
        "needs metrics.service.enabled",
    );
}

#[test]
fn the_schema_knows_the_values_and_no_others() {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let documented: Vec<_> = values::documented(&text)
        .unwrap()
        .into_iter()
        .map(|it| it.path)
        .collect();
    let schema: serde_json::Value =
        serde_json::from_slice(&fs::read(chart().join("values.schema.json")).unwrap()).unwrap();
    let mut known = Vec::new();
    leaves(&schema, "", &documented, &mut known);
    // helm's own, for charts that depend on this one.
    known.retain(|path| path != "global");
    known.sort();
    let mut documented = documented;
    documented.sort();
    assert_eq!(known, documented);
}

/// Paths of a schema down to what is documented; an object with fixed keys refuses others.
fn leaves(schema: &serde_json::Value, path: &str, documented: &[String], into: &mut Vec<String>) {
    let properties = schema.get("properties").and_then(serde_json::Value::as_object);
    let Some(properties) = properties.filter(|_| !documented.iter().any(|it| it == path)) else {
        into.push(path.to_owned());
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{path:?} takes any key");
    for (key, inner) in properties {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        leaves(inner, &path, documented, into);
    }
}

#[test]
fn versions_are_those_of_the_workspace() {
    let about: serde_json::Value = serde_yaml::from_slice(&fs::read(chart().join("Chart.yaml")).unwrap()).unwrap();
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn images_carry_the_version_unless_told_otherwise() {
    let objects = render::<&str>(&["--set", "demo.enabled=true"]).unwrap();
    let operator = one(&objects, "Deployment", "lbpool-operator");
    let version = env!("CARGO_PKG_VERSION");
    let image = operator.text("/spec/template/spec/containers/0/image");
    assert_eq!(image, format!("lbpool.dev/operator:{version}"));
    let balancer = format!("--balancer-image=lbpool.dev/balancer:{version}");
    assert!(
        operator
            .list("/spec/template/spec/containers/0/args")
            .contains(&balancer.into())
    );
    let pool = one(&objects, "ConfigMap", "lbpool-demo").text("/data/pool.yaml");
    assert!(
        pool.contains(&format!("image: lbpool.dev/backend:{version}\n")),
        "{pool}"
    );
}

#[test]
fn the_definition_is_kept_when_the_release_goes() {
    let name = "loadbalancerpools.lbpool.dev";
    let keep = "/metadata/annotations/helm.sh~1resource-policy";
    let objects = render::<&str>(&[]).unwrap();
    assert_eq!(one(&objects, "CustomResourceDefinition", name).text(keep), "keep");
    let objects = render(&["--set", "crds.keep=false"]).unwrap();
    assert_eq!(one(&objects, "CustomResourceDefinition", name).text(keep), "");
    let objects = render(&["--set", "crds.install=false"]).unwrap();
    assert!(objects.iter().all(|it| it.kind() != "CustomResourceDefinition"));
}

#[test]
fn the_definition_is_the_generated_one() {
    let objects = render(&["--set", "crds.keep=false"]).unwrap();
    let rendered = one(&objects, "CustomResourceDefinition", "loadbalancerpools.lbpool.dev");
    assert_eq!(rendered.0["spec"], lbpool_api::crd::json().unwrap()["spec"]);
}

#[test]
fn watched_namespaces_have_roles_of_their_own() {
    let objects = render(&["--set", "watchNamespaces={shop,chat,shop}"]).unwrap();
    let roles: Vec<_> = objects
        .iter()
        .filter(|it| it.kind() == "Role" && it.name() == "lbpool-operator-pools")
        .map(Object::namespace)
        .collect();
    assert_eq!(roles, ["shop", "chat"]);
    let cluster = one(&objects, "ClusterRole", "lbpool-operator");
    let left = cluster.list("/rules");
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["resources"], serde_json::json!(["nodes"]));
    let operator = one(&objects, "Deployment", "lbpool-operator");
    assert!(
        operator
            .list("/spec/template/spec/containers/0/args")
            .contains(&"--namespace=shop,chat".into())
    );
}

#[test]
fn the_sample_pools_job_is_another_one_when_its_content_is() {
    let job = |options: &[&str]| {
        let options = [&["--set", "demo.enabled=true"], options].concat();
        let objects = render(&options).unwrap();
        objects.iter().find(|it| it.kind() == "Job").unwrap().name().to_owned()
    };
    assert_eq!(
        job(&[]),
        job(&["--set", "operator.replicas=3"]),
        "a Job can not be changed, and need not be"
    );
    assert_ne!(job(&[]), job(&["--set", "demo.image.tag=9.9.9"]));
    assert_ne!(job(&[]), job(&["--set", "operator.image.tag=9.9.9"]));
}

#[test]
fn the_notes_tell_the_next_command() {
    let plain = notes::<&str>(&[]).unwrap();
    assert!(
        plain.contains("kubectl rollout status --namespace lbpool-system deployment/lbpool-operator"),
        "{plain}"
    );
    assert!(
        plain.contains("kubectl apply --namespace default -f - <<'EOF'\n  # A pool to try out"),
        "{plain}"
    );
    let sample = notes(&["--set", "demo.enabled=true"]).unwrap();
    assert!(
        sample.contains("kubectl scale --namespace default lbpool/demo --replicas 5"),
        "{sample}"
    );
    assert!(!sample.contains("<<'EOF'"), "{sample}");
    for file in value_sets().unwrap() {
        notes(&with(&file)).unwrap();
    }
}
