//! Volumes that an engine has too: folders of this machine, and folders that live as long as their container.

use bollard::models::{HostConfig, Mount, MountTmpfsOptions, MountType};
use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, HostPathVolumeSource, PodSpec, Volume, VolumeMount};
use lbpool_core::validate::Problem;

use super::{check::problem, quantity};
use crate::fleet::env::CONTAINER;

/// Kubernetes' own mode for an emptyDir.
const MODE: i64 = 0o777;

/// What the container mounts.
pub(super) fn mounts(spec: &PodSpec, container: &Container, host: &mut HostConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    let volumes: Vec<&Volume> = spec.volumes.iter().flatten().collect();
    for (at, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let Some(found) = volumes.iter().position(|volume| volume.name == mount.name) else {
            let message = format!("is {:?}, but the template has no volume of this name", mount.name);
            problems.push(problem(&format!("{CONTAINER}.volumeMounts[{at}].name"), &message));
            continue;
        };
        let path = format!("spec.template.spec.volumes[{found}]");
        let volume = volumes[found];
        let done = match (&volume.empty_dir, &volume.host_path) {
            (Some(dir), None) => empty_dir(dir, mount, &path).map(Into::into),
            (None, Some(source)) => host_path(source, mount, &path),
            // Refused already, whatever it is.
            _ => continue,
        };
        match done {
            Ok(Mounted::Mount(mount)) => host.mounts.get_or_insert_default().push(*mount),
            Ok(Mounted::Bind(bind)) => host.binds.get_or_insert_default().push(bind),
            Err(problem) => problems.push(problem),
        }
    }
    problems
}

enum Mounted {
    Mount(Box<Mount>),
    /// The older form: the only one in which every engine makes a missing folder.
    Bind(String),
}

impl From<Mount> for Mounted {
    fn from(mount: Mount) -> Self {
        Self::Mount(Box::new(mount))
    }
}

fn empty_dir(dir: &EmptyDirVolumeSource, mount: &VolumeMount, path: &str) -> Result<Mount, Problem> {
    let in_memory = dir.medium.as_deref() == Some("Memory");
    let size = match &dir.size_limit {
        None => None,
        Some(_) if !in_memory => {
            let message = "only one in memory has a limit here (medium: Memory): leave it out";
            return Err(problem(&format!("{path}.emptyDir.sizeLimit"), message));
        }
        Some(size) => Some(
            quantity::units(&size.0)
                .ok_or_else(|| problem(&format!("{path}.emptyDir.sizeLimit"), "must be an amount such as 64Mi"))?,
        ),
    };
    if !in_memory && dir.medium.as_deref().is_some_and(|medium| !medium.is_empty()) {
        return Err(problem(
            &format!("{path}.emptyDir.medium"),
            "must be Memory or left out",
        ));
    }
    Ok(Mount {
        target: Some(mount.mount_path.clone()),
        // Without a name: it goes with its container.
        typ: Some(if in_memory { MountType::TMPFS } else { MountType::VOLUME }),
        read_only: mount.read_only,
        tmpfs_options: in_memory.then_some(MountTmpfsOptions {
            size_bytes: size,
            mode: Some(MODE),
            options: None,
        }),
        ..Mount::default()
    })
}

fn host_path(source: &HostPathVolumeSource, mount: &VolumeMount, path: &str) -> Result<Mounted, Problem> {
    if !source.path.starts_with('/') {
        return Err(problem(&format!("{path}.hostPath.path"), "must be absolute"));
    }
    match source.type_.as_deref() {
        Some("DirectoryOrCreate") => {
            let only = if mount.read_only == Some(true) { ":ro" } else { "" };
            Ok(Mounted::Bind(format!("{}:{}{only}", source.path, mount.mount_path)))
        }
        None | Some("" | "Directory" | "File" | "Socket" | "CharDevice" | "BlockDevice") => Ok(Mounted::from(Mount {
            target: Some(mount.mount_path.clone()),
            source: Some(source.path.clone()),
            typ: Some(MountType::BIND),
            read_only: mount.read_only,
            ..Mount::default()
        })),
        Some(_) => Err(problem(
            &format!("{path}.hostPath.type"),
            "must be Directory, DirectoryOrCreate or File: an engine makes no files",
        )),
    }
}
