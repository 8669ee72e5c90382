//! The container that a member is: what the template says, in the engine's terms. Pure.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, NetworkingConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use k8s_openapi::api::core::v1::{Container, PodSpec};
use lbpool_core::{ValidPool, validate::Problem};

use super::{
    Owner,
    check::{self, problem},
    limits, mounts,
};
use crate::fleet::env::{self, CONTAINER, Identity};

/// Kubernetes' default for a template that says nothing, in seconds.
const GRACE: i64 = 30;

/// How members are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// At their address on the engine's network.
    Network,
    /// At a port of this machine's loopback address that the engine passes on.
    Loopback,
}

/// Where a member is put.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    /// The network's name.
    pub network: &'a str,
    pub reach: Reach,
    pub owner: &'a Owner,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pull {
    Always,
    IfNotPresent,
    Never,
}

/// The image that members run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// With its tag.
    pub name: String,
    pub pull: Pull,
    /// It must not run as root, and the template does not say as whom.
    pub rootless: bool,
}

/// What to make.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub image: Image,
    pub body: ContainerCreateBody,
}

impl Recipe {
    /// The container of the member `identity`.
    ///
    /// # Errors
    /// All of the template that can not be done.
    pub fn new(pool: &ValidPool, identity: &Identity, place: &Place<'_>) -> Result<Self, Vec<Problem>> {
        let none = PodSpec::default();
        let spec = pool.template.spec.as_ref().unwrap_or(&none);
        let mut problems = check::refused(spec);
        let Some(container) = spec.containers.first() else {
            problems.push(problem("spec.template.spec.containers", "needs a container"));
            return Err(problems);
        };
        let mut keep = |result: Result<_, Problem>| result.map_err(|problem| problems.push(problem)).ok();
        let image = keep(image(container, spec));
        let mut host = HostConfig {
            network_mode: Some(place.network.to_owned()),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            extra_hosts: extra_hosts(spec),
            ..HostConfig::default()
        };
        problems.extend(limits::resources(container, &mut host));
        problems.extend(limits::security(spec, container, &mut host));
        problems.extend(mounts::mounts(spec, container, &mut host));
        let variables = env::variables(container, identity).unwrap_or_else(|wrong| {
            problems.extend(wrong);
            identity.variables()
        });
        let (Some(image), true) = (image, problems.is_empty()) else {
            return Err(problems);
        };
        let words = |words: &Option<Vec<String>>| {
            words
                .as_ref()
                .filter(|words| !words.is_empty())
                .map(|words| words.iter().map(|word| env::expand(word, &variables)).collect())
        };
        if place.reach == Reach::Loopback {
            host.port_bindings = Some(HashMap::from([(port(pool.port), Some(vec![on_loopback()]))]));
        }
        let body = ContainerCreateBody {
            hostname: Some(identity.seat.host().into_owned()),
            user: limits::user(spec, container),
            exposed_ports: Some(ports(pool, container)),
            env: Some(
                variables
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
            ),
            entrypoint: words(&container.command),
            cmd: words(&container.args),
            working_dir: container.working_dir.clone().filter(|dir| !dir.is_empty()),
            image: Some(image.name.clone()),
            // For those who stop it without saying how long it may take.
            stop_timeout: Some(spec.termination_grace_period_seconds.unwrap_or(GRACE)),
            labels: Some(place.owner.labels(pool, identity)),
            networking_config: Some(networking(pool, identity, place.network)),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        Ok(Self { image, body })
    }
}

/// A port as the engine writes it.
pub(super) fn port(number: u16) -> String {
    format!("{number}/tcp")
}

fn on_loopback() -> PortBinding {
    PortBinding {
        host_ip: Some("127.0.0.1".to_owned()),
        host_port: Some(String::new()),
    }
}

fn image(container: &Container, spec: &PodSpec) -> Result<Image, Problem> {
    let path = |field: &str| format!("{CONTAINER}.{field}");
    let name = container.image.as_deref().map(str::trim).unwrap_or_default();
    if name.is_empty() {
        return Err(problem(&path("image"), "must name the image that members run"));
    }
    let pull = match container.image_pull_policy.as_deref() {
        // As docker does, and other than a cluster for :latest: most images of a laptop are in no registry.
        None | Some("" | "IfNotPresent") => Pull::IfNotPresent,
        Some("Always") => Pull::Always,
        Some("Never") => Pull::Never,
        Some(other) => {
            let message = format!("is {other:?}, must be Always, IfNotPresent or Never");
            return Err(problem(&path("imagePullPolicy"), &message));
        }
    };
    Ok(Image {
        name: tagged(name),
        pull,
        rootless: limits::rootless(spec, container),
    })
}

/// Without a tag an engine would pull all of them.
fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

fn ports(pool: &ValidPool, container: &Container) -> Vec<String> {
    let mut ports = vec![port(pool.port)];
    for other in container.ports.iter().flatten() {
        let protocol = other.protocol.as_deref().unwrap_or("TCP").to_ascii_lowercase();
        let name = format!("{}/{protocol}", other.container_port);
        if !ports.contains(&name) {
            ports.push(name);
        }
    }
    ports
}

fn extra_hosts(spec: &PodSpec) -> Option<Vec<String>> {
    let aliases = spec.host_aliases.as_ref()?;
    let hosts = aliases.iter().flat_map(|alias| {
        let names = alias.hostnames.iter().flatten();
        names.map(|name| format!("{name}:{}", alias.ip))
    });
    Some(hosts.collect())
}

/// Members find each other by seat, as they do in a cluster by the headless Service.
fn networking(pool: &ValidPool, identity: &Identity, network: &str) -> NetworkingConfig {
    let seat = identity.seat.host();
    let settings = EndpointSettings {
        aliases: Some(vec![seat.to_string(), format!("{seat}.{}-members", pool.name)]),
        ..EndpointSettings::default()
    };
    NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network.to_owned(), settings)])),
    }
}

#[cfg(test)]
mod tests;
