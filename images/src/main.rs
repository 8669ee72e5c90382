//! `lbpool-image`: an image archive that holds one static binary, written without a container engine.

mod archive;
mod elf;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, ensure};
use clap::Parser;

use crate::archive::{Archive, Image};

/// Writes an image archive (OCI layout, and readable by `docker load`) that holds one static binary
#[derive(Parser, Debug)]
#[command(name = "lbpool-image", version, about)]
struct Args {
    /// The binary: linked statically, since there is nothing else in the image
    #[arg(long, value_name = "FILE")]
    binary: PathBuf,
    /// Name of the image with its tag, such as lbpool.dev/balancer:0.1.0
    #[arg(long, value_name = "NAME:TAG", value_parser = name)]
    name: String,
    /// Where the binary lies in the image [default: its own name in /]
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    path: Option<String>,
    /// Variables of the environment
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Ports that the image listens on
    #[arg(long, value_name = "PORT")]
    port: Vec<u16>,
    /// The archive
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match write(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lbpool-image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write(args: Args) -> anyhow::Result<()> {
    let Args {
        binary,
        name,
        path,
        env,
        port,
        out,
    } = args;
    let file = binary.display();
    let program = fs::read(&binary).with_context(|| format!("can not read {file}"))?;
    let machine = elf::machine(&program).with_context(|| format!("{file} can not be the only file of an image"))?;
    let path = match path {
        Some(path) => path,
        None => format!(
            "/{}",
            binary
                .file_name()
                .and_then(|name| name.to_str())
                .context("the binary has no name")?
        ),
    };
    let archive = Archive::new(&Image {
        name: &name,
        architecture: machine.architecture(),
        path: &path,
        program: &program,
        env: &env,
        ports: &port,
    })?;
    fs::write(&out, &archive.bytes).with_context(|| format!("can not write {}", out.display()))?;
    println!(
        "{name}: binary {}, digest {}, {}",
        megabytes(program.len()),
        archive.digest,
        out.display()
    );
    Ok(())
}

/// Rounded up, so that what is printed as within a limit is within it.
fn megabytes(bytes: usize) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

fn name(text: &str) -> anyhow::Result<String> {
    let tagged = text
        .rsplit_once(':')
        .is_some_and(|(name, tag)| !name.is_empty() && !tag.is_empty() && !tag.contains('/'));
    ensure!(tagged, "expected a name with a tag, such as lbpool.dev/balancer:0.1.0");
    Ok(text.to_owned())
}

fn absolute(text: &str) -> anyhow::Result<String> {
    let plain = text
        .strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
    ensure!(plain, "expected a path from / on, such as /bin/backend");
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn sizes_are_never_rounded_down() {
        assert_eq!(megabytes(15_000_000), "15.0 MB");
        assert_eq!(megabytes(15_000_001), "15.1 MB");
    }

    #[test]
    fn names_have_a_tag_and_paths_a_root() {
        assert!(name("lbpool.dev/balancer:0.1.0").is_ok());
        assert!(name("lbpool.dev:5000/balancer").is_err());
        assert!(absolute("/bin/backend").is_ok());
        assert!(absolute("bin/backend").is_err() && absolute("/../backend").is_err() && absolute("/").is_err());
    }
}
