//! `lbpool plan` and `lbpool explain` say what is so: what they promise is compared with what then happens.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::time::Duration;

use lbpool_tests::{
    load::{Homes, Load, Plan},
    process::{Pool, Sandbox, Up, request},
};
use serde_json::Value;

const ROUND: Duration = Duration::from_secs(30);
const KEYS: usize = 4000;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The seats and who sits in them, as the status says.
fn sitting(up: &Up<'_>) -> Vec<(String, String)> {
    let pool = up.status().unwrap();
    let members = pool["status"]["members"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    members
        .map(|member| (text(&member["name"]), text(&member["pod"])))
        .collect()
}

/// The steps of a plan, as a log of the controller would have them: starts, documents, ends.
fn promised(plan: &Value) -> Vec<String> {
    let steps = plan["steps"].as_array().unwrap().iter();
    steps
        .map(|step| match step["step"].as_str().unwrap() {
            "route" => "routing published".to_owned(),
            "start" => format!("member started {}", step["pod"].as_str().unwrap()),
            _ => format!("member told to end {}", step["pod"].as_str().unwrap()),
        })
        .collect()
}

/// What the log tells of the same, from its `skip`-th byte on.
fn happened(output: &str, skip: usize) -> Vec<String> {
    let instance = |line: &str| {
        let from = line.find("instance=")? + "instance=".len();
        let name = line[from..].split_whitespace().next()?;
        Some(name.trim_matches('"').to_owned())
    };
    output[skip..]
        .lines()
        .filter_map(|line| {
            ["routing published", "member started", "member told to end"]
                .into_iter()
                .find(|what| line.contains(what))
                .map(|what| match instance(line) {
                    Some(name) => format!("{what} {name}"),
                    None => what.to_owned(),
                })
        })
        .collect()
}

/// Starts of one moment have no order among themselves.
fn sorted_runs(steps: &[String]) -> Vec<Vec<String>> {
    let verb = |step: &String| step.split(' ').take(2).collect::<Vec<_>>().join(" ");
    steps
        .chunk_by(|one, next| verb(one) == verb(next))
        .map(|run| {
            let mut run = run.to_vec();
            run.sort();
            // Members that get ready far apart join one after the other.
            run.dedup();
            run
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a share of the keys")]
fn share(moved: usize) -> f64 {
    moved as f64 / KEYS as f64
}

#[test]
fn a_plan_comes_true_step_by_step_and_key_by_key() {
    let sandbox = Sandbox::new();
    let pool = Pool::default();
    let mut up = sandbox.up(&pool);
    let load = Load::start(Plan {
        keys: KEYS,
        ..Plan::new(up.address())
    })
    .unwrap();
    let mut homes: Homes = load.round(ROUND).unwrap();
    for replicas in [5, 2] {
        let number = replicas.to_string();
        let before = sitting(&up);
        let plan = json(&sandbox.lbpool(&["plan", "--replicas", &number, "--json"]).success());
        assert_eq!(sitting(&up), before, "a plan changes nothing");
        let skip = up.output().len();

        up.scale(replicas, pool.version);
        up.settled(replicas, pool.version);
        let then = load.round(ROUND).unwrap();
        let (want, is) = (plan["moved"].as_f64().unwrap(), share(then.moved_from(&homes)));
        println!("to {replicas}: {want:.4} of the keys promised, {is:.4} moved");
        // Four standard deviations of a share of so many keys.
        assert!((want - is).abs() < 0.032, "{want} {is}");
        homes = then;

        let digest = up.status().unwrap()["status"]["digest"].clone();
        assert_eq!(plan["after"]["digest"], digest, "the very table that was promised");
        let steps = up.until("all steps to be done", |up| {
            let steps = happened(&up.output(), skip);
            let (steps, promised) = (sorted_runs(&steps), sorted_runs(&promised(&plan)));
            if steps.len() < promised.len() {
                return Err(format!("{steps:?} of {promised:?}"));
            }
            Ok(steps)
        });
        assert_eq!(steps, sorted_runs(&promised(&plan)));
        let seats: Vec<(String, f64)> = plan["members"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|member| Some((member["seat"].as_str()?.to_owned(), member["after"].as_f64()?)))
            .collect();
        let names: Vec<String> = sitting(&up).into_iter().map(|(seat, _)| seat).collect();
        assert_eq!(seats.iter().map(|(seat, _)| seat.clone()).collect::<Vec<_>>(), names);
        let servers = homes.per_server();
        for (seat, want) in seats {
            let is = share(servers.get(seat.as_str()).copied().unwrap_or(0));
            assert!((want - is).abs() < 0.032, "{seat}: {want} promised, {is}");
        }
    }
    let figures = load.stop();
    assert_eq!(figures.failed_in_all(), 0, "{figures}");
}

#[test]
fn a_roll_out_is_planned_with_the_names_that_its_members_get() {
    let sandbox = Sandbox::new();
    let pool = Pool::default();
    let mut up = sandbox.up(&pool);
    let next = Pool {
        version: pool.version + 1,
        ..pool
    };
    let file = sandbox.write("next.yaml", &next.to_string());
    let file = file.to_str().unwrap();
    let plan = json(&sandbox.lbpool(&["plan", "-f", file, "--json"]).success());
    assert_eq!(plan["moved"], 0.0);
    let text = sandbox.lbpool(&["plan", "-f", file]).success();
    assert!(
        text.contains("No key moves.") && text.contains("To do it: lbpool apply -f"),
        "{text}"
    );

    let skip = up.output().len();
    up.apply(&next);
    let promised = promised(&plan);
    let steps = up.until("the roll-out to end", |up| {
        let steps = happened(&up.output(), skip);
        if steps.len() < promised.len() {
            return Err(format!("{steps:?}"));
        }
        Ok(steps)
    });
    assert_eq!(steps, promised);
}

#[test]
fn a_wrong_plan_is_refused_as_the_change_would_be_and_files_can_be_compared() {
    let sandbox = Sandbox::new();
    let pool = Pool::default();
    let old = sandbox.write("old.yaml", &pool.to_string());
    let old = old.to_str().unwrap();
    let text = sandbox.lbpool(&["plan", "--from", old, "--replicas", "4"]).success();
    assert!(text.contains("of the keys move to another seat"), "{text}");
    let error = sandbox.lbpool(&["plan", "-f", old]).failure();
    assert!(error.contains("--from"), "{error}");
    let wrong = sandbox.write("wrong.yaml", &pool.to_string().replace("loadBound: 0", "loadBound: 50"));
    let wrong = wrong.to_str().unwrap();

    let mut up = sandbox.up(&pool);
    for args in [&["--replicas", "-1"][..], &["--replicas", "100000"], &["-f", wrong]] {
        let plan = sandbox.lbpool(&[&["plan"], args].concat()).failure();
        let verb = if args[0] == "-f" { "apply" } else { "scale" };
        let change = sandbox.lbpool(&[&[verb], args].concat()).failure();
        assert_eq!(plan, change, "{args:?}");
    }
    up.settled(pool.replicas, pool.version);
}

#[test]
fn a_key_is_explained_as_it_is_answered() {
    let sandbox = Sandbox::new();
    let up = sandbox.up(&Pool::default());
    let keys = ["1", "cart/42", "a b"];
    let told = json(&sandbox.lbpool(&[&["explain", "--json"], &keys[..]].concat()).success());
    for (key, told) in keys.iter().zip(told.as_array().unwrap()) {
        assert_eq!(told["key"], *key);
        assert_eq!(
            (&told["outcome"], &told["owner"]),
            (&Value::from("Owner"), &told["member"])
        );
        let ranks = told["ranks"].as_array().unwrap();
        assert_eq!((ranks.len(), &ranks[0]["member"]), (3, &told["owner"]));
        let answer = request(up.address(), "GET", "/home", &format!("X-Request-Id: {key}\r\n"), "").unwrap();
        let owner = told["owner"].as_str().unwrap();
        assert!(answer.body.contains(owner), "{key}: {owner} in {answer:?}");
    }
    let text = sandbox.lbpool(&["explain", "cart/42"]).success();
    assert!(
        text.starts_with("cart/42 -> ") && text.contains(": it owns the key"),
        "{text}"
    );
}
