//! A picture before it is written: shapes with the meaning of their colours, not the colours.

use crate::{font, palette::Role};

/// A point; y downwards.
pub type Point = (f64, f64);

/// A picture.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Its width, in pixels at its natural size.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// What it is, in a line.
    pub title: String,
    /// What it shows, for those who can not see it.
    pub description: String,
    /// What it consists of, from back to front.
    pub shapes: Vec<Shape>,
}

/// A part of a picture.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What is drawn.
    pub form: Form,
    /// What its colour means.
    pub role: Role,
    /// From 0, invisible, to 1.
    pub opacity: f64,
    /// What a pointer that rests on it is told.
    pub hint: Option<String>,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub enum Form {
    /// A filled area: contours that begin with a move.
    Area(Vec<Segment>),
    /// A line through points.
    Line {
        /// The points.
        points: Vec<Point>,
        /// How thick it is.
        width: f64,
        /// Drawn and left out in turn, each so long; nothing: drawn throughout.
        dash: Option<f64>,
    },
    /// A line of writing.
    Text {
        /// Where its baseline is held.
        at: Point,
        /// Which part of it is held there.
        anchor: Anchor,
        /// How large it is.
        size: f64,
        /// Whether it is bold.
        bold: bool,
        /// What it says.
        text: String,
    },
}

/// A part of a contour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Segment {
    /// A new contour begins.
    Move(Point),
    /// A straight line.
    Line(Point),
    /// A curve with one control point.
    Quad(Point, Point),
    /// A curve with two.
    Cubic(Point, Point, Point),
}

/// Which part of a text is held at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// A text that is put into a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub size: f64,
    pub bold: bool,
    pub role: Role,
    pub anchor: Anchor,
}

// === impl Scene ===

impl Scene {
    pub(crate) fn new(width: f64, height: f64, title: impl Into<String>) -> Self {
        Self {
            width,
            height,
            title: title.into(),
            ..Self::default()
        }
    }

    fn add(&mut self, form: Form, role: Role) -> &mut Shape {
        let at = self.shapes.len();
        self.shapes.push(Shape {
            form,
            role,
            opacity: 1.0,
            hint: None,
        });
        &mut self.shapes[at]
    }

    /// A filled rectangle from its upper left corner.
    pub(crate) fn rect(&mut self, (x, y): Point, (width, height): Point, role: Role) -> &mut Shape {
        let contour = vec![
            Segment::Move((x, y)),
            Segment::Line((x + width, y)),
            Segment::Line((x + width, y + height)),
            Segment::Line((x, y + height)),
        ];
        self.add(Form::Area(contour), role)
    }

    /// A filled circle.
    pub(crate) fn disc(&mut self, (x, y): Point, radius: f64, role: Role) -> &mut Shape {
        self.add(Form::Area(circle((x, y), radius)), role)
    }

    /// A filled area.
    pub(crate) fn area(&mut self, contour: Vec<Segment>, role: Role) -> &mut Shape {
        self.add(Form::Area(contour), role)
    }

    /// A line through points.
    pub(crate) fn line(&mut self, points: Vec<Point>, width: f64, role: Role) -> &mut Shape {
        self.add(
            Form::Line {
                points,
                width,
                dash: None,
            },
            role,
        )
    }

    /// A dashed line.
    pub(crate) fn dashed(&mut self, points: Vec<Point>, width: f64, role: Role) -> &mut Shape {
        self.add(
            Form::Line {
                points,
                width,
                dash: Some(4.0),
            },
            role,
        )
    }

    /// A text.
    pub(crate) fn text(&mut self, at: Point, style: Style, text: impl Into<String>) -> &mut Shape {
        let Style {
            size,
            bold,
            role,
            anchor,
        } = style;
        self.add(
            Form::Text {
                at,
                anchor,
                size,
                bold,
                text: text.into(),
            },
            role,
        )
    }

    /// Tells more of what it shows.
    pub(crate) fn describe(&mut self, text: &str) {
        self.description.push_str(text);
    }

    /// Two pictures as one, the second to the right of the first.
    #[must_use]
    pub(crate) fn beside(mut self, other: Self, gap: f64) -> Self {
        let shift = self.width + gap;
        self.shapes
            .extend(other.shapes.into_iter().map(|shape| shape.shifted(shift)));
        self.width = shift + other.width;
        self.height = self.height.max(other.height);
        self.title = format!("{}; {}", self.title, other.title);
        self.description = format!("{} {}", self.description, other.description);
        self
    }
}

// === impl Shape ===

impl Shape {
    pub(crate) fn opacity(&mut self, opacity: f64) -> &mut Self {
        self.opacity = opacity;
        self
    }

    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    fn shifted(mut self, by: f64) -> Self {
        let shift = |(x, y): Point| (x + by, y);
        match &mut self.form {
            Form::Area(segments) => {
                for segment in segments {
                    *segment = match *segment {
                        Segment::Move(to) => Segment::Move(shift(to)),
                        Segment::Line(to) => Segment::Line(shift(to)),
                        Segment::Quad(one, to) => Segment::Quad(shift(one), shift(to)),
                        Segment::Cubic(one, two, to) => Segment::Cubic(shift(one), shift(two), shift(to)),
                    };
                }
            }
            Form::Line { points, .. } => points.iter_mut().for_each(|point| *point = shift(*point)),
            Form::Text { at, .. } => *at = shift(*at),
        }
        self
    }
}

// === impl Style ===

impl Style {
    pub(crate) const fn of(size: f64, role: Role) -> Self {
        Self {
            size,
            bold: false,
            role,
            anchor: Anchor::Start,
        }
    }

    pub(crate) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(crate) const fn middle(self) -> Self {
        Self {
            anchor: Anchor::Middle,
            ..self
        }
    }

    pub(crate) const fn end(self) -> Self {
        Self {
            anchor: Anchor::End,
            ..self
        }
    }
}

// === impl Anchor ===

impl Anchor {
    /// How far left of its point a text begins.
    #[must_use]
    pub(crate) fn offset(self, text: &str, size: f64, bold: bool) -> f64 {
        match self {
            Self::Start => 0.0,
            Self::Middle => font::width(text, size, bold) / 2.0,
            Self::End => font::width(text, size, bold),
        }
    }
}

/// A circle as four curves.
pub(crate) fn circle((x, y): Point, r: f64) -> Vec<Segment> {
    // The control points' distance with which a cubic curve is a quarter of a circle but for 0.02 %.
    let k = 0.5523 * r;
    vec![
        Segment::Move((x + r, y)),
        Segment::Cubic((x + r, y + k), (x + k, y + r), (x, y + r)),
        Segment::Cubic((x - k, y + r), (x - r, y + k), (x - r, y)),
        Segment::Cubic((x - r, y - k), (x - k, y - r), (x, y - r)),
        Segment::Cubic((x + k, y - r), (x + r, y - k), (x + r, y)),
    ]
}
