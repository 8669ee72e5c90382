use super::*;

const TWO: &str = "pool: web\nmembers:\n- {name: a, address: 10.0.0.1:8080}\n- {name: b, address: 10.0.0.2:8080}\n";

fn wrong(text: &str) -> Vec<(String, String)> {
    match parse("members.yaml", text, Addresses::Here) {
        Err(Error::Wrong { problems, .. }) => problems.iter().map(|p| (p.path.clone(), p.message.clone())).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_shortest_file_is_a_pool_and_its_members() {
    let document = parse("members.yaml", TWO, Addresses::Here).unwrap();
    assert_eq!(document.pool, "web");
    assert_eq!(document.epoch, 0);
    assert_eq!(document.members[1].address.as_deref(), Some("10.0.0.2:8080"));
    assert_eq!(document.members[1].weight, 1);
    assert_eq!(document.members[1].state, SeatState::Serving);
    assert_eq!(document.routing, Routing::default());
}

#[test]
fn json_is_read_as_well() {
    let text = serde_json::to_string_pretty(&parse("m", TWO, Addresses::Here).unwrap()).unwrap();
    assert_eq!(
        parse("m.json", &text, Addresses::Here).unwrap(),
        parse("m", TWO, Addresses::Here).unwrap()
    );
}

#[test]
fn a_field_that_nobody_knows_is_an_error_that_names_file_and_path() {
    let text = TWO.replace("name: b,", "name: b, wieght: 3,");
    let error = parse("members.yaml", &text, Addresses::Here).unwrap_err().to_string();
    for part in ["members.yaml", "members[1].wieght"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn what_can_not_be_is_told_with_its_path() {
    let cases = [
        (TWO.replace("pool: web", "pool: ''"), "pool"),
        (TWO.replace("name: b", "name: A"), "members[1].name"),
        (TWO.replace("name: b", "name: b, weight: 0"), "members[1].weight"),
        (TWO.replace("name: b", "name: b, weight: 1001"), "members[1].weight"),
        (TWO.replace("name: b", "name: b, state: Draining"), "members[1].state"),
        (TWO.replace("10.0.0.2:8080", "10.0.0.2"), "members[1].address"),
        (
            TWO.replace("10.0.0.2:8080", "http://10.0.0.2:8080"),
            "members[1].address",
        ),
        (TWO.replace("10.0.0.2:8080", "10.0.0.2:0"), "members[1].address"),
        (TWO.replace("10.0.0.2:8080", "'fd00::1:80'"), "members[1].address"),
        (TWO.replace(", address: 10.0.0.2:8080", ""), "members[1].address"),
        (
            TWO.replace("name: a", "name: a, pod: p")
                .replace("name: b", "name: b, pod: p"),
            "members[1].pod",
        ),
        (format!("{TWO}digest: abc\n"), "digest"),
        (
            format!("{TWO}routing: {{key: [{{header: A, cookie: b}}]}}"),
            "routing.key[0]",
        ),
        (format!("{TWO}routing: {{key: [{{}}]}}"), "routing.key[0]"),
        (
            format!("{TWO}routing: {{key: [{{header: 'A b'}}]}}"),
            "routing.key[0].header",
        ),
        (
            format!("{TWO}routing: {{key: [{{path: false}}]}}"),
            "routing.key[0].path",
        ),
        (
            format!("{TWO}routing: {{key: [{{pathPrefix: 0}}]}}"),
            "routing.key[0].pathPrefix",
        ),
        (
            format!("{TWO}routing: {{key: [{{jsonBody: user}}]}}"),
            "routing.key[0].jsonBody",
        ),
        (
            format!("{TWO}routing: {{key: [{{join: [{{header: a}}]}}]}}"),
            "routing.key[0].join",
        ),
        (
            format!("{TWO}routing: {{key: [{{join: [{{header: a}}, {{query: b, path: true}}]}}]}}"),
            "routing.key[0].join[1]",
        ),
        (
            format!("{TWO}routing: {{key: [{{query: c, join: [{{header: a}}, {{query: b}}]}}]}}"),
            "routing.key[0]",
        ),
        (format!("{TWO}routing: {{loadBound: 100}}"), "routing.loadBound"),
        (
            format!("{TWO}routing: {{retries: {{attempts: 11}}}}"),
            "routing.retries.attempts",
        ),
        (
            format!("{TWO}routing: {{retries: {{budget: 101}}}}"),
            "routing.retries.budget",
        ),
        (format!("{TWO}health: {{path: heartbeat}}"), "health.path"),
        (format!("{TWO}health: {{path: \"/a b\"}}"), "health.path"),
        (format!("{TWO}health: {{failures: 0}}"), "health.failures"),
    ];
    for (text, path) in cases {
        let paths: Vec<String> = wrong(&text).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, [path], "{text}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_a_flood_is_cut() {
    let mut text = TWO.replace("name: b", "name: A, weight: 0");
    text += "health: {path: x}\n";
    assert_eq!(wrong(&text).len(), 3);

    let many: Vec<String> = (0..100).map(|i| format!("{{name: m-{i}}}")).collect();
    let many = format!("pool: web\nmembers: [{}]", many.join(", "));
    let message = parse("many.yaml", &many, Addresses::Here).unwrap_err().to_string();
    assert!(message.ends_with("; and 92 more"), "{message}");
}

#[test]
fn a_table_has_at_most_1024_members() {
    let many: Vec<String> = (0..1025).map(|i| format!("{{name: m-{i}, address: 'h:1'}}")).collect();
    let text = format!("pool: web\nmembers: [{}]", many.join(", "));
    assert_eq!(wrong(&text)[0].0, "members");
}

#[test]
fn a_vacant_seat_needs_no_address_and_neither_does_one_that_is_found_elsewhere() {
    let text = TWO.replace(", address: 10.0.0.2:8080", ", state: Vacant");
    assert!(parse("m", &text, Addresses::Here).is_ok());
    assert!(parse("m", "pool: web\nmembers: [{name: a}]", Addresses::Elsewhere).is_ok());
}

#[test]
fn no_member_at_all_is_a_document() {
    assert!(parse("m", "pool: web\nmembers: []\n", Addresses::Here).is_ok());
}

#[test]
fn an_address_is_split_into_host_and_port() {
    assert_eq!(address("10.0.0.1:80"), Ok(("10.0.0.1", 80)));
    assert_eq!(address("cache_1.internal:8080"), Ok(("cache_1.internal", 8080)));
    assert_eq!(address("[fd00::1]:80"), Ok(("fd00::1", 80)));
}
