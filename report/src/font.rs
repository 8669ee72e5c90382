//! The font of all charts: how wide a text is, and its outlines.
//!
//! One font for the page and for the PNG files, so that what fits in one fits in the other.

use ttf_parser::{Face, GlyphId, OutlineBuilder};

use crate::scene::Segment;

/// Roboto Regular, some 130 characters of it.
pub(crate) const REGULAR: &[u8] = include_bytes!("../font/regular.ttf");
/// Roboto Bold, likewise.
pub(crate) const BOLD: &[u8] = include_bytes!("../font/bold.ttf");

/// The width of a text, in the unit of `size`.
#[must_use]
pub(crate) fn width(text: &str, size: f64, bold: bool) -> f64 {
    let Some(face) = face(bold) else { return 0.0 };
    let units: f64 = text.chars().map(|letter| advance(&face, letter)).sum();
    units * size / f64::from(face.units_per_em())
}

/// The outlines of a text whose baseline begins at a point.
#[must_use]
pub(crate) fn outlines(text: &str, (x, y): (f64, f64), size: f64, bold: bool) -> Vec<Segment> {
    let Some(face) = face(bold) else { return Vec::new() };
    let scale = size / f64::from(face.units_per_em());
    let mut pen = Pen {
        segments: Vec::new(),
        x,
        y,
        scale,
    };
    for letter in text.chars() {
        if let Some(glyph) = glyph(&face, letter) {
            // A space has no outline.
            _ = face.outline_glyph(glyph, &mut pen);
        }
        pen.x += advance(&face, letter) * scale;
    }
    pen.segments
}

fn face(bold: bool) -> Option<Face<'static>> {
    Face::parse(if bold { BOLD } else { REGULAR }, 0).ok()
}

/// What is not in the font is drawn as a question mark.
fn glyph(face: &Face<'_>, letter: char) -> Option<GlyphId> {
    face.glyph_index(letter).or_else(|| face.glyph_index('?'))
}

fn advance(face: &Face<'_>, letter: char) -> f64 {
    glyph(face, letter)
        .and_then(|glyph| face.glyph_hor_advance(glyph))
        .map_or(0.0, f64::from)
}

/// Takes outlines down, y downwards.
struct Pen {
    segments: Vec<Segment>,
    x: f64,
    y: f64,
    scale: f64,
}

impl Pen {
    fn point(&self, x: f32, y: f32) -> (f64, f64) {
        (self.x + f64::from(x) * self.scale, self.y - f64::from(y) * self.scale)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.segments.push(Segment::Move(self.point(x, y)));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.segments.push(Segment::Line(self.point(x, y)));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.segments.push(Segment::Quad(self.point(x1, y1), self.point(x, y)));
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (one, two) = (self.point(x1, y1), self.point(x2, y2));
        self.segments.push(Segment::Cubic(one, two, self.point(x, y)));
    }

    /// Every contour is filled, so it is closed anyway.
    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_weights_are_there_and_know_what_charts_write() {
        for bold in [false, true] {
            let face = face(bold).unwrap();
            let texts = "0123456789,.%×± ()–·σ≤ abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ";
            assert!(texts.chars().all(|letter| face.glyph_index(letter).is_some()));
        }
    }

    #[test]
    fn digits_are_all_as_wide() {
        let widths: Vec<_> = ('0'..='9')
            .map(|digit| width(&digit.to_string(), 10.0, false))
            .collect();
        assert!(
            widths.iter().all(|width| (width - widths[0]).abs() < 1e-9),
            "{widths:?}"
        );
        assert!(width("mm", 10.0, true) > width("ii", 10.0, true));
        assert!(!outlines("8", (0.0, 0.0), 10.0, false).is_empty());
    }
}
