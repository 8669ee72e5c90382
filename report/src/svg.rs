//! A picture as SVG: with a style sheet of its own for a file, without one within the page, which has it.

use std::fmt::Write as _;

use crate::{
    number::each,
    palette::{self, Role},
    scene::{Anchor, Form, Point, Scene, Segment, Shape},
};

/// The fonts of charts: the page carries the first one, a file falls back.
pub(crate) const FONTS: &str = "lbpool,Roboto,\"Helvetica Neue\",Arial,sans-serif";

/// A file: follows the reader's light or dark mode by itself.
#[must_use]
pub fn file(scene: &Scene) -> String {
    let style = format!(
        "<style>:root{{{}}}@media(prefers-color-scheme:dark){{:root{{{}}}}}text{{font-family:{FONTS}}}{}</style>",
        palette::properties(Role::light),
        palette::properties(Role::dark),
        rules(),
    );
    let ground = format!(
        "<rect class=\"f-surface\" width=\"{}\" height=\"{}\"/>",
        number(scene.width),
        number(scene.height)
    );
    write(scene, "chart", &format!("{style}{ground}"))
}

/// A part of the page; `id` tells it from the other parts.
#[must_use]
pub(crate) fn inline(scene: &Scene, id: &str) -> String {
    write(scene, id, "")
}

/// How shapes get the colours of their roles. A plain colour comes first, for programs that know no custom properties.
#[must_use]
pub(crate) fn rules() -> String {
    each(Role::ALL, |role| {
        let (slug, light) = (role.slug(), role.light());
        format!(".f-{slug}{{fill:{light};fill:var(--{slug})}}.s-{slug}{{stroke:{light};stroke:var(--{slug})}}")
    })
}

/// What has a meaning in markup is written otherwise.
#[must_use]
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

fn write(scene: &Scene, id: &str, front: &str) -> String {
    let (width, height) = (number(scene.width), number(scene.height));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>{front}",
        escape(&scene.title),
        escape(&scene.description)
    );
    for shape in &scene.shapes {
        out.push_str(&element(shape));
    }
    out.push_str("</svg>\n");
    out
}

fn element(shape: &Shape) -> String {
    let slug = shape.role.slug();
    let opacity = if shape.opacity < 1.0 {
        format!(" opacity=\"{}\"", number(shape.opacity))
    } else {
        String::new()
    };
    let hint = shape
        .hint
        .as_ref()
        .map(|hint| format!("<title>{}</title>", escape(hint)))
        .unwrap_or_default();
    match &shape.form {
        Form::Area(segments) => closed(
            "path",
            &format!("class=\"f-{slug}\"{opacity} d=\"{}Z\"", path(segments)),
            &hint,
        ),
        Form::Line { points, width, dash } => {
            let dash = dash
                .map(|dash| format!(" stroke-dasharray=\"{dash}\""))
                .unwrap_or_default();
            let points: Vec<String> = points.iter().map(|point| pair(*point)).collect();
            let attributes = format!(
                "class=\"s-{slug}\"{opacity} fill=\"none\" stroke-width=\"{}\" stroke-linejoin=\"round\"{dash} points=\"{}\"",
                number(*width),
                points.join(" ")
            );
            closed("polyline", &attributes, &hint)
        }
        Form::Text {
            at: (x, y),
            anchor,
            size,
            bold,
            text,
        } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let bold = if *bold { " font-weight=\"700\"" } else { "" };
            format!(
                "<text class=\"f-{slug}\"{opacity} x=\"{}\" y=\"{}\" font-size=\"{}\"{anchor}{bold}>{hint}{}</text>",
                number(*x),
                number(*y),
                number(*size),
                escape(text)
            )
        }
    }
}

fn closed(name: &str, attributes: &str, hint: &str) -> String {
    if hint.is_empty() {
        format!("<{name} {attributes}/>")
    } else {
        format!("<{name} {attributes}>{hint}</{name}>")
    }
}

fn path(segments: &[Segment]) -> String {
    let mut out = String::new();
    for (at, segment) in segments.iter().enumerate() {
        // Writing to a string does not fail.
        _ = match segment {
            Segment::Move(to) if at > 0 => write!(out, "ZM{}", pair(*to)),
            Segment::Move(to) => write!(out, "M{}", pair(*to)),
            Segment::Line(to) => write!(out, "L{}", pair(*to)),
            Segment::Quad(one, to) => write!(out, "Q{} {}", pair(*one), pair(*to)),
            Segment::Cubic(one, two, to) => write!(out, "C{} {} {}", pair(*one), pair(*two), pair(*to)),
        };
    }
    out
}

fn pair((x, y): Point) -> String {
    format!("{},{}", number(x), number(y))
}

/// Two decimals at most.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Style;

    #[test]
    fn what_people_named_can_not_break_the_markup() {
        let mut scene = Scene::new(10.0, 10.0, "<a> & \"b\"");
        scene.text((1.0, 2.0), Style::of(9.0, Role::Ink), "</svg><script>");
        scene.rect((0.0, 0.0), (1.0, 1.0), Role::Failure).hint("1 < 2");
        let svg = file(&scene);
        assert!(!svg.contains("<script") && !svg.contains("<a>"), "{svg}");
        assert!(svg.contains("&lt;a&gt; &amp; &quot;b&quot;") && svg.contains("<title>1 &lt; 2</title>"));
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        for (value, text) in [(1.0, "1"), (1.239, "1.24"), (-0.001, "0"), (100.0, "100"), (0.5, "0.5")] {
            assert_eq!(number(value), text);
        }
    }
}
