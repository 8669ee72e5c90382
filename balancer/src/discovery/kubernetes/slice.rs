//! EndpointSlices, as far as they matter here.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use lbpool_api::routing::Protocol;

use crate::discovery::index::Endpoint;

/// The Pods' endpoints of a slice, and its name.
pub(super) fn endpoints(slice: &EndpointSlice) -> (String, Vec<Endpoint>) {
    let found = slice.ports.iter().flatten().find(|port| port.port.is_some());
    let protocol = found.and_then(|port| port.app_protocol.as_deref());
    let protocol = protocol.and_then(Protocol::of_app_protocol);
    let port = found.and_then(|port| port.port);
    let port = port.and_then(|port| u16::try_from(port).ok());
    let endpoints = slice.endpoints.iter().filter_map(|endpoint| {
        let target = endpoint.target_ref.as_ref()?;
        if target.kind.as_deref() != Some("Pod") {
            return None;
        }
        let ip: Option<IpAddr> = endpoint.addresses.first().and_then(|text| text.parse().ok());
        let conditions = endpoint.conditions.as_ref();
        let terminating = conditions.and_then(|it| it.terminating).unwrap_or(false);
        Some(Endpoint {
            pod: target.name.clone()?,
            address: ip.zip(port).map(SocketAddr::from),
            protocol,
            // Not said is ready, by the API's own words.
            ready: conditions.and_then(|it| it.ready).unwrap_or(true),
            terminating,
        })
    });
    (slice.metadata.name.clone().unwrap_or_default(), endpoints.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slice_is_its_pods_with_address_and_readiness() {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web-members-x"}, "ports": [{"name": "http", "port": 5000}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "hostname": "a", "conditions": {"ready": true, "terminating": false},
                 "targetRef": {"kind": "Pod", "name": "a-1"}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false, "terminating": true},
                 "targetRef": {"kind": "Pod", "name": "a-2"}},
                {"addresses": ["10.0.0.3"], "targetRef": {"kind": "Pod", "name": "a-3"}},
                {"addresses": ["10.0.0.4"]},
            ],
        });
        let (name, endpoints) = endpoints(&serde_json::from_value(slice).unwrap());
        assert_eq!(name, "web-members-x");
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|it| {
                (
                    it.pod.as_str(),
                    it.address.unwrap().to_string(),
                    it.ready,
                    it.terminating,
                )
            })
            .collect();
        assert_eq!(
            endpoints,
            [
                ("a-1", "10.0.0.1:5000".to_owned(), true, false),
                ("a-2", "10.0.0.2:5000".to_owned(), false, true),
                ("a-3", "10.0.0.3:5000".to_owned(), true, false),
            ]
        );
    }

    #[test]
    fn a_slice_tells_what_its_pods_speak_where_its_port_says_so() {
        for (app_protocol, protocol) in [
            (json!("kubernetes.io/h2c"), Some(Protocol::H2c)),
            (json!("http"), Some(Protocol::Http1)),
            (json!("kubernetes.io/ws"), None),
            (json!(null), None),
        ] {
            let slice = json!({
                "addressType": "IPv4", "metadata": {"name": "s"}, "ports": [{"port": 80, "appProtocol": app_protocol}],
                "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "a-1"}}],
            });
            let (_, endpoints) = endpoints(&serde_json::from_value(slice).unwrap());
            assert_eq!(endpoints[0].protocol, protocol, "{app_protocol}");
        }
    }

    #[test]
    fn a_slice_without_ports_tells_who_is_ready_and_not_where() {
        let slice = json!({
            "addressType": "IPv4", "metadata": {"name": "s"},
            "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "a-1"}}],
        });
        let (_, endpoints) = endpoints(&serde_json::from_value(slice).unwrap());
        assert_eq!((endpoints[0].address, endpoints[0].ready), (None, true));
    }
}
