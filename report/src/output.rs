//! The files of a report.

mod csv;
mod markdown;
mod page;
mod tables;

use crate::{
    Run,
    charts::{self, Chart, Section},
    raster, svg,
};

/// A file of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is, under the report's folder.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// All files of a run's report: `index.html`, `summary.md`, `data.json`, `data/*.csv`, and each chart as SVG and PNG.
///
/// # Errors
/// The data can not be written as JSON.
pub fn files(run: &Run) -> Result<Vec<File>, serde_json::Error> {
    let charts = charts::charts(run);
    let mut files = vec![
        File::new("index.html", page::page(run, &charts)),
        File::new("summary.md", markdown::summary(run, &charts)),
        File::new("data.json", serde_json::to_string(run)? + "\n"),
        File::new("data/requests.csv", csv::requests(run)),
        File::new("data/scatter.csv", csv::scatter(run)),
        File::new("data/moves.csv", csv::moves(run)),
        File::new("data/kills.csv", csv::kills(run)),
    ];
    for chart in &charts {
        files.push(File::new(&path(chart, "svg"), svg::file(&chart.scene)));
        files.push(File {
            path: path(chart, "png"),
            bytes: raster::file(&chart.scene),
        });
    }
    Ok(files)
}

/// Where a chart's file is.
fn path(chart: &Chart, ending: &str) -> String {
    match chart.section {
        Section::Cover => format!("{}.{ending}", chart.name),
        _ => format!("charts/{}.{ending}", chart.name),
    }
}

// === impl File ===

impl File {
    fn new(path: &str, text: String) -> Self {
        Self {
            path: path.to_owned(),
            bytes: text.into_bytes(),
        }
    }
}
