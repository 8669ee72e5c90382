//! `index.html`: everything on one page that needs nothing from elsewhere.

use super::{
    markdown, path,
    tables::{self, Table},
};
use crate::{
    ChangeKind, Run,
    charts::{COUNTED, Chart, Section},
    font,
    number::{each, grouped},
    palette::{self, Role},
    svg::{self, escape},
};

/// A section of the page.
struct Part {
    id: &'static str,
    title: &'static str,
    text: &'static str,
    content: String,
}

/// The whole page.
pub(super) fn page(run: &Run, charts: &[Chart]) -> String {
    let parts = parts(run, charts);
    let nav = each(&parts, |part| format!("<a href=\"#{}\">{}</a>\n", part.id, part.title));
    let sections = each(&parts, |part| {
        format!(
            "<section><h2 id=\"{}\">{}</h2>\n<p>{}</p>\n{}</section>\n",
            part.id, part.title, part.text, part.content
        )
    });
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; font-src data:; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>lbpool: how requests spread, what moves, what breaks</title>\n<style>\n{}\n</style>\n</head>\n<body>\n\
         <header>\n<h1>How requests spread, what&nbsp;moves, what&nbsp;breaks</h1>\n<p class=\"muted\">{}</p>\n{}{}<nav>\n{nav}</nav>\n</header>\n\
         <main>\n{sections}</main>\n{FOOTER}</body>\n</html>\n",
        style(),
        escape(&markdown::about(run)).replace('`', ""),
        tiles(run),
        trouble(run),
    )
}

const FOOTER: &str = "<footer class=\"muted\"><p>Raw data: <a href=\"data.json\">data.json</a>, \
    <a href=\"data/requests.csv\">requests.csv</a>, <a href=\"data/scatter.csv\">scatter.csv</a>, \
    <a href=\"data/moves.csv\">moves.csv</a>, <a href=\"data/kills.csv\">kills.csv</a>; as text: <a href=\"summary.md\">summary.md</a>. \
    Made by <code>lbpool analyze</code>.</p></footer>\n";

fn parts(run: &Run, charts: &[Chart]) -> Vec<Part> {
    let figures = |class: &str, section: Section| figures(charts, class, section);
    let counts = each(COUNTED, |servers| {
        let figures = figures("four", Section::Counts(servers));
        format!("<h3>{servers} servers</h3>\n{figures}")
    });
    vec![
        Part {
            id: "overview",
            title: "Overview",
            text: "Two questions decide how good a placement is: does every server get its share, and how many keys change their \
                   server when servers come and go? Every figure here was counted from what the servers themselves answered.",
            content: figures("two", Section::Overview) + &table(&tables::overview(run), None),
        },
        Part {
            id: "counts",
            title: "Requests per server (A-1, A-2)",
            text: "How many requests each server answered. The line across a bar is what theory expects: even shares, but for Classroom, whose \
                   two functions give each server an exact share that is far from even. Charts side by side have one scale.",
            content: counts + &table(&tables::counts(run), Some("All counts")),
        },
        Part {
            id: "scatter",
            title: "Scatter against the number of servers (A-2)",
            text: "Even shares do not mean even counts: which keys come is chance, and chance alone scatters by about the square root of a \
                   count. Maglev and Rendezvous scatter by no more than that; Ring scatters more, since its arcs differ in length.",
            content: figures("two", Section::Scatter)
                + &table(&tables::scatter(run), Some("All figures, and theory's")),
        },
        Part {
            id: "classroom",
            title: "Classroom: measured and exact",
            text: "The assignment's functions reach only 87 of the 512 slots, so what each server gets can be computed exactly.",
            content: beside(&figures("two", Section::Exact), &table(&tables::classroom(run), None)),
        },
        Part {
            id: "removal",
            title: "A server leaves (A-3)",
            text: "The same keys were asked for before and after. Keys of the server that left had to move; a key that went from one of \
                   the others to another one moved for nothing, and a cache there is cold for nothing. The server from the middle left: \
                   Classroom, which counts positions, then gives every server behind it another number. To move less than the \
                   ideal is no merit: the server that left had less than its share.",
            content: figures("four", Section::Removal)
                + &table(&tables::changes(run, ChangeKind::Removal), Some("The figures")),
        },
        Part {
            id: "addition",
            title: "A server joins (A-4)",
            text: "Keys that the new server owns had to move to it; all others should stay where they are.",
            content: figures("four", Section::Addition)
                + &table(&tables::changes(run, ChangeKind::Addition), Some("The figures")),
        },
        Part {
            id: "kill",
            title: "A server is killed",
            text: "kill -9 of a server under steady load. Its requests go to the next rank at once (whenAway: Spill) and come home when its \
                   successor answers in the same seat.",
            content: figures("two", Section::Kill) + &table(&tables::kills(run), Some("The figures")),
        },
    ]
}

fn style() -> String {
    let face = |file: &[u8], weight: u16| {
        format!(
            "@font-face{{font-family:lbpool;font-weight:{weight};src:url(data:font/ttf;base64,{})}}\n",
            base64(file)
        )
    };
    format!(
        "{}{}:root{{{}}}\n@media(prefers-color-scheme:dark){{:root{{{}}}}}\n{}{}",
        face(font::REGULAR, 400),
        face(font::BOLD, 700),
        palette::properties(Role::light),
        palette::properties(Role::dark),
        svg::rules(),
        include_str!("page.css"),
    )
}

fn tiles(run: &Run) -> String {
    let check = run.check();
    let tile = |bad: bool, figure: String, text: &str| {
        let class = if bad { "tile bad" } else { "tile" };
        format!("<div class=\"{class}\"><b>{figure}</b><span>{text}</span></div>\n")
    };
    let passed = if check.is_good() { "passed" } else { "FAILED" };
    let mut tiles = tile(false, grouped(run.requests()), "requests sent");
    tiles += &tile(run.failures() > 0, grouped(run.failures()), "requests failed");
    let compared = format!("self-check: {} answers against the table", grouped(check.compared));
    tiles += &tile(!check.is_good(), passed.to_owned(), &compared);
    if !run.failed.is_empty() {
        tiles += &tile(true, run.failed.len().to_string(), "experiments could not be done");
    }
    tiles += &tile(false, format!("{:.0} s", run.about.seconds), "for all experiments");
    format!("<div class=\"tiles\">\n{tiles}</div>\n")
}

/// What went wrong, before everything else.
fn trouble(run: &Run) -> String {
    if run.failed.is_empty() && run.check().is_good() {
        return String::new();
    }
    let lines = markdown::verdicts(run)
        .into_iter()
        .filter(|line| line.starts_with("**"));
    let lines = each(lines, |line| format!("<li>{}</li>\n", escape(&line.replace("**", ""))));
    format!("<div class=\"trouble\" role=\"alert\"><strong>Not everything went well</strong><ul>\n{lines}</ul></div>\n")
}

fn figures(charts: &[Chart], class: &str, section: Section) -> String {
    let figures = each(charts.iter().filter(|chart| chart.section == section), |chart| {
        let links = each(["svg", "png"], |ending| {
            format!("<a href=\"{}\">{}</a> ", path(chart, ending), ending.to_uppercase())
        });
        format!(
            "<figure>{}<figcaption>{links}</figcaption></figure>\n",
            svg::inline(&chart.scene, &chart.name)
        )
    });
    if figures.is_empty() {
        return "<p class=\"muted\">Nothing was measured.</p>\n".to_owned();
    }
    format!("<div class=\"{class}\">\n{figures}</div>\n")
}

/// Something to the right of the only figure of a row, or below it where there is no room.
fn beside(figures: &str, other: &str) -> String {
    match figures.strip_suffix("</div>\n") {
        Some(row) => format!("{row}{other}</div>\n"),
        None => format!("{figures}{other}"),
    }
}

/// A table; where it has a title it is folded under it.
fn table(table: &Table, title: Option<&str>) -> String {
    if table.rows.is_empty() {
        return String::new();
    }
    let cells = |cells: &[String], tag: &str| each(cells, |cell| format!("<{tag}>{}</{tag}>", escape(cell)));
    let rows = each(&table.rows, |row| format!("<tr>{}</tr>\n", cells(row, "td")));
    let text = format!(
        "<div class=\"wide\" tabindex=\"0\"><table><thead><tr>{}</tr></thead><tbody>\n{rows}</tbody></table></div>\n",
        cells(&table.head, "th")
    );
    match title {
        Some(title) => format!("<details><summary>{title}</summary>\n{text}</details>\n"),
        None => text,
    }
}

/// RFC 4648's base 64.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let byte = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= part.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
