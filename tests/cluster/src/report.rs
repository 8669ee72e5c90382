//! Figures in a table, at the end of each test.

use std::{
    fmt::{self, Display},
    time::Duration,
};

/// A table with a title; the first row names the columns.
#[derive(Debug)]
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(title: &str, columns: &[&str]) -> Self {
        let title = title.to_owned();
        let rows = vec![columns.iter().map(|&name| name.to_owned()).collect()];
        Self { title, rows }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[&dyn Display]) {
        self.rows.push(cells.iter().map(ToString::to_string).collect());
    }

    /// Adds a row of a name and a time.
    pub fn time(&mut self, name: &str, took: Duration) {
        self.row(&[&name, &format_args!("{:.2} s", took.as_secs_f64())]);
    }

    /// Prints it.
    pub fn print(&self) {
        println!("{self}");
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(String::len)
                .max()
        };
        let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        writeln!(f, "\n== {}", self.title)?;
        for row in &self.rows {
            // Names to the left, numbers to the right.
            let cells = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, &width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                });
            writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}
