//! The Deployment of a pool's balancers.

use std::time::Duration;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction,
            KeyToPath, ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements,
            SeccompProfile, SecretVolumeSource, SecurityContext, TopologySpreadConstraint, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use lbpool_api::names::{ADMIN_PORT, LABEL_ROLE, ROLE_BALANCER, balancer_name};

use super::{Settings, label_selector, labels_of, meta};
use crate::ValidPool;

/// Name of the port that users' requests come in at, and of the same port with TLS.
const HTTP: &str = "http";
pub(super) const HTTPS: &str = "https";
const HTTP_PORT: u16 = 8080;
/// How long a balancer that ends goes on accepting: every node's rules must have forgotten it by then.
const DRAIN_DELAY: Duration = Duration::from_secs(5);
/// How long a request may take to finish, at least.
const GRACE_LEAST: Duration = Duration::from_secs(30);
/// What is left for the process to end after that.
const END: Duration = Duration::from_secs(5);
const SNAPSHOT_DIR: &str = "/var/lib/lbpool";
/// Where the Secret with certificate and key is mounted: as a folder, which follows the Secret. A file of it alone (`subPath`)
/// would not.
const TLS_DIR: &str = "/etc/lbpool/tls";
/// Keys of such a Secret, and their files.
const TLS_FILES: [&str; 2] = ["tls.crt", "tls.key"];
/// For the group of the process, and nobody else.
const TLS_MODE: i32 = 0o440;

/// Name of the port that users' requests come in at.
pub(super) const fn users_port(pool: &ValidPool) -> &'static str {
    if pool.balancer.tls.is_some() { HTTPS } else { HTTP }
}

pub(super) fn deployment(pool: &ValidPool, settings: &Settings) -> Deployment {
    Deployment {
        metadata: meta(pool, balancer_name(&pool.name)),
        spec: Some(DeploymentSpec {
            replicas: Some(pool.balancer.replicas),
            selector: label_selector(pool, ROLE_BALANCER),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: template(pool, settings),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

fn template(pool: &ValidPool, settings: &Settings) -> PodTemplateSpec {
    let wishes = pool.balancer.pod_template.clone().unwrap_or_default();
    let mut all = wishes.metadata.labels;
    all.extend(labels_of(&pool.name));
    all.insert(LABEL_ROLE.to_owned(), ROLE_BALANCER.to_owned());
    let annotations = wishes.metadata.annotations;
    let grace = grace(pool);
    let wishes = wishes.spec;
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(all),
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(balancer_name(&pool.name)),
            termination_grace_period_seconds: i64::try_from((DRAIN_DELAY + grace + END).as_secs()).ok(),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(65532),
                run_as_group: Some(65532),
                fs_group: Some(65532),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    ..SeccompProfile::default()
                }),
                ..PodSecurityContext::default()
            }),
            containers: vec![container(pool, settings, grace)],
            volumes: Some(volumes(pool)),
            node_selector: (!wishes.node_selector.is_empty()).then_some(wishes.node_selector),
            tolerations: (!wishes.tolerations.is_empty()).then_some(wishes.tolerations),
            affinity: wishes.affinity,
            topology_spread_constraints: Some(if wishes.topology_spread_constraints.is_empty() {
                vec![spread(pool)]
            } else {
                wishes.topology_spread_constraints
            }),
            priority_class_name: wishes.priority_class_name,
            image_pull_secrets: (!wishes.image_pull_secrets.is_empty()).then_some(wishes.image_pull_secrets),
            ..PodSpec::default()
        }),
    }
}

fn container(pool: &ValidPool, settings: &Settings, grace: Duration) -> Container {
    let image = pool.balancer.image.as_ref().unwrap_or(&settings.balancer_image);
    let mut args = vec![
        "--discovery".to_owned(),
        "kubernetes".to_owned(),
        "--pool".to_owned(),
        pool.name.clone(),
        format!("--listen=0.0.0.0:{HTTP_PORT}"),
        format!("--admin=0.0.0.0:{ADMIN_PORT}"),
        format!("--snapshot={SNAPSHOT_DIR}/routing.json"),
        format!("--drain-delay={}s", DRAIN_DELAY.as_secs()),
        format!("--grace={}s", grace.as_secs()),
        format!("--tunnel-drain={}", pool.update.drain_timeout),
    ];
    if pool.balancer.tls.is_some() {
        let [certificate, key] = TLS_FILES;
        args.push(format!("--tls-cert={TLS_DIR}/{certificate}"));
        args.push(format!("--tls-key={TLS_DIR}/{key}"));
    }
    Container {
        name: "balancer".to_owned(),
        image: Some(image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        args: Some(args),
        env: Some(vec![
            of_field("LBPOOL_NAME", "metadata.name"),
            of_field("LBPOOL_NAMESPACE", "metadata.namespace"),
        ]),
        ports: Some(vec![port(users_port(pool), HTTP_PORT), port("admin", ADMIN_PORT)]),
        // The last line of one that ends at its start says why: the pool's condition quotes it.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        readiness_probe: Some(probe("/readyz", 1, 2)),
        liveness_probe: Some(probe("/healthz", 10, 3)),
        resources: Some(pool.balancer.resources.clone().unwrap_or_else(resources)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(pool)),
        ..Container::default()
    }
}

fn volumes(pool: &ValidPool) -> Vec<Volume> {
    let snapshot = Volume {
        name: "snapshot".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity("16Mi".to_owned())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    };
    // These keys alone: a Pod does not start where one is missing, and one that runs keeps what it has.
    let items = TLS_FILES.map(|file| KeyToPath {
        key: file.to_owned(),
        path: file.to_owned(),
        mode: None,
    });
    let tls = pool.balancer.tls.as_ref().map(|tls| Volume {
        name: "tls".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(tls.secret_name.clone()),
            items: Some(items.to_vec()),
            default_mode: Some(TLS_MODE),
            optional: None,
        }),
        ..Volume::default()
    });
    [snapshot].into_iter().chain(tls).collect()
}

fn mounts(pool: &ValidPool) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only,
        ..VolumeMount::default()
    };
    let tls = pool.balancer.tls.as_ref().map(|_| mount("tls", TLS_DIR, Some(true)));
    [mount("snapshot", SNAPSHOT_DIR, None)].into_iter().chain(tls).collect()
}

/// A balancer lets a request finish as long as a member that leaves may, and then once more as long: a client whose
/// answer began before the end did was not told to go elsewhere, and may send one more request behind it.
fn grace(pool: &ValidPool) -> Duration {
    pool.update.drain_timeout.get().max(GRACE_LEAST) * 2
}

/// No limit of CPU: throttling a balancer delays every request.
fn resources() -> ResourceRequirements {
    let quantities = |pairs: &[(&str, &str)]| {
        let quantity = |&(name, value): &(&str, &str)| (name.to_owned(), Quantity(value.to_owned()));
        Some(pairs.iter().map(quantity).collect())
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", "100m"), ("memory", "64Mi")]),
        limits: quantities(&[("memory", "256Mi")]),
        ..ResourceRequirements::default()
    }
}

/// On nodes of their own, as far as there are any.
fn spread(pool: &ValidPool) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(label_selector(pool, ROLE_BALANCER)),
        ..TopologySpreadConstraint::default()
    }
}

fn of_field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: path.to_owned(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        value: None,
    }
}

fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("admin".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}
