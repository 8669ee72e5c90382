//! What to start for a member: program, arguments, environment and directory, from the template's first container.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use lbpool_core::{ValidPool, validate::Problem};
use rustix::fs::{Access, access};

use crate::fleet::{
    Error,
    env::{self, CONTAINER, Identity},
};

/// Where programs are looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    /// Folders that come first.
    pub dirs: Vec<PathBuf>,
    /// Folders after them, as in `PATH`.
    pub path: OsString,
}

/// A process to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub variables: BTreeMap<String, String>,
    pub dir: Option<PathBuf>,
}

impl Launch {
    /// What `pool` runs as the member `identity`.
    pub fn new(pool: &ValidPool, identity: &Identity, search: &Search) -> Result<Self, Error> {
        let container = pool.template.spec.as_ref().and_then(|spec| spec.containers.first());
        let container = container.ok_or_else(|| problem("spec.template.spec.containers", "needs a container"))?;
        let variables = env::variables(container, identity).map_err(|problems| Error::Template { problems })?;
        let mut words = container
            .command
            .iter()
            .flatten()
            .map(|word| env::expand(word, &variables));
        let command = words.next().filter(|program| !program.is_empty()).ok_or_else(|| {
            problem(
                &format!("{CONTAINER}.command"),
                "must name the program: on one machine no image is run that could know it, write command: [backend]",
            )
        })?;
        let args = container
            .args
            .iter()
            .flatten()
            .map(|word| env::expand(word, &variables));
        let args: Vec<String> = words.chain(args).collect();
        if command.contains('\0') || args.iter().any(|arg| arg.contains('\0')) {
            return Err(problem(&format!("{CONTAINER}.args"), "must hold no NUL"));
        }
        let dir = container
            .working_dir
            .as_ref()
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from);
        if let Some(path) = dir.as_ref().filter(|dir| !dir.is_dir()) {
            return Err(Error::WorkingDir { path: path.clone() });
        }
        let program = search.find(&command, dir.as_deref(), variables.get("PATH").map(String::as_str))?;
        Ok(Self {
            program,
            args,
            variables,
            dir,
        })
    }
}

impl Search {
    /// The program, absolute where it was looked up. A name with a slash is a path, relative to where the member runs.
    fn find(&self, program: &str, dir: Option<&Path>, path: Option<&str>) -> Result<PathBuf, Error> {
        if program.contains('/') {
            let at = dir.map_or_else(|| PathBuf::from(program), |dir| dir.join(program));
            return match std::path::absolute(&at) {
                Ok(at) if runs(&at) => Ok(at),
                _ => Err(Error::Program {
                    program: program.to_owned(),
                    looked: " as an executable file".to_owned(),
                }),
            };
        }
        let path = path.map_or(self.path.as_os_str(), OsStr::new);
        let dirs = self
            .dirs
            .iter()
            .cloned()
            .chain(std::env::split_paths(path).filter(|dir| dir.is_absolute()));
        dirs.map(|dir| dir.join(program)).find(|at| runs(at)).ok_or_else(|| {
            let own = self
                .dirs
                .iter()
                .fold(String::new(), |own, dir| own + &format!("{} and ", dir.display()));
            Error::Program {
                program: program.to_owned(),
                looked: format!(" in {own}PATH"),
            }
        })
    }
}

fn runs(at: &Path) -> bool {
    at.is_file() && access(at, Access::EXEC_OK).is_ok()
}

fn problem(path: &str, message: &str) -> Error {
    Error::Template {
        problems: vec![Problem {
            path: path.to_owned(),
            message: message.to_owned(),
        }],
    }
}
