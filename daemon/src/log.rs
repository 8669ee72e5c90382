//! The log: where lines go, how they look, which are written.

use std::{fmt, io, io::IsTerminal as _, str::FromStr};

use clap::{Args, ValueEnum};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets,
    fmt::{MakeWriter, format::FmtSpan},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Modules of others that greet at the level where we report: they are heard from `warn` on, unless asked for.
const CHATTY: [&str; 1] = ["actix_server"];

/// Flags of the log, to flatten into a command's own.
#[derive(Args, Clone, Debug, Default)]
pub struct LogArgs {
    /// How a line of the log looks
    #[arg(
        long,
        value_name = "FORMAT",
        env = "LBPOOL_LOG_FORMAT",
        default_value = "text",
        global = true
    )]
    pub log_format: Format,
    /// Which lines are logged
    ///
    /// One of off, error, warn, info, debug, trace, and exceptions for single modules: `info,lbpool_balancer=debug`.
    #[arg(
        long,
        value_name = "LEVEL",
        env = "LBPOOL_LOG_LEVEL",
        default_value = "info",
        global = true
    )]
    pub log_level: Level,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One object in each line, for collectors of logs
    Json,
}

/// Which lines are logged: a level for everything, and levels for single modules.
#[derive(Clone, Debug, PartialEq)]
pub struct Level(Targets);

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A text that is no level.
    #[error(
        "`{part}` is no level: expected off, error, warn, info, debug, trace, or MODULE=LEVEL, separated by commas"
    )]
    Level {
        /// The part that was not understood.
        part: String,
    },
    /// A second log in one process.
    #[error("the log is set up twice in this process")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Logs to standard error from now on.
///
/// # Errors
/// The process has a log already.
pub fn init(args: &LogArgs) -> Result<(), Error> {
    init_to(args, io::stderr, io::stderr().is_terminal())
}

/// Logs to `writer` from now on, with colours where `ansi`: for a command that shows something else on the terminal.
///
/// # Errors
/// The process has a log already.
pub fn init_to<W>(args: &LogArgs, writer: W, ansi: bool) -> Result<(), Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let LogArgs {
        log_format,
        log_level: Level(level),
    } = args.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_span_events(FmtSpan::NONE);
    let all = tracing_subscriber::registry().with(level);
    match log_format {
        Format::Text => all.with(lines.with_ansi(ansi).with_target(false)).try_init()?,
        Format::Json => all
            .with(lines.json().flatten_event(true).with_span_list(false))
            .try_init()?,
    }
    Ok(())
}

// === impl Level ===

impl Default for Level {
    fn default() -> Self {
        "info"
            .parse()
            .unwrap_or_else(|_| Self(Targets::new().with_default(LevelFilter::INFO)))
    }
}

impl FromStr for Level {
    type Err = Error;

    /// Stricter than [`Targets`], which takes a mistyped level for the name of a module.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (mut global, mut modules) = (LevelFilter::INFO, Vec::new());
        for part in text.split(',') {
            let (module, level) = match part.split_once('=') {
                Some((module, level)) => (Some(module), level),
                None => (None, part),
            };
            let wrong = || Error::Level { part: part.to_owned() };
            let known = !level.is_empty() && !level.starts_with(|c: char| c.is_ascii_digit());
            let level = known
                .then(|| level.parse::<LevelFilter>().ok())
                .flatten()
                .ok_or_else(wrong)?;
            match module {
                Some("") => return Err(wrong()),
                Some(module) => modules.push((module.to_owned(), level)),
                None => global = level,
            }
        }
        if global == LevelFilter::INFO {
            modules.splice(..0, CHATTY.map(|module| (module.to_owned(), LevelFilter::WARN)));
        }
        Ok(Self(Targets::new().with_default(global).with_targets(modules)))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level as Severity;

    use super::*;

    fn level(text: &str) -> Targets {
        text.parse::<Level>().unwrap().0
    }

    #[test]
    fn one_level_holds_for_everything() {
        let filter = level("warn");
        assert!(filter.would_enable("any::module", &Severity::WARN));
        assert!(!filter.would_enable("any::module", &Severity::INFO));
    }

    #[test]
    fn a_module_may_differ_from_the_rest() {
        let filter = level("info,lbpool_balancer=debug");
        assert!(filter.would_enable("lbpool_balancer::proxy", &Severity::DEBUG));
        assert!(!filter.would_enable("lbpool_operator", &Severity::DEBUG));
    }

    #[test]
    fn chatty_modules_are_heard_only_when_asked_for() {
        assert!(!level("info").would_enable("actix_server::worker", &Severity::INFO));
        assert!(level("info,actix_server=info").would_enable("actix_server::worker", &Severity::INFO));
        assert!(level("debug").would_enable("actix_server::worker", &Severity::DEBUG));
        assert!(!level("error").would_enable("actix_server::worker", &Severity::WARN));
    }

    #[test]
    fn off_silences_errors_too() {
        assert!(!level("off").would_enable("any", &Severity::ERROR));
    }

    #[test]
    fn a_mistyped_level_is_refused_and_named() {
        for (text, part) in [
            ("inof", "inof"),
            ("", ""),
            ("info,", ""),
            ("info,a=loud", "a=loud"),
            ("=debug", "=debug"),
            ("3", "3"),
        ] {
            let error = text.parse::<Level>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("`{part}` is no level")), "{text}: {error}");
        }
    }
}
