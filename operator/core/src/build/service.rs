//! The two Services of a pool: where members are, and where users come.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use lbpool_api::{
    names::{ROLE_BALANCER, ROLE_MEMBER, members_service},
    pool::ServiceType,
};

use super::{
    balancer::{HTTPS, users_port},
    meta, selector,
};
use crate::ValidPool;

/// Default of `balancer.service.port`, and what takes its place with TLS.
const HTTP_DEFAULT: u16 = 80;
const HTTPS_DEFAULT: u16 = 443;

/// Headless: its EndpointSlices name each member's Pod, and the Pods get the seat as their host's name in the DNS.
///
/// Its port has no `appProtocol`: that would hold for all members at once, and balancers believe it. What each one speaks is in
/// the routing document.
pub(super) fn members(pool: &ValidPool) -> Service {
    Service {
        metadata: meta(pool, members_service(&pool.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(selector(pool, ROLE_MEMBER)),
            ports: Some(vec![ServicePort {
                name: Some("member".to_owned()),
                port: i32::from(pool.port),
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::Int(i32::from(pool.port))),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

pub(super) fn users(pool: &ValidPool) -> Service {
    let service = &pool.balancer.service;
    let mut metadata = meta(pool, pool.name.clone());
    if !service.annotations.is_empty() {
        metadata.annotations = Some(service.annotations.clone());
    }
    // What is reached by the port's name: Pods of an earlier Deployment that speak the other are not behind it.
    let name = users_port(pool);
    let tls = name == HTTPS;
    let port = match service.port {
        // Nobody wants TLS at the port that is the default without it.
        HTTP_DEFAULT if tls => HTTPS_DEFAULT,
        port => port,
    };
    let kind = match service.type_ {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    };
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(kind.to_owned()),
            selector: Some(selector(pool, ROLE_BALANCER)),
            ports: Some(vec![ServicePort {
                name: Some(name.to_owned()),
                app_protocol: tls.then(|| HTTPS.to_owned()),
                port: i32::from(port),
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String(name.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
