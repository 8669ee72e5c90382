//! What a member may use and do: resources, user, privileges.

use std::collections::HashMap;

use bollard::models::HostConfig;
use k8s_openapi::{
    api::core::v1::{Container, PodSpec, SeccompProfile},
    apimachinery::pkg::api::resource::Quantity,
};
use lbpool_core::validate::Problem;

use super::{check::problem, quantity};
use crate::fleet::env::CONTAINER;

/// What a kubelet makes of one CPU that is asked for.
const SHARES_PER_CPU: i64 = 1024;
const SHARES_LEAST: i64 = 2;

/// `limits` bound the container, `requests.cpu` is its weight among others. A requested amount of memory is what a
/// scheduler counts with: here it is held back for the container only where memory is short.
pub(super) fn resources(container: &Container, host: &mut HostConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    let resources = container.resources.as_ref();
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let mut amount = |kind: &str, name: &str, found: Option<&Quantity>, read: fn(&str) -> Option<i64>| {
        let found = found?;
        let value = read(&found.0).filter(|value| *value >= 0);
        if value.is_none() {
            let message = format!("is {:?}, must be an amount such as 500m or 64Mi", found.0);
            problems.push(problem(&format!("{CONTAINER}.resources.{kind}.{name}"), &message));
        }
        value.filter(|value| *value > 0)
    };
    let cpu = amount(
        "limits",
        "cpu",
        limits.and_then(|all| all.get("cpu")),
        quantity::thousandths,
    );
    let memory = amount(
        "limits",
        "memory",
        limits.and_then(|all| all.get("memory")),
        quantity::units,
    );
    let weight = amount(
        "requests",
        "cpu",
        requests.and_then(|all| all.get("cpu")),
        quantity::thousandths,
    );
    let reserved = amount(
        "requests",
        "memory",
        requests.and_then(|all| all.get("memory")),
        quantity::units,
    );
    host.nano_cpus = cpu.and_then(|cpu| cpu.checked_mul(1_000_000));
    host.memory = memory;
    // No swap, as in a cluster.
    host.memory_swap = memory;
    host.memory_reservation = reserved.filter(|reserved| memory.is_none_or(|memory| *reserved <= memory));
    host.cpu_shares = weight.map(|cpu| (cpu.saturating_mul(SHARES_PER_CPU) / 1000).max(SHARES_LEAST));
    problems
}

/// Privileges, capabilities, seccomp, groups, sysctls.
pub(super) fn security(spec: &PodSpec, container: &Container, host: &mut HostConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    let pod = spec.security_context.as_ref();
    let own = container.security_context.as_ref();
    let mut options = Vec::new();
    if own.and_then(|own| own.allow_privilege_escalation) == Some(false) {
        options.push("no-new-privileges".to_owned());
    }
    let of_pod = pod.and_then(|pod| pod.seccomp_profile.as_ref());
    let profile = own.and_then(|own| own.seccomp_profile.as_ref()).or(of_pod);
    match profile.map(|profile: &SeccompProfile| profile.type_.as_str()) {
        None | Some("RuntimeDefault") => {}
        Some("Unconfined") => options.push("seccomp=unconfined".to_owned()),
        Some(_) => problems.push(problem(
            &format!("{CONTAINER}.securityContext.seccompProfile.type"),
            "must be RuntimeDefault or Unconfined: there is no kubelet that keeps profiles",
        )),
    }
    if let Some(own) = own {
        let capabilities = own.capabilities.as_ref();
        host.cap_add = capabilities.and_then(|all| all.add.clone());
        host.cap_drop = capabilities.and_then(|all| all.drop.clone());
        host.privileged = own.privileged;
        host.readonly_rootfs = own.read_only_root_filesystem;
    }
    if let Some(pod) = pod {
        let groups = pod.supplemental_groups.iter().flatten();
        host.group_add = Some(groups.map(ToString::to_string).collect::<Vec<_>>()).filter(|groups| !groups.is_empty());
        let sysctls = pod.sysctls.iter().flatten();
        host.sysctls = Some(
            sysctls
                .map(|sysctl| (sysctl.name.clone(), sysctl.value.clone()))
                .collect::<HashMap<_, _>>(),
        )
        .filter(|sysctls| !sysctls.is_empty());
    }
    host.security_opt = Some(options).filter(|options| !options.is_empty());
    problems
}

fn user_id(spec: &PodSpec, container: &Container) -> Option<i64> {
    let own = container.security_context.as_ref().and_then(|own| own.run_as_user);
    own.or_else(|| spec.security_context.as_ref()?.run_as_user)
}

/// As whom it runs, where the image is not to decide.
pub(super) fn user(spec: &PodSpec, container: &Container) -> Option<String> {
    let group = container.security_context.as_ref().and_then(|own| own.run_as_group);
    let group = group.or_else(|| spec.security_context.as_ref()?.run_as_group);
    match (user_id(spec, container), group) {
        (Some(user), Some(group)) => Some(format!("{user}:{group}")),
        (Some(user), None) => Some(user.to_string()),
        (None, Some(group)) => Some(format!("0:{group}")),
        (None, None) => None,
    }
}

/// Whether the image's own user must not be root.
pub(super) fn rootless(spec: &PodSpec, container: &Container) -> bool {
    let own = container.security_context.as_ref().and_then(|own| own.run_as_non_root);
    let asked = own.or_else(|| spec.security_context.as_ref()?.run_as_non_root);
    asked == Some(true) && user_id(spec, container).is_none_or(|user| user == 0)
}
