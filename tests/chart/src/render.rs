//! helm, as a command.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{Object, chart, object, root};

/// The namespace that is rendered for.
pub const NAMESPACE: &str = "lbpool-system";

/// The files of values that the chart is tried with, beside its own.
///
/// # Errors
/// Where the folder can not be read.
pub fn value_sets() -> io::Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(chart().join("ci"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension() == Some(OsStr::new("yaml")));
    files.sort();
    Ok(files)
}

/// `helm template` as text; `options` are further arguments, such as `--set`, `demo.enabled=true`.
///
/// # Errors
/// What helm says where it refuses.
pub fn text<S: AsRef<OsStr>>(options: &[S]) -> Result<String> {
    let mut arguments = vec![OsString::from("template"), "lbpool".into(), chart().into()];
    arguments.extend(["--namespace".into(), NAMESPACE.into()]);
    arguments.extend(options.iter().map(|option| option.as_ref().to_owned()));
    helm(&arguments)
}

/// `helm template` as objects.
///
/// # Errors
/// What helm says where it refuses, or where it renders no YAML.
pub fn render<S: AsRef<OsStr>>(options: &[S]) -> Result<Vec<Object>> {
    object::parse(&text(options)?)
}

/// `helm lint`, warnings are errors.
///
/// # Errors
/// What helm says.
pub fn lint<S: AsRef<OsStr>>(options: &[S]) -> Result<String> {
    let mut arguments = vec![OsString::from("lint"), "--strict".into(), chart().into()];
    arguments.extend(options.iter().map(|option| option.as_ref().to_owned()));
    helm(&arguments)
}

/// NOTES.txt as `helm install` prints it. helm itself renders it only with a cluster at hand, so it is rendered here
/// as the text of an object, in a copy of the chart.
///
/// # Errors
/// What helm says where it refuses.
pub fn notes<S: AsRef<OsStr>>(options: &[S]) -> Result<String> {
    let copy = tempfile::tempdir()?;
    copy_folder(&chart(), copy.path())?;
    fs::rename(copy.path().join("templates/NOTES.txt"), copy.path().join("notes.txt"))?;
    let object = "kind: Notes\ntext: {{ tpl (.Files.Get \"notes.txt\") . | toJson }}\n";
    fs::write(copy.path().join("templates/notes.yaml"), object)?;
    let mut arguments = vec![OsString::from("template"), "lbpool".into(), copy.path().into()];
    arguments.extend(["--namespace", NAMESPACE, "--show-only", "templates/notes.yaml"].map(OsString::from));
    arguments.extend(options.iter().map(|option| option.as_ref().to_owned()));
    let objects = object::parse(&helm(&arguments)?)?;
    Ok(objects.first().context("no notes")?.text("/text").to_owned())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

fn helm(arguments: &[OsString]) -> Result<String> {
    let output = Command::new(root().join(".ci/helm"))
        .args(arguments)
        // No cluster is asked, even where there is one.
        .env("KUBECONFIG", "/dev/null")
        .output()
        .context("could not run .ci/helm")?;
    ensure!(
        output.status.success(),
        "helm {} refused: {}{}",
        arguments.join(OsStr::new(" ")).display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Ok(String::from_utf8(output.stdout)?)
}
