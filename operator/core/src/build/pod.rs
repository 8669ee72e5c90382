//! The Pod that sits in a seat.

use k8s_openapi::{
    api::core::v1::{Container, HTTPGetAction, Pod, PodSpec, Probe, TCPSocketAction},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use lbpool_api::{
    names::{ANNOTATION_MEMBER, LABEL_MEMBER, LABEL_ROLE, LABEL_TEMPLATE, ROLE_MEMBER, members_service},
    routing::Protocol,
};

use super::{labels_of, meta, set_absent};
use crate::{ValidPool, plan::Create, protocol};

/// The Pod for `create`: the pool's template with the seat's name in it.
///
/// `SERVER_ID` and `PORT` are set where a container does not set them itself. The container that listens gets the pool's
/// health path as its readiness probe where it has none: without one a Pod would count as ready before it answers. A kubelet
/// asks in HTTP/1.1 alone, so where members speak HTTP/2 it only tries whether somebody listens.
#[must_use]
pub fn pod(pool: &ValidPool, create: &Create) -> Pod {
    let template = pool.template.metadata.clone().unwrap_or_default();
    let seat = create.seat.host().into_owned();
    let mut labels = template.labels.unwrap_or_default();
    labels.extend(labels_of(&pool.name));
    labels.extend(super::pairs([
        (LABEL_MEMBER, seat.as_str()),
        (LABEL_ROLE, ROLE_MEMBER),
        (LABEL_TEMPLATE, create.template.as_str()),
    ]));
    let mut annotations = template.annotations.unwrap_or_default();
    annotations.insert(ANNOTATION_MEMBER.to_owned(), create.seat.to_string());
    Pod {
        metadata: ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            finalizers: template.finalizers,
            ..meta(pool, create.name.clone())
        },
        spec: Some(spec(pool, create, seat)),
        status: None,
    }
}

fn spec(pool: &ValidPool, create: &Create, seat: String) -> PodSpec {
    let mut spec = pool.template.spec.clone().unwrap_or_default();
    spec.hostname = Some(seat);
    spec.subdomain = Some(members_service(&pool.name));
    let containers = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
    for container in containers {
        set_absent(container, "PORT", pool.port.to_string());
        set_absent(container, "SERVER_ID", create.seat.to_string());
    }
    let at = spec
        .containers
        .iter()
        .position(|it| listens(it, pool.port))
        .unwrap_or(0);
    if let Some(container) = spec.containers.get_mut(at)
        && container.readiness_probe.is_none()
    {
        container.readiness_probe = Some(probe(pool));
    }
    spec
}

fn listens(container: &Container, port: u16) -> bool {
    let mut ports = container.ports.iter().flatten();
    ports.any(|declared| declared.container_port == i32::from(port))
}

/// A kubelet probes in whole seconds.
fn probe(pool: &ValidPool) -> Probe {
    let health = &pool.health;
    let seconds = |time: lbpool_api::Duration| i32::try_from(time.get().as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
    let port = IntOrString::Int(i32::from(pool.port));
    let asks = protocol(&pool.template_hash) == Protocol::Http1;
    Probe {
        http_get: asks.then(|| HTTPGetAction {
            path: Some(health.path.clone()),
            port: port.clone(),
            ..HTTPGetAction::default()
        }),
        tcp_socket: (!asks).then(|| TCPSocketAction {
            port: port.clone(),
            host: None,
        }),
        period_seconds: Some(seconds(health.period)),
        timeout_seconds: Some(seconds(health.timeout)),
        failure_threshold: i32::try_from(health.failures).ok(),
        success_threshold: i32::try_from(health.successes).ok(),
        ..Probe::default()
    }
}
