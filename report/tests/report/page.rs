//! The page in Chromium, on a phone and on a desk, in light and in dark. `make test-report` runs these.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lbpool_report::{Run, files};
use serde_json::Value;

use crate::{
    browser::{Browser, View},
    sample,
};

const VIEWS: [View; 4] = [
    View {
        width: 390,
        dark: false,
    },
    View { width: 390, dark: true },
    View {
        width: 1280,
        dark: false,
    },
    View {
        width: 1280,
        dark: true,
    },
];

/// Looks at every chart and at what stands in it: boxes without a size, and what reaches out of its box or of the page.
const PROBE: &str = r"(() => {
  const faults = [], page = document.documentElement;
  const say = (what, it) => faults.push(what + ': ' + it);
  const charts = [...document.querySelectorAll('figure svg')];
  if (page.scrollWidth > innerWidth) say('the page is wider than the window', page.scrollWidth + ' > ' + innerWidth);
  for (const chart of charts) {
    const name = chart.querySelector('title').textContent, box = chart.getBoundingClientRect();
    if (box.width < 200 || box.height < 100) say('too small', name + ' ' + box.width + 'x' + box.height);
    if (box.left < 0 || box.right > innerWidth + 0.5) say('outside of the window', name);
    const texts = [...chart.querySelectorAll('text')];
    const boxes = texts.map(text => text.getBoundingClientRect());
    for (const [at, text] of texts.entries()) {
      const it = name + ' \'' + text.textContent + '\'', b = boxes[at];
      const small = text.getAttribute('font-size') * box.width / chart.viewBox.baseVal.width;
      if (small < 7.5) say('too small to read', it + ' ' + small);
      if (b.left < box.left - 1 || b.right > box.right + 1 || b.bottom > box.bottom + 1) say('cut off', it);
      for (let other = at + 1; other < texts.length; other++) {
        const o = boxes[other];
        const w = Math.min(b.right, o.right) - Math.max(b.left, o.left), h = Math.min(b.bottom, o.bottom) - Math.max(b.top, o.top);
        if (w > 1 && h > 0.25 * Math.min(b.height, o.height)) say('texts on each other', it + ' and \'' + texts[other].textContent + '\'');
      }
    }
    for (const shape of chart.querySelectorAll('path, polyline')) {
      const b = shape.getBoundingClientRect();
      if (b.left < box.left - 1 || b.right > box.right + 1 || b.bottom > box.bottom + 1 || b.top < box.top - 1) say('drawn outside', name);
    }
  }
  return {charts: charts.length, faults, font: document.fonts.check('12px lbpool'), background: getComputedStyle(document.body).backgroundColor};
})()";

fn write(run: &Run) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files(run).unwrap() {
        let path = dir.path().join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file.bytes).unwrap();
    }
    dir
}

/// Opens a page in every view; `pictures`, if any, is where pictures of it go.
fn look(page: &Path, charts: std::ops::RangeInclusive<u64>, pictures: Option<&Path>) {
    let mut browser = Browser::start();
    for view in VIEWS {
        browser.open(page, view);
        let seen = browser.evaluate(PROBE);
        assert_eq!(
            seen["faults"],
            Value::Array(Vec::new()),
            "{view:?}: {:#}",
            seen["faults"]
        );
        assert!(charts.contains(&seen["charts"].as_u64().unwrap()), "{view:?}: {seen}");
        assert_eq!(seen["font"], true, "{view:?}: the page's own font");
        let background = if view.dark {
            "rgb(21, 24, 29)"
        } else {
            "rgb(255, 255, 255)"
        };
        assert_eq!(seen["background"], background, "{view:?}");
        assert_eq!(browser.complaints, Vec::<String>::new(), "{view:?}");
        if let Some(dir) = pictures {
            let mode = if view.dark { "dark" } else { "light" };
            let file = dir.join(format!("page-{}-{mode}.png.base64", view.width));
            fs::write(file, browser.picture()).unwrap();
        }
    }
}

#[test]
#[ignore = "needs Chromium: make test-report"]
fn the_page_is_whole_on_a_phone_and_on_a_desk() {
    let dir = write(&sample::run(1));
    look(&dir.path().join("index.html"), 29..=29, None);
}

#[test]
#[ignore = "needs Chromium: make test-report"]
fn the_page_of_a_run_that_failed_in_parts_is_whole_too() {
    let dir = write(&sample::troubled());
    look(&dir.path().join("index.html"), 10..=28, None);
}

/// The report of real servers in `LBPOOL_REPORT`.
#[test]
#[ignore = "needs Chromium and a report: make test-report"]
fn the_page_of_real_servers_is_whole() {
    let dir = PathBuf::from(std::env::var_os("LBPOOL_REPORT").unwrap());
    let run: Run = serde_json::from_slice(&fs::read(dir.join("data.json")).unwrap()).unwrap();
    assert_eq!(run.failed, [], "every experiment was done");
    assert!(
        run.check().is_good() && run.check().compared > 10_000,
        "{:?}",
        run.check()
    );
    let pictures = std::env::var_os("LBPOOL_PICTURES").map(PathBuf::from);
    look(&dir.join("index.html"), 29..=29, pictures.as_deref());
}
