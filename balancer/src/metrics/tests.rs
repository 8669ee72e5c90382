use std::collections::BTreeMap;

use super::*;
use crate::{Balancer, Config};

fn scrape(sources: Sources) -> String {
    let balancer = Balancer::start(Config {
        workers: 1,
        ..Config::default()
    })
    .unwrap();
    let document = "{pool: web, epoch: 1, members: [{name: a, address: '127.0.0.1:9'}, {name: b, state: Vacant}]}";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(balancer.publish(serde_yaml::from_str(document).unwrap()))
        .unwrap();
    let mut registry = Registry::default();
    register(&balancer.shared(), sources, &mut registry);
    text(&registry).unwrap()
}

#[test]
fn every_line_of_a_scrape_belongs_to_a_family_and_parses() {
    let text = scrape(Sources {
        file: Some(Arc::default()),
        cluster: Some(Arc::default()),
    });
    let mut families = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            families.insert(name.to_owned(), (kind.to_owned(), 0));
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
            let name = series.split('{').next().unwrap();
            let bare = ["_total", "_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix));
            let family = families.get_mut(name).or(None);
            match (family, bare) {
                (Some((kind, seen)), _) if kind == "gauge" => *seen += 1,
                (_, Some(bare)) => families.get_mut(bare).unwrap_or_else(|| panic!("{line}")).1 += 1,
                _ => panic!("no family: {line}"),
            }
        }
    }
    assert!(text.ends_with("# EOF\n"));
    for family in FAMILIES {
        let (kind, seen) = &families[family.name];
        assert_eq!(kind, family.kind.as_str(), "{}", family.name);
        assert!(*seen > 0, "{} has no value", family.name);
    }
}

#[test]
fn a_scrape_shows_the_table_and_its_members() {
    let text = scrape(Sources::default());
    for line in [
        "lbpool_table_epoch 1",
        "lbpool_table_members 2",
        "lbpool_table_changes_total 1",
        "lbpool_phase{phase=\"ready\"} 1",
        "lbpool_member_ready{member=\"a\"} 1",
        "lbpool_member_ready{member=\"b\"} 0",
        "lbpool_member_ejected{member=\"a\"} 0",
        "lbpool_requests_total{class=\"5xx\"} 0",
        "lbpool_request_duration_seconds_bucket{le=\"+Inf\"} 0",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} in\n{text}");
    }
    assert!(!text.contains("lbpool_members_file_refused 0"), "there is no file");
}

#[test]
fn the_reference_is_what_the_families_say() {
    let written = include_str!("../../../docs/reference/metrics.md");
    assert_eq!(written, reference(), "run `make generate`");
}

#[test]
fn every_reason_of_an_own_answer_is_in_the_reference() {
    let written = include_str!("../../../docs/reference/balancer.md");
    for reason in crate::Reason::ALL {
        let row = format!("`{}` |", reason.label());
        assert!(written.contains(&row), "{row}");
    }
}
