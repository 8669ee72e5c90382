//! What is written, without a browser.

use lbpool_report::{File, Run, files};

use crate::sample;

fn text(files: &[File], path: &str) -> String {
    let file = files.iter().find(|file| file.path == path);
    let file = file.unwrap_or_else(|| panic!("{path} is missing"));
    String::from_utf8(file.bytes.clone()).unwrap()
}

#[test]
fn the_same_run_gives_the_same_files() {
    assert_eq!(files(&sample::run(1)).unwrap(), files(&sample::run(1)).unwrap());
}

#[test]
fn each_chart_is_there_as_svg_and_as_png() {
    let files = files(&sample::run(1)).unwrap();
    let ending = |ending: &str| files.iter().filter(|file| file.path.ends_with(ending)).count();
    // Cover, two of the overview, 3 x 4 counts, two of scatter, Classroom, 2 x 4 changes, 4 kills.
    assert_eq!((ending(".svg"), ending(".png")), (30, 30));
    let total: usize = files.iter().map(|file| file.bytes.len()).sum();
    assert!(total < 4_000_000, "{total}");
}

#[test]
fn data_can_be_read_back() {
    let run = sample::run(1);
    let files = files(&run).unwrap();
    let read: Run = serde_json::from_str(&text(&files, "data.json")).unwrap();
    assert!(read == run, "what is read is not what was written");
    for (path, rows) in [
        ("data/requests.csv", 4 * 2 * (2 + 3 + 4 + 5 + 6 + 7)),
        ("data/scatter.csv", 4 * 2 * 6 * 2),
        ("data/kills.csv", 4 * 3000),
    ] {
        assert_eq!(text(&files, path).lines().count(), rows + 1, "{path}");
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let page = text(&files(&sample::run(1)).unwrap(), "index.html");
    for word in ["<script", "src=\"", "@import", "url(http", "http-equiv=\"refresh"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("default-src 'none'"));
}

#[test]
fn a_failed_experiment_says_what_failed_and_the_rest_is_kept() {
    let files = files(&sample::troubled()).unwrap();
    let (page, summary) = (text(&files, "index.html"), text(&files, "summary.md"));
    assert!(page.contains("Ring, 7 servers: after 60s only 6/7 members are ready &lt;birds-6&gt;"));
    assert!(page.contains("Self-check FAILED: 3 of "));
    assert!(
        summary.contains("**Self-check FAILED**: 3 of ") && summary.contains("**Could not be done**: Ring, 7 servers")
    );
    assert!(page.contains("id=\"counts-5-maglev-t\"") && !page.contains("id=\"counts-5-ring-t\""));
    assert!(page.contains("Nothing was measured."), "no server left");
}

#[test]
fn a_run_without_anything_is_a_report_too() {
    let mut run = sample::run(1);
    (run.spreads, run.changes, run.kills) = (Vec::new(), Vec::new(), Vec::new());
    let files = files(&run).unwrap();
    assert!(text(&files, "index.html").contains("Nothing was measured."));
}
