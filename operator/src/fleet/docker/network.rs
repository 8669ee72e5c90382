//! The network that members are on, and whether it is reached from this machine.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, TcpListener},
};

use bollard::models::{ContainerInspectResponse, NetworkCreateRequest, NetworkInspect, SystemInfo};

use super::{
    Error, Network, Publish,
    container::{Reach, port},
    endpoint::Endpoint,
    engine::Engine,
    labels,
};

/// The network of this name: the one that is there, or a new one where it may be made.
pub(super) async fn ensure(engine: &Engine, network: &Network) -> Result<NetworkInspect, Error> {
    let Network { name, make } = network;
    match engine.network(name).await {
        Err(error) if error.is_missing() && *make => {}
        Err(error) if error.is_missing() => return Err(Error::NoNetwork { name: name.clone() }),
        found => return found,
    }
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        labels: Some(labels::of_network()),
        ..NetworkCreateRequest::default()
    };
    match engine.create_network(request).await {
        Ok(()) => tracing::info!(network = name, "network made"),
        // Another pool was faster.
        Err(Error::Conflict { .. }) => {}
        Err(error) => return Err(error),
    }
    engine.network(name).await
}

/// Removes the network where we made it and nobody uses it any more.
pub(super) async fn leave(engine: &Engine, name: &str) {
    let Ok(network) = engine.network(name).await else {
        return;
    };
    let used = network
        .containers
        .as_ref()
        .is_some_and(|containers| !containers.is_empty());
    if used || !labels::is_ours(network.labels.as_ref()) {
        return;
    }
    match engine.remove_network(name).await {
        Ok(()) => tracing::info!(network = name, "network removed"),
        // Somebody came in between.
        Err(error) => tracing::debug!(network = name, %error, "network kept"),
    }
}

/// How members on a network are reached from here.
///
/// # Errors
/// Where they are not: the engine runs on another machine.
pub(super) async fn reach(engine: &Engine, network: &NetworkInspect, publish: Publish) -> Result<Reach, Error> {
    match publish {
        Publish::Never => return Ok(Reach::Network),
        Publish::Loopback => return Ok(Reach::Loopback),
        // Whoever has an engine on another machine has routed its network, or sees that members do not get ready.
        Publish::Routed if is_elsewhere(engine.endpoint()) => return Ok(Reach::Network),
        Publish::Auto | Publish::Routed => {}
    }
    if is_elsewhere(engine.endpoint()) {
        return Err(Error::Elsewhere {
            endpoint: engine.endpoint().to_string(),
        });
    }
    let info = engine.info().await?;
    match judge(&info, network, is_own) {
        Reach::Loopback if publish == Publish::Routed => Err(Error::Unrouted {
            endpoint: engine.endpoint().to_string(),
            network: network.name.clone().unwrap_or_default(),
        }),
        reach => Ok(reach),
    }
}

/// A bridge's gateway is an address of the machine that routes to the bridge: where it is ours, we reach what is behind
/// it. Engines in a virtual machine or in a namespace of their own have theirs elsewhere.
fn judge(info: &SystemInfo, network: &NetworkInspect, is_own: impl Fn(IpAddr) -> bool) -> Reach {
    let is_rootless = info
        .security_options
        .iter()
        .flatten()
        .any(|option| option.contains("rootless"));
    let gateways = network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    let mut gateways = gateways.filter_map(|config| config.gateway.as_ref()?.parse::<IpAddr>().ok());
    // Podman makes the bridge with the first container on it, so its gateway tells nothing before.
    let lazy = network.containers.as_ref().is_none_or(HashMap::is_empty)
        && info.operating_system.as_deref() != Some("Docker Desktop")
        && info.init_binary.as_deref().unwrap_or_default().is_empty();
    if cfg!(target_os = "linux") && !is_rootless && (lazy || gateways.any(is_own)) {
        Reach::Network
    } else {
        Reach::Loopback
    }
}

/// Whether an address is one of this machine's.
fn is_own(address: IpAddr) -> bool {
    TcpListener::bind((address, 0)).is_ok()
}

fn is_elsewhere(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Unix(_) => false,
        Endpoint::Tcp(at) => {
            let host = at.rsplit_once(':').map_or(at.as_str(), |(host, _)| host);
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host != "localhost" && !address.is_ok_and(|address| address.is_loopback())
        }
    }
}

/// Where a container that runs is reached; nothing where it has no such address.
pub(super) fn address(
    container: &ContainerInspectResponse,
    network: &str,
    reach: Reach,
    number: u16,
) -> Option<SocketAddr> {
    let settings = container.network_settings.as_ref()?;
    match reach {
        Reach::Network => {
            let endpoint = settings.networks.as_ref()?.get(network)?;
            let addresses = [&endpoint.ip_address, &endpoint.global_ipv6_address];
            let address = addresses
                .into_iter()
                .flatten()
                .find_map(|text| text.parse::<IpAddr>().ok())?;
            Some(SocketAddr::new(address, number))
        }
        Reach::Loopback => {
            let bindings = settings.ports.as_ref()?.get(&port(number))?.as_ref()?;
            let published = bindings
                .iter()
                .find_map(|binding| binding.host_port.as_ref()?.parse().ok())?;
            Some(SocketAddr::from(([127, 0, 0, 1], published)))
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{EndpointResource, Ipam, IpamConfig};

    use super::*;

    fn network() -> NetworkInspect {
        let config = IpamConfig {
            gateway: Some("172.30.0.1".to_owned()),
            ..IpamConfig::default()
        };
        NetworkInspect {
            ipam: Some(Ipam {
                config: Some(vec![config]),
                ..Ipam::default()
            }),
            containers: Some([("c".to_owned(), EndpointResource::default())].into()),
            ..NetworkInspect::default()
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_network_whose_gateway_is_ours_is_reached_and_others_are_not() {
        let ours = |address: IpAddr| address.to_string() == "172.30.0.1";
        let info = SystemInfo::default();
        assert_eq!(judge(&info, &network(), ours), Reach::Network);
        assert_eq!(judge(&info, &network(), |_| false), Reach::Loopback);
        let rootless = SystemInfo {
            security_options: Some(vec!["name=seccomp".to_owned(), "name=rootless".to_owned()]),
            ..SystemInfo::default()
        };
        assert_eq!(judge(&rootless, &network(), ours), Reach::Loopback);
    }

    #[test]
    fn an_engine_on_another_machine_is_told_from_a_forwarded_one() {
        for (at, elsewhere) in [
            ("10.0.0.1:2375", true),
            ("build.example:2375", true),
            ("127.0.0.1:2375", false),
            ("localhost:2375", false),
            ("[::1]:2375", false),
        ] {
            assert_eq!(is_elsewhere(&Endpoint::Tcp(at.to_owned())), elsewhere, "{at}");
        }
    }
}
