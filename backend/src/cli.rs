//! The flags, each with a variable of the environment where a Pod template would set one.

use std::{net::IpAddr, time::Duration};

use clap::Parser;
use jiff::SignedDuration;
use lbpool_daemon::LogArgs;

/// The sample server of a pool.
#[derive(Parser, Debug)]
#[command(name = "backend", version, about)]
pub struct Args {
    /// What the server calls itself. Default: the host's name
    #[arg(long, value_name = "ID", env = "SERVER_ID", value_parser = id)]
    pub id: Option<String>,
    /// Port to listen on. 0: any that is free
    #[arg(long, env = "PORT", default_value_t = 5000)]
    pub port: u16,
    /// Address to listen on. The image sets 0.0.0.0, since a container is reached from outside
    #[arg(long, value_name = "ADDRESS", env = "SERVER_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// Threads that answer requests
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub workers: u16,
    /// On SIGTERM, how long requests that are under way may take to finish
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub grace: Duration,
    /// For trials: waits this long before each answer of /home
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub delay: Duration,
    /// For trials: the share of the requests to /home that fail with 500, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub fail_rate: f64,
    /// For trials: which of the requests fail; the same ones for the same seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
    /// For trials: also POST /echo and GET /stream
    #[arg(long)]
    pub trials: bool,
    /// Where to log, and how much
    #[command(flatten)]
    pub log: LogArgs,
}

/// The id is sent in a header too, so that it must not end one.
fn id(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) || text.len() > 256 {
        return Err("expected at most 256 bytes and no control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: expected a number with a unit, such as 20ms, 1.5s or 2m");
    let signed: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| wrong())
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!(
            "`{text}` is no share: expected a number from 0 to 1, such as 0.1"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_in_a_pool() {
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
    }

    #[test]
    fn wrong_values_are_refused_with_an_example() {
        for args in [
            ["--delay", "20"],
            ["--delay=-1s", "--trials"],
            ["--fail-rate", "1.1"],
            ["--fail-rate", "NaN"],
        ] {
            let error = Args::try_parse_from(["backend"].into_iter().chain(args))
                .expect_err(args[0])
                .to_string();
            assert!(error.contains("such as"), "{args:?}: {error}");
        }
    }

    #[test]
    fn an_id_can_not_smuggle_a_header() {
        assert!(Args::try_parse_from(["backend", "--id", "a\r\nX-Other: b"]).is_err());
    }
}
