//! How far it is: a bar with rate and time left on a terminal, a line per experiment elsewhere.

use std::{io::IsTerminal as _, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lbpool_report::grouped;
use tokio::time::Instant;

/// Shared by all who send requests.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
}

/// An experiment under way.
#[derive(Debug)]
pub struct Step<'p> {
    progress: &'p Progress,
    name: String,
    began: Instant,
    /// Where the bar stands when the experiment is over, whatever became of it.
    end: u64,
    requests: u64,
}

impl Progress {
    /// For so many requests. On a terminal it draws, unless that is not wanted.
    pub fn new(requests: u64, plain: bool) -> Self {
        const LOOK: &str = "{spinner} {msg:28!} {wide_bar} {human_pos}/{human_len}  {per_sec:>12}  {eta:>4} left";
        let draws = !plain && std::io::stderr().is_terminal();
        let bar = draws.then(|| {
            let bar = ProgressBar::with_draw_target(Some(requests), ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::with_template(LOOK).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar }
    }

    /// A request was answered, or failed.
    pub fn tick(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// An experiment of so many requests begins.
    pub fn begin(&self, name: String, requests: u64) -> Step<'_> {
        if let Some(bar) = &self.bar {
            bar.set_message(name.clone());
        }
        Step {
            progress: self,
            name,
            began: Instant::now(),
            end: self.bar.as_ref().map_or(0, ProgressBar::position) + requests,
            requests,
        }
    }

    /// Prints a line, above the bar.
    pub fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Draws no more.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Step<'_> {
    /// It went well.
    pub fn done(self) {
        if self.progress.bar.is_none() {
            let seconds = self.began.elapsed().as_secs_f64();
            self.progress.line(&format!(
                "{}: {} requests in {seconds:.2} s",
                self.name,
                grouped(self.requests)
            ));
        }
        self.advance();
    }

    /// It could not be done.
    pub fn failed(self, reason: &str) {
        self.progress
            .line(&format!("{}: could not be done: {reason}", self.name));
        self.advance();
    }

    fn advance(&self) {
        if let Some(bar) = &self.progress.bar {
            bar.set_position(self.end);
        }
    }
}
