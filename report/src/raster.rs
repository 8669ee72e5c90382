//! A picture as PNG: in light, at twice its natural size.
//!
//! Shapes are few and plain, so a coverage rasteriser and a palette are all it takes; docs/decisions/0012 compares it with a renderer of SVG.

use ab_glyph_rasterizer::{Point as At, Rasterizer, point};

use crate::{
    font,
    palette::{self, Role},
    png,
    scene::{Form, Point, Scene, Segment, Shape, circle},
};

/// Pixels per unit of a picture.
const SCALE: f64 = 2.0;

/// Dots that are painted on.
struct Canvas {
    width: usize,
    height: usize,
    dots: Vec<[u8; 3]>,
}

/// The picture as a PNG file.
#[must_use]
pub fn file(scene: &Scene) -> Vec<u8> {
    let mut canvas = Canvas::new(pixels(scene.width * SCALE), pixels(scene.height * SCALE));
    for shape in &scene.shapes {
        canvas.draw(shape);
    }
    png::encode(canvas.width, canvas.height, &canvas.dots)
}

// === impl Canvas ===

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            dots: vec![palette::rgb(Role::Surface.light()); width * height],
        }
    }

    fn draw(&mut self, shape: &Shape) {
        let colour = palette::rgb(shape.role.light());
        match &shape.form {
            Form::Area(segments) => self.fill(segments, colour, shape.opacity),
            Form::Line { points, width, dash } => {
                let parts = dash.map_or_else(|| vec![points.clone()], |dash| dashes(points, dash));
                for part in parts {
                    self.fill(&stroke(&part, *width), colour, shape.opacity);
                }
            }
            Form::Text {
                at: (x, y),
                anchor,
                size,
                bold,
                text,
            } => {
                let x = x - anchor.offset(text, *size, *bold);
                self.fill(&font::outlines(text, (x, *y), *size, *bold), colour, shape.opacity);
            }
        }
    }

    /// Fills contours. Only the part of the canvas that they touch is looked at.
    fn fill(&mut self, segments: &[Segment], colour: [u8; 3], opacity: f64) {
        let Some((left, top, right, bottom)) = bounds(segments) else {
            return;
        };
        let (left, top) = ((left * SCALE).floor() - 1.0, (top * SCALE).floor() - 1.0);
        let (width, height) = (pixels(right * SCALE - left) + 2, pixels(bottom * SCALE - top) + 2);
        let mut rasterizer = Rasterizer::new(width, height);
        let at = |(x, y): Point| to_point(x * SCALE - left, y * SCALE - top);
        trace(segments, at, &mut rasterizer);
        rasterizer.for_each_pixel_2d(|x, y, coverage| {
            let amount = f64::from(coverage.min(1.0)) * opacity;
            if amount > 0.0 {
                self.blend(left + f64::from(x), top + f64::from(y), colour, amount);
            }
        });
    }

    fn blend(&mut self, x: f64, y: f64, colour: [u8; 3], amount: f64) {
        if x < 0.0 || y < 0.0 {
            return;
        }
        let (x, y) = (pixels(x), pixels(y));
        if x >= self.width || y >= self.height {
            return;
        }
        let dot = &mut self.dots[y * self.width + x];
        for (part, new) in dot.iter_mut().zip(colour) {
            *part = mix(*part, new, amount);
        }
    }
}

fn trace(segments: &[Segment], at: impl Fn(Point) -> At, rasterizer: &mut Rasterizer) {
    let (mut first, mut last) = (None::<At>, point(0.0, 0.0));
    let close = |first: Option<At>, last: At, rasterizer: &mut Rasterizer| {
        if let Some(first) = first {
            rasterizer.draw_line(last, first);
        }
    };
    for segment in segments {
        let end = match *segment {
            Segment::Move(to) => {
                close(first, last, rasterizer);
                first = Some(at(to));
                at(to)
            }
            Segment::Line(to) => {
                rasterizer.draw_line(last, at(to));
                at(to)
            }
            Segment::Quad(one, to) => {
                rasterizer.draw_quad(last, at(one), at(to));
                at(to)
            }
            Segment::Cubic(one, two, to) => {
                rasterizer.draw_cubic(last, at(one), at(two), at(to));
                at(to)
            }
        };
        last = end;
    }
    close(first, last, rasterizer);
}

/// Left, top, right and bottom of all points, control points among them.
fn bounds(segments: &[Segment]) -> Option<(f64, f64, f64, f64)> {
    let points = segments.iter().flat_map(|segment| match *segment {
        Segment::Move(to) | Segment::Line(to) => [to; 3],
        Segment::Quad(one, to) => [one, to, to],
        Segment::Cubic(one, two, to) => [one, two, to],
    });
    points.fold(None, |bounds, (x, y)| {
        let (left, top, right, bottom) = bounds.unwrap_or((x, y, x, y));
        Some((left.min(x), top.min(y), right.max(x), bottom.max(y)))
    })
}

/// The outline of a line: a rectangle per part and a disc per joint, all turning the same way, so that what overlaps adds up.
fn stroke(points: &[Point], width: f64) -> Vec<Segment> {
    let half = width / 2.0;
    let mut segments = Vec::new();
    for pair in points.windows(2) {
        let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
        let length = (x2 - x1).hypot(y2 - y1);
        if length <= 0.0 {
            continue;
        }
        let (nx, ny) = ((y2 - y1) / length * half, (x1 - x2) / length * half);
        segments.extend([
            Segment::Move((x1 + nx, y1 + ny)),
            Segment::Line((x2 + nx, y2 + ny)),
            Segment::Line((x2 - nx, y2 - ny)),
            Segment::Line((x1 - nx, y1 - ny)),
        ]);
    }
    for joint in points.iter().skip(1).take(points.len().saturating_sub(2)) {
        segments.extend(circle(*joint, half));
    }
    segments
}

/// The drawn parts of a dashed line.
fn dashes(points: &[Point], dash: f64) -> Vec<Vec<Point>> {
    let mut parts = Vec::new();
    let mut gone = 0.0;
    for pair in points.windows(2) {
        let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
        let length = (x2 - x1).hypot(y2 - y1);
        let mut at = 0.0;
        while at < length {
            let phase = (gone + at) % (2.0 * dash);
            let step = (if phase < dash { dash - phase } else { 2.0 * dash - phase }).max(1e-6);
            let end = (at + step).min(length);
            if phase < dash {
                let on = |at: f64| (x1 + (x2 - x1) * at / length, y1 + (y2 - y1) * at / length);
                parts.push(vec![on(at), on(end)]);
            }
            at += step;
        }
        gone += length;
    }
    parts
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a picture has some thousand dots each way"
)]
fn to_point(x: f64, y: f64) -> At {
    point(x as f32, y as f32)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a picture has some thousand dots each way, and none before its edge"
)]
fn pixels(length: f64) -> usize {
    length.ceil().max(0.0) as usize
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between two bytes"
)]
fn mix(old: u8, new: u8, amount: f64) -> u8 {
    (f64::from(old) + (f64::from(new) - f64::from(old)) * amount).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Style;

    fn painted(scene: &Scene) -> Canvas {
        let mut canvas = Canvas::new(pixels(scene.width * SCALE), pixels(scene.height * SCALE));
        scene.shapes.iter().for_each(|shape| canvas.draw(shape));
        canvas
    }

    #[test]
    fn a_rectangle_covers_its_dots_and_no_others() {
        let mut scene = Scene::new(10.0, 10.0, "");
        scene.rect((2.0, 2.0), (3.0, 4.0), Role::Ink);
        let canvas = painted(&scene);
        let ink = palette::rgb(Role::Ink.light());
        let count = canvas.dots.iter().filter(|dot| **dot == ink).count();
        assert_eq!(count, 6 * 8);
        assert_eq!(canvas.dots[4 * 20 + 4], ink);
    }

    #[test]
    fn a_bent_line_has_no_holes_where_its_parts_overlap() {
        let mut scene = Scene::new(20.0, 20.0, "");
        scene.line(vec![(2.0, 2.0), (10.0, 10.0), (18.0, 2.0)], 4.0, Role::Ink);
        let canvas = painted(&scene);
        assert_eq!(canvas.dots[20 * 40 + 20], palette::rgb(Role::Ink.light()));
    }

    #[test]
    fn dashes_are_as_long_as_gaps() {
        let parts = dashes(&[(0.0, 0.0), (20.0, 0.0)], 4.0);
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[1], [(8.0, 0.0), (12.0, 0.0)]);
    }

    #[test]
    fn writing_leaves_ink() {
        let mut scene = Scene::new(40.0, 20.0, "");
        scene.text((20.0, 14.0), Style::of(12.0, Role::Ink).middle(), "80 %");
        let dark = painted(&scene).dots.iter().filter(|dot| dot[0] < 128).count();
        assert!((60..400).contains(&dark), "{dark}");
    }
}
