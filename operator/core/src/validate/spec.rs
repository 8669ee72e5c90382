//! Seats, template, port, health, update, balancers.

use std::collections::HashMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use lbpool_api::{
    PoolSpec,
    pool::{Balancer, Health, SEATS_MAX, Update, WEIGHT_MAX},
};

use super::Problems;

/// Longest name of a pool: ordinals and the balancers' Services are named after it.
const POOL_NAME_MAX: usize = 52;
/// Longest name of a Secret.
const SUBDOMAIN_MAX: usize = 253;

pub(super) fn name(name: &str, problems: &mut Problems) {
    let bytes = name.as_bytes();
    let fits = bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last() != Some(&b'-')
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    if !fits || bytes.len() > POOL_NAME_MAX {
        let shown: String = name.chars().take(60).collect();
        problems.add(
            "metadata.name",
            format!("is {shown:?}, must start with a letter, use a-z, 0-9 and inner hyphens, at most {POOL_NAME_MAX}"),
        );
    }
}

/// RFC 1123, in lower case.
fn is_subdomain(name: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let fits = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        !bytes.is_empty() && bytes.iter().all(fits) && bytes[0] != b'-' && bytes.last() != Some(&b'-')
    };
    name.len() <= SUBDOMAIN_MAX && name.split('.').all(label)
}

pub(super) fn seats(spec: &PoolSpec, problems: &mut Problems) {
    let most = SEATS_MAX as usize;
    problems.within(
        "spec.replicas",
        spec.replicas,
        0,
        i32::try_from(SEATS_MAX).unwrap_or(i32::MAX),
    );
    problems.length("spec.members", spec.members.len(), 0, most);
    let replicas = usize::try_from(spec.replicas).unwrap_or(0);
    if spec.members.len() > replicas {
        problems.add(
            "spec.members",
            format!(
                "names {} members, but replicas is {replicas}: raise it or remove names",
                spec.members.len()
            ),
        );
    }
    let mut members = HashMap::new();
    for (at, member) in spec.members.iter().enumerate() {
        if let Some(first) = members.insert(member.name.host(), at) {
            problems.add(
                format!("spec.members[{at}].name"),
                format!(
                    "{} is also the name of members[{first}]; case does not tell names apart",
                    member.name
                ),
            );
        }
        problems.within(&format!("spec.members[{at}].weight"), member.weight, 1, WEIGHT_MAX);
    }
    problems.length("spec.retired", spec.retired.len(), 0, most);
    let mut retired = HashMap::new();
    for (at, name) in spec.retired.iter().enumerate() {
        if let Some(member) = members.get(&name.host()) {
            problems.add(
                format!("spec.retired[{at}]"),
                format!("{name} is also members[{member}]; it can not be both"),
            );
        }
        if let Some(first) = retired.insert(name.host(), at) {
            problems.add(
                format!("spec.retired[{at}]"),
                format!("{name} is also retired[{first}]"),
            );
        }
    }
}

pub(super) fn template(spec: &PoolSpec, problems: &mut Problems) {
    if spec.template.spec.as_ref().is_none_or(|pod| pod.containers.is_empty()) {
        problems.add(
            "spec.template.spec.containers",
            "is empty, must hold the container that a member runs",
        );
    }
}

/// The port as a number; 0 where it is wrong.
pub(super) fn port(spec: &PoolSpec, problems: &mut Problems) -> u16 {
    let port = match &spec.port {
        IntOrString::Int(port) => *port,
        IntOrString::String(name) => {
            let containers = spec.template.spec.iter().flat_map(|pod| &pod.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            let Some(port) = ports.find(|port| port.name.as_deref() == Some(name)) else {
                problems.add(
                    "spec.port",
                    format!(
                        "is {name:?}, but no container of the template has a port of this name: add it or set a number"
                    ),
                );
                return 0;
            };
            port.container_port
        }
    };
    match u16::try_from(port) {
        Ok(port) if port > 0 => port,
        _ => {
            problems.add("spec.port", format!("is {port}, must be 1 to 65535"));
            0
        }
    }
}

pub(super) fn health(health: &Health, problems: &mut Problems) {
    if !health.path.starts_with('/') || !health.path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        problems.add(
            "spec.health.path",
            "must start with / and be a path as it stands in a request, such as /heartbeat",
        );
    }
    problems.length("spec.health.path", health.path.len(), 1, 1024);
    problems.within("spec.health.failures", health.failures, 1, 100);
    problems.within("spec.health.successes", health.successes, 1, 100);
}

pub(super) fn update(update: &Update, problems: &mut Problems) {
    problems.within("spec.update.maxSurge", update.max_surge, 0, SEATS_MAX);
    problems.within("spec.update.maxUnavailable", update.max_unavailable, 0, SEATS_MAX);
    if update.max_surge == 0 && update.max_unavailable == 0 {
        problems.add(
            "spec.update",
            "maxSurge and maxUnavailable are both 0: no member could ever be updated",
        );
    }
}

pub(super) fn balancer(balancer: &Balancer, problems: &mut Problems) {
    problems.within("spec.balancer.replicas", balancer.replicas, 0, 100);
    problems.within("spec.balancer.service.port", balancer.service.port, 1, u16::MAX);
    if let Some(image) = &balancer.image {
        problems.length("spec.balancer.image", image.chars().count(), 1, 512);
    }
    if let Some(tls) = &balancer.tls
        && !is_subdomain(&tls.secret_name)
    {
        problems.add(
            "spec.balancer.tls.secretName",
            format!(
                "{:?} is no name of a Secret: use a-z, 0-9, inner hyphens and dots, at most {SUBDOMAIN_MAX}",
                tls.secret_name.chars().take(60).collect::<String>()
            ),
        );
    }
}
