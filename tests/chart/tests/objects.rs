//! What is rendered is what an API server takes, asks for no more than it needs, and runs restricted.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::{collections::BTreeSet, fs};

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        batch::v1::Job,
        core::v1::{ConfigMap, Namespace, PodSpec, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use lbpool_api::strict;
use lbpool_chart::{
    Object, chart, render,
    render::text,
    root,
    rules::{Rule, rules},
    value_sets,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Objects of every set of values, and of the chart's own; each with the name of its set.
fn all() -> Vec<(String, Object)> {
    let mut all = Vec::new();
    let mut add = |set: &str, objects: Vec<Object>| all.extend(objects.into_iter().map(|it| (set.to_owned(), it)));
    add("values.yaml", render::<&str>(&[]).unwrap());
    for file in value_sets().unwrap() {
        add(
            &file.file_name().unwrap().to_string_lossy(),
            render(&["--values".as_ref(), file.as_os_str()]).unwrap(),
        );
    }
    all
}

/// Paths at which `written` has something that `read` lost: a field that the kind does not have.
fn lost(written: &Value, read: &Value, path: &str, into: &mut Vec<String>) {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (key, value) in written {
                let path = format!("{path}/{key}");
                match read.get(key) {
                    Some(known) => lost(value, known, &path, into),
                    // What is empty may be left out.
                    None if value.is_null() || *value == Value::Array(Vec::new()) => {}
                    None => into.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(read)) => {
            for (index, (written, read)) in written.iter().zip(read).enumerate() {
                lost(written, read, &format!("{path}/{index}"), into);
            }
        }
        _ => {}
    }
}

fn known<T: DeserializeOwned + Serialize>(value: &Value) -> Vec<String> {
    let read = match serde_json::from_value::<T>(value.clone()) {
        Ok(read) => serde_json::to_value(read).unwrap(),
        Err(error) => return vec![error.to_string()],
    };
    let mut faults = Vec::new();
    lost(value, &read, "", &mut faults);
    faults
}

#[test]
fn every_field_is_one_of_its_kind() {
    for (set, object) in all() {
        let value = &object.0;
        let faults = match object.kind() {
            "Namespace" => known::<Namespace>(value),
            "CustomResourceDefinition" => known::<CustomResourceDefinition>(value),
            "ServiceAccount" => known::<ServiceAccount>(value),
            "ClusterRole" => known::<ClusterRole>(value),
            "ClusterRoleBinding" => known::<ClusterRoleBinding>(value),
            "Role" => known::<Role>(value),
            "RoleBinding" => known::<RoleBinding>(value),
            "Deployment" => known::<Deployment>(value),
            "PodDisruptionBudget" => known::<PodDisruptionBudget>(value),
            "Service" => known::<Service>(value),
            "NetworkPolicy" => known::<NetworkPolicy>(value),
            "ConfigMap" => known::<ConfigMap>(value),
            "Job" => known::<Job>(value),
            // Of the Prometheus operator: no types of theirs are here.
            "ServiceMonitor" | "PodMonitor" | "PrometheusRule" => Vec::new(),
            kind => vec![format!("{kind} is not checked")],
        };
        assert!(faults.is_empty(), "{set}: {object}: {faults:?}");
    }
}

#[test]
fn every_object_says_what_it_belongs_to() {
    for (set, object) in all() {
        for label in ["name", "instance", "version", "part-of"] {
            let label = object.text(&format!("/metadata/labels/app.kubernetes.io~1{label}"));
            assert!(!label.is_empty(), "{set}: {object}");
        }
        let cluster_wide = matches!(
            object.kind(),
            "Namespace" | "CustomResourceDefinition" | "ClusterRole" | "ClusterRoleBinding"
        );
        assert_eq!(object.namespace().is_empty(), cluster_wide, "{set}: {object}");
    }
}

#[test]
fn every_container_is_restricted_and_has_resources() {
    for (set, object) in all() {
        let Some(spec) = object.pod_spec() else { continue };
        let spec: PodSpec = serde_json::from_value(spec.clone()).unwrap();
        restricted(&spec, &format!("{set}: {object}"));
    }
}

#[test]
fn the_sample_pool_is_a_valid_pool_whose_members_are_restricted() {
    for (set, object) in all() {
        let text = object.text("/data/pool.yaml");
        if object.kind() != "ConfigMap" || text.is_empty() {
            continue;
        }
        let read = strict::pool_from_yaml(&set, text).unwrap_or_else(|error| panic!("{error}"));
        assert!(read.skipped.is_empty(), "{set}: {:?}", read.skipped);
        let members = read.pool.spec.template.spec.unwrap();
        restricted(&members, &format!("{set}: the sample pool"));
    }
}

/// Pod Security "restricted", a root file system that can not be written to, and resources.
fn restricted(pod: &PodSpec, of: &str) {
    let security = pod
        .security_context
        .as_ref()
        .unwrap_or_else(|| panic!("{of}: no security context"));
    assert_eq!(security.run_as_non_root, Some(true), "{of}");
    assert_eq!(security.run_as_user, Some(65532), "{of}");
    let seccomp = security.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
    assert_eq!(seccomp, Some("RuntimeDefault"), "{of}");
    assert_eq!(
        (pod.host_network, pod.host_pid, pod.host_ipc),
        (None, None, None),
        "{of}"
    );
    assert!(
        pod.automount_service_account_token.is_some(),
        "{of}: says whether it needs a token"
    );
    assert!(pod.volumes.is_none(), "{of}: needs no volume");
    for container in pod.containers.iter().chain(pod.init_containers.iter().flatten()) {
        let security = container
            .security_context
            .as_ref()
            .unwrap_or_else(|| panic!("{of}: {}", container.name));
        assert_eq!(security.allow_privilege_escalation, Some(false), "{of}");
        assert_eq!(security.read_only_root_filesystem, Some(true), "{of}");
        assert_eq!(security.privileged, None, "{of}");
        let capabilities = security.capabilities.as_ref().unwrap();
        assert_eq!(
            (capabilities.drop.as_deref(), &capabilities.add),
            (Some(&["ALL".to_owned()][..]), &None),
            "{of}"
        );
        let resources = container
            .resources
            .as_ref()
            .unwrap_or_else(|| panic!("{of}: no resources"));
        let requests = resources.requests.as_ref().unwrap();
        assert!(
            requests.contains_key("cpu") && requests.contains_key("memory"),
            "{of}: {requests:?}"
        );
        assert!(resources.limits.as_ref().unwrap().contains_key("memory"), "{of}");
        assert!(container.image_pull_policy.is_some(), "{of}");
    }
}

#[test]
fn no_role_has_a_wildcard_or_reads_secrets() {
    for (set, object) in all() {
        for rule in object.list("/rules") {
            let all: Vec<_> = ["apiGroups", "resources", "verbs"]
                .iter()
                .flat_map(|part| rule[part].as_array().unwrap())
                .map(|value| value.as_str().unwrap())
                .collect();
            assert!(all.iter().all(|it| !it.contains('*')), "{set}: {object}: {rule}");
            for never in ["secrets", "impersonate", "escalate", "bind", "pods/exec", "nodes/proxy"] {
                assert!(!all.contains(&never), "{set}: {object}: {rule}");
            }
            assert!(rule.get("nonResourceURLs").is_none(), "{set}: {object}: {rule}");
        }
    }
}

#[test]
fn what_the_operator_passes_on_it_holds_itself() {
    let objects = render::<&str>(&[]).unwrap();
    let operator = objects
        .iter()
        .find(|it| it.kind() == "ClusterRole" && it.name() == "lbpool-operator")
        .unwrap();
    // The Role of a pool's balancers: operator/core/src/build/access.rs.
    for (group, resource) in [("", "configmaps"), ("discovery.k8s.io", "endpointslices")] {
        let holds = |verb: &str| {
            operator.list("/rules").iter().any(|rule| {
                let has = |part: &str, what: &str| rule[part].as_array().unwrap().contains(&what.into());
                has("apiGroups", group) && has("resources", resource) && has("verbs", verb)
            })
        };
        assert!(["get", "list", "watch"].into_iter().all(holds), "{resource}");
    }
}

#[test]
fn every_rule_names_the_code_that_needs_it() {
    let mut files = BTreeSet::new();
    for file in value_sets().unwrap() {
        let rendered = text(&["--values".as_ref(), file.as_os_str()]).unwrap();
        for rule in rules(&rendered).unwrap() {
            let Rule { role, comment, .. } = &rule;
            assert!(!comment.is_empty(), "{role}: a rule without a comment: {}", rule.rule);
            let words = comment
                .split_whitespace()
                .map(|word| word.trim_end_matches([':', ',', ';']));
            let named: Vec<_> = words
                .filter(|word| word.starts_with("operator/"))
                .map(str::to_owned)
                .collect();
            assert_eq!(
                named.is_empty(),
                rule.is_for_people(),
                "{role}: names no file: {comment}"
            );
            files.extend(named);
        }
    }
    let gone: Vec<_> = files.iter().filter(|file| !root().join(file).is_file()).collect();
    assert!(gone.is_empty(), "rules name files that there are not: {gone:?}");
}

#[test]
fn alerts_use_metrics_that_there_are_and_have_a_runbook() {
    let alerts: Value = serde_yaml::from_slice(&fs::read(chart().join("files/alerts.yaml")).unwrap()).unwrap();
    let metrics: String = ["docs/reference/metrics.md", "docs/operations/metrics.md"]
        .iter()
        .map(|file| fs::read_to_string(root().join(file)).unwrap())
        .collect();
    let runbook = fs::read_to_string(root().join("docs/operations/troubleshooting.md")).unwrap();
    for rule in alerts["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
    {
        let name = rule["alert"].as_str().unwrap();
        let words = rule["expr"]
            .as_str()
            .unwrap()
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        // A label that a PodMonitor makes.
        for metric in words.filter(|word| word.starts_with("lbpool_") && *word != "lbpool_dev_pool") {
            let metric = metric.trim_end_matches("_bucket");
            assert!(
                metrics.contains(&format!("| `{metric}` |")),
                "{name}: {metric} is not documented"
            );
        }
        let link = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert_eq!(link, format!("RUNBOOK#{}", name.to_ascii_lowercase()), "{name}");
        assert!(
            runbook.contains(&format!("\n### {name}\n")),
            "{name} has no section in the runbook"
        );
        assert!(rule["labels"]["severity"].is_string(), "{name}");
    }
}
