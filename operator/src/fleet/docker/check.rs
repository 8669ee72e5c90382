//! What a template asks for that a container engine can not do: named, never passed over in silence.
//!
//! Fields are known or refused: one that a later version of Kubernetes brings is refused too, until somebody has looked
//! at it.

use k8s_openapi::api::core::v1::PodSpec;
use lbpool_core::validate::Problem;
use serde_json::{Map, Value};

const POD: &str = "spec.template.spec";
const NO_SCHEDULER: &str = "an engine is one machine and places nothing: leave it out";
const NO_CLUSTER: &str = "needs a cluster: leave it out, or run the pool in one";

/// A field, and what it may say: anything, or one of these.
type Known = (&'static str, Option<&'static [&'static str]>);

const POD_FIELDS: &[Known] = &[
    ("automountServiceAccountToken", Some(&["false"])),
    ("containers", None),
    ("dnsPolicy", Some(&["ClusterFirst", "Default"])),
    ("enableServiceLinks", None),
    ("hostAliases", None),
    ("restartPolicy", Some(&["Always"])),
    ("schedulerName", Some(&["default-scheduler"])),
    ("securityContext", None),
    ("serviceAccount", Some(&["default"])),
    ("serviceAccountName", Some(&["default"])),
    ("terminationGracePeriodSeconds", None),
    ("volumes", None),
];
const CONTAINER_FIELDS: &[Known] = &[
    ("args", None),
    ("command", None),
    ("env", None),
    // Refused with the rest of the environment.
    ("envFrom", None),
    ("image", None),
    ("imagePullPolicy", None),
    ("name", None),
    ("ports", None),
    ("readinessProbe", None),
    ("resources", None),
    ("securityContext", None),
    ("terminationMessagePath", Some(&["/dev/termination-log"])),
    ("terminationMessagePolicy", Some(&["File"])),
    ("volumeMounts", None),
    ("workingDir", None),
];
const PORT_FIELDS: &[Known] = &[
    ("containerPort", None),
    ("name", None),
    ("protocol", Some(&["TCP", "UDP"])),
];
const MOUNT_FIELDS: &[Known] = &[
    ("mountPath", None),
    ("mountPropagation", Some(&["None"])),
    ("name", None),
    ("readOnly", None),
    ("recursiveReadOnly", Some(&["Disabled"])),
];
const VOLUME_FIELDS: &[Known] = &[("emptyDir", None), ("hostPath", None), ("name", None)];
const AMOUNT_FIELDS: &[Known] = &[("cpu", None), ("memory", None)];
const POD_SECURITY_FIELDS: &[Known] = &[
    ("runAsGroup", None),
    ("runAsNonRoot", None),
    ("runAsUser", None),
    ("seccompProfile", None),
    ("supplementalGroups", None),
    ("sysctls", None),
];
const SECURITY_FIELDS: &[Known] = &[
    ("allowPrivilegeEscalation", None),
    ("capabilities", None),
    ("privileged", None),
    ("readOnlyRootFilesystem", None),
    ("runAsGroup", None),
    ("runAsNonRoot", None),
    ("runAsUser", None),
    ("seccompProfile", None),
];
const PROBE_FIELDS: &[Known] = &[
    ("failureThreshold", None),
    ("httpGet", None),
    ("initialDelaySeconds", None),
    ("periodSeconds", None),
    ("successThreshold", None),
    ("timeoutSeconds", None),
];

/// Everything in a template that an engine can not do.
pub(super) fn refused(spec: &PodSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let spec = match serde_json::to_value(spec) {
        Ok(spec) => spec,
        Err(error) => {
            problems.push(problem(POD, &format!("can not be read: {error}")));
            return problems;
        }
    };
    let mut look = Look {
        problems: &mut problems,
    };
    look.fields(&spec, POD, POD_FIELDS);
    look.fields(
        &spec["securityContext"],
        &format!("{POD}.securityContext"),
        POD_SECURITY_FIELDS,
    );
    look.each(&spec["volumes"], &format!("{POD}.volumes"), VOLUME_FIELDS);
    for (at, container) in list(&spec["containers"]).iter().enumerate() {
        let path = format!("{POD}.containers[{at}]");
        if at > 0 {
            look.problems
                .push(problem(&path, "a member is one container here: leave the others out"));
            continue;
        }
        look.container(container, &path);
    }
    problems
}

/// Goes through fields.
struct Look<'a> {
    problems: &'a mut Vec<Problem>,
}

impl Look<'_> {
    fn container(&mut self, container: &Value, path: &str) {
        let within = |field: &str| format!("{path}.{field}");
        self.fields(container, path, CONTAINER_FIELDS);
        self.each(&container["ports"], &within("ports"), PORT_FIELDS);
        self.each(&container["volumeMounts"], &within("volumeMounts"), MOUNT_FIELDS);
        self.fields(
            &container["securityContext"],
            &within("securityContext"),
            SECURITY_FIELDS,
        );
        self.fields(&container["readinessProbe"], &within("readinessProbe"), PROBE_FIELDS);
        let resources = &container["resources"];
        self.fields(resources, &within("resources"), &[("limits", None), ("requests", None)]);
        for kind in ["limits", "requests"] {
            self.fields(&resources[kind], &within(&format!("resources.{kind}")), AMOUNT_FIELDS);
        }
    }

    fn each(&mut self, values: &Value, path: &str, known: &[Known]) {
        for (at, value) in list(values).iter().enumerate() {
            self.fields(value, &format!("{path}[{at}]"), known);
        }
    }

    fn fields(&mut self, value: &Value, path: &str, known: &[Known]) {
        let none = Map::new();
        for (field, value) in value.as_object().unwrap_or(&none) {
            if is_absent(value) {
                continue;
            }
            let path = format!("{path}.{field}");
            match known.iter().find(|(name, _)| name == field) {
                None => self.problems.push(problem(&path, reason(field))),
                Some((_, Some(may))) if !may.contains(&text(value).as_str()) => {
                    let message = format!("must be {} or left out: {}", may.join(" or "), reason(field));
                    self.problems.push(problem(&path, &message));
                }
                Some(_) => {}
            }
        }
    }
}

/// Why a field is refused.
fn reason(field: &str) -> &'static str {
    match field {
        "affinity"
        | "nodeName"
        | "nodeSelector"
        | "overhead"
        | "preemptionPolicy"
        | "priority"
        | "priorityClassName"
        | "runtimeClassName"
        | "schedulerName"
        | "tolerations"
        | "topologySpreadConstraints" => NO_SCHEDULER,
        "hostPort" | "hostIP" => {
            "all members share one machine, and one of its ports has room for one: clients come through the balancer"
        }
        "hostname" | "subdomain" | "setHostnameAsFQDN" => "a member's hostname is its seat: leave it out",
        "imagePullSecrets" => "log in and pull on the engine: docker login, docker pull",
        "initContainers" | "ephemeralContainers" => "a member is one container here: leave them out",
        "livenessProbe" | "startupProbe" => {
            "nobody restarts a container on a probe here: members that do not answer spec.health get no requests; leave it out"
        }
        "exec" | "grpc" | "tcpSocket" => "members are ready here when spec.health says so: leave the probe out",
        "configMap" | "secret" | "projected" | "downwardAPI" | "persistentVolumeClaim" => {
            "an engine has no such volume: use hostPath or emptyDir"
        }
        "restartPolicy" => "a member that ended is replaced in its seat",
        _ => NO_CLUSTER,
    }
}

/// What says nothing: as if it were not there.
fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn problem(path: &str, message: &str) -> Problem {
    Problem {
        path: path.to_owned(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(yaml: &str) -> Vec<String> {
        let spec: PodSpec = serde_yaml::from_str(yaml).unwrap();
        refused(&spec).into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn what_a_cluster_fills_in_by_itself_is_taken() {
        let spec = "
restartPolicy: Always
dnsPolicy: ClusterFirst
schedulerName: default-scheduler
securityContext: {}
terminationGracePeriodSeconds: 5
hostNetwork: false
containers:
- name: c
  image: i
  imagePullPolicy: IfNotPresent
  terminationMessagePath: /dev/termination-log
  terminationMessagePolicy: File
  ports: [{name: http, containerPort: 5000, protocol: TCP}]
  readinessProbe: {httpGet: {path: /heartbeat, port: http}, periodSeconds: 1}
  resources: {requests: {cpu: 50m, memory: 32Mi}, limits: {memory: 128Mi}}
";
        assert_eq!(paths(spec), [""; 0]);
    }

    #[test]
    fn what_an_engine_can_not_do_is_named_all_at_once() {
        let spec = "
affinity: {nodeAffinity: {}}
nodeSelector: {disk: ssd}
hostNetwork: true
volumes: [{name: a, configMap: {name: x}}, {name: b, emptyDir: {}}]
initContainers: [{name: i}]
containers:
- name: c
  image: i
  ports: [{containerPort: 1}, {containerPort: 2, hostPort: 2}]
  livenessProbe: {httpGet: {port: 1}}
  readinessProbe: {exec: {command: [x]}}
  resources: {limits: {nvidia.com/gpu: 1}}
  lifecycle: {preStop: {sleep: {seconds: 1}}}
- name: sidecar
";
        let first = "spec.template.spec.containers[0]";
        let mut want = vec![
            "spec.template.spec.affinity".to_owned(),
            "spec.template.spec.hostNetwork".to_owned(),
            "spec.template.spec.initContainers".to_owned(),
            "spec.template.spec.nodeSelector".to_owned(),
            "spec.template.spec.volumes[0].configMap".to_owned(),
            format!("{first}.lifecycle"),
            format!("{first}.livenessProbe"),
            format!("{first}.ports[1].hostPort"),
            format!("{first}.readinessProbe.exec"),
            format!("{first}.resources.limits.nvidia.com/gpu"),
            "spec.template.spec.containers[1]".to_owned(),
        ];
        let mut got = paths(spec);
        want.sort();
        got.sort();
        assert_eq!(got, want);
    }
}
