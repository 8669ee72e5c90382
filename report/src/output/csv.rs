//! The raw data, a row for each thing that was counted.

use crate::{Run, charts::Figure, number::real, theory::theory};

/// Requests per server.
pub(super) fn requests(run: &Run) -> String {
    let mut text = line(&["algorithm", "servers", "requests", "server", "answered", "expected"]);
    for spread in &run.spreads {
        let servers = spread.servers.len();
        let expected = theory(spread.algorithm, servers, spread.requests, spread.repeats).counts;
        for ((server, count), expected) in spread.servers.iter().zip(&spread.counts).zip(expected) {
            text += &line(&[
                spread.algorithm.as_str(),
                &servers.to_string(),
                &spread.requests.to_string(),
                server,
                &count.to_string(),
                &format!("{expected:.1}"),
            ]);
        }
    }
    text
}

/// Standard deviation and spread, measured and expected.
pub(super) fn scatter(run: &Run) -> String {
    let mut text = line(&[
        "algorithm",
        "servers",
        "requests",
        "figure",
        "measured",
        "expected",
        "expected_low",
        "expected_high",
        "failed",
    ]);
    for spread in &run.spreads {
        let servers = spread.servers.len();
        let theory = theory(spread.algorithm, servers, spread.requests, spread.repeats);
        for figure in [Figure::Deviation, Figure::Spread] {
            let expected = figure.expected(&theory);
            text += &line(&[
                spread.algorithm.as_str(),
                &servers.to_string(),
                &spread.requests.to_string(),
                figure.slug(),
                &format!("{:.2}", figure.of(&spread.counts)),
                &format!("{:.2}", expected.mean),
                &format!("{:.2}", expected.low),
                &format!("{:.2}", expected.high),
                &spread.failures.values().sum::<u64>().to_string(),
            ]);
        }
    }
    text
}

/// Keys by the server that answered for them before and after a change.
pub(super) fn moves(run: &Run) -> String {
    let mut text = line(&["algorithm", "change", "server", "from", "to", "keys", "share"]);
    for change in &run.changes {
        for flow in &change.flows {
            text += &line(&[
                change.algorithm.as_str(),
                &format!("{:?}", change.kind),
                &change.server,
                &flow.from,
                &flow.to,
                &flow.keys.to_string(),
                &format!("{:.5}", real(flow.keys) / real(change.keys().max(1))),
            ]);
        }
    }
    text
}

/// Every request around a kill.
pub(super) fn kills(run: &Run) -> String {
    let mut text = line(&["algorithm", "sent_ms", "took_ms", "server", "failure"]);
    for kill in &run.kills {
        for sample in &kill.samples {
            text += &line(&[
                kill.algorithm.as_str(),
                &format!("{:.1}", sample.at),
                &format!("{:.2}", sample.took),
                sample.server.as_deref().unwrap_or_default(),
                sample.failure.as_deref().unwrap_or_default(),
            ]);
        }
    }
    text
}

fn line(fields: &[&str]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    fields.join(",") + "\n"
}

/// As RFC 4180 has it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_would_tear_a_row_are_quoted() {
        assert_eq!(line(&["a", "b,c", "say \"d\""]), "a,\"b,c\",\"say \"\"d\"\"\"\n");
    }
}
