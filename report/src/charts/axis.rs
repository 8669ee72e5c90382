//! What charts have in common: heads, plot areas, scales and keys.

use crate::{
    font,
    number::{grouped, whole},
    palette::Role,
    scene::{Point, Scene, Style},
};

/// Room between a picture's edge and what it shows.
pub(super) const EDGE: f64 = 10.0;

pub(super) const TITLE: Style = Style::of(14.0, Role::Ink).bold();
pub(super) const SUBTITLE: Style = Style::of(11.5, Role::Muted);
pub(super) const TICK: Style = Style::of(10.5, Role::Muted);
pub(super) const LABEL: Style = Style::of(10.5, Role::Muted);
pub(super) const VALUE: Style = Style::of(10.5, Role::Ink);

/// Where data is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plot {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// Values from nothing to `max`, with round numbers on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Linear {
    pub max: f64,
    step: f64,
}

/// Values between two powers of ten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Log {
    low: i32,
    high: i32,
}

/// What a sign in the key looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    Box(Role),
    Dot(Role),
    Line(Role),
    Dashed(Role),
}

/// As much of a text as fits.
pub(super) fn fitted(text: &str, style: Style, room: f64) -> String {
    if font::width(text, style.size, style.bold) <= room {
        return text.to_owned();
    }
    let mut kept = text.to_owned();
    while kept.pop().is_some() {
        let shorter = format!("{kept}…");
        if font::width(&shorter, style.size, style.bold) <= room {
            return shorter;
        }
    }
    "…".to_owned()
}

/// Title and subtitle.
pub(super) fn head(scene: &mut Scene, title: &str, subtitle: &str) {
    scene.text((EDGE, 20.0), TITLE, title);
    scene.text((EDGE, 36.0), SUBTITLE, subtitle);
}

/// What the signs mean, from left to right, on one line.
pub(super) fn key(scene: &mut Scene, (mut x, y): Point, signs: &[(Sign, &str)]) {
    for (sign, meaning) in signs {
        let middle = y - 4.0;
        match sign {
            Sign::Box(role) => {
                outlined(scene, (x, middle - 5.0), (10.0, 10.0), *role);
            }
            Sign::Dot(role) => _ = scene.disc((x + 5.0, middle), 4.0, *role),
            Sign::Line(role) => _ = scene.line(vec![(x, middle), (x + 12.0, middle)], 2.0, *role),
            Sign::Dashed(role) => _ = scene.dashed(vec![(x, middle), (x + 12.0, middle)], 1.5, *role),
        }
        x += 16.0;
        scene.text((x, y), LABEL, *meaning);
        x += font::width(meaning, LABEL.size, false) + 12.0;
    }
}

/// A filled box; pale ones get an edge, so that they stand out from the surface.
pub(super) fn outlined(scene: &mut Scene, (x, y): Point, (width, height): Point, role: Role) {
    scene.rect((x, y), (width, height), role);
    if role == Role::Needless && width > 0.0 {
        let corners = vec![(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)];
        scene.line(corners, 0.75, Role::Muted);
    }
}

// === impl Plot ===

impl Plot {
    pub fn right(&self) -> f64 {
        self.left + self.width
    }

    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Lines and numbers of an axis to the left.
    pub fn left_axis(&self, scene: &mut Scene, scale: Linear) {
        for value in scale.ticks() {
            let y = self.bottom() - value / scale.max * self.height;
            scene.line(vec![(self.left, y), (self.right(), y)], 1.0, Role::Grid);
            scene.text((self.left - 5.0, y + 3.5), TICK.end(), grouped(whole(value)));
        }
    }

    /// Lines and numbers of a logarithmic axis to the left.
    pub fn log_axis(&self, scene: &mut Scene, scale: Log, unit: impl Fn(f64) -> String) {
        for value in scale.ticks() {
            let y = self.bottom() - scale.at(value) * self.height;
            scene.line(vec![(self.left, y), (self.right(), y)], 1.0, Role::Grid);
            scene.text((self.left - 5.0, y + 3.5), TICK.end(), unit(value));
        }
    }

    /// Lines and numbers of an axis below.
    pub fn bottom_axis(&self, scene: &mut Scene, scale: Linear, unit: &str) {
        for value in scale.ticks() {
            let x = self.left + value / scale.max * self.width;
            scene.line(vec![(x, self.top), (x, self.bottom())], 1.0, Role::Grid);
            let text = format!("{}{unit}", grouped(whole(value)));
            scene.text((x, self.bottom() + 14.0), TICK.middle(), text);
        }
    }

    /// The line that bars stand on.
    pub fn ground(&self, scene: &mut Scene) {
        scene.line(
            vec![(self.left, self.bottom()), (self.right(), self.bottom())],
            1.0,
            Role::Muted,
        );
    }
}

// === impl Linear ===

impl Linear {
    /// Up to a round number that is not below `most`, in about `steps` steps.
    pub fn to(most: f64, steps: f64) -> Self {
        let rough = (most / steps).max(1e-9);
        let power = 10_f64.powf(rough.log10().floor());
        // Steps of 2.5 are round only where they are whole.
        let factors: &[f64] = if power >= 10.0 {
            &[1.0, 2.0, 2.5, 5.0, 10.0]
        } else {
            &[1.0, 2.0, 5.0, 10.0]
        };
        let step = factors
            .iter()
            .map(|factor| factor * power)
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * power);
        Self {
            max: (most / step).ceil().max(1.0) * step,
            step,
        }
    }

    pub fn ticks(self) -> impl Iterator<Item = f64> {
        let count = whole(self.max / self.step);
        (0..=count).map(move |tick| crate::number::real(tick) * self.step)
    }
}

// === impl Log ===

impl Log {
    /// Between the powers of ten around all values that are above nothing.
    pub fn around(values: impl IntoIterator<Item = f64>) -> Self {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if high <= 0.0 {
            return Self { low: 0, high: 1 };
        }
        let low = exponent(low.log10().floor());
        Self {
            low,
            high: exponent(high.log10().ceil()).max(low + 1),
        }
    }

    /// Where a value is, from 0 to 1; what is below the lowest is at 0.
    pub fn at(self, value: f64) -> f64 {
        let place = (value.max(1e-12).log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        place.clamp(0.0, 1.0)
    }

    pub fn ticks(self) -> impl Iterator<Item = f64> {
        (self.low..=self.high).map(|power| 10_f64.powi(power))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a power of ten of a measured value")]
fn exponent(power: f64) -> i32 {
    power as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        for (most, steps, ticks) in [
            (9531.0, 4.0, vec![0.0, 2500.0, 5000.0, 7500.0, 10_000.0]),
            (1.0, 2.0, vec![0.0, 0.5, 1.0]),
            (73.0, 4.0, vec![0.0, 20.0, 40.0, 60.0, 80.0]),
            (0.0, 4.0, vec![0.0]),
        ] {
            let scale = Linear::to(most, steps);
            let got: Vec<f64> = scale.ticks().collect();
            assert!(scale.max >= most);
            if most > 0.0 {
                assert_eq!(got, ticks, "{most}");
            }
        }
    }

    #[test]
    fn a_text_that_does_not_fit_ends_in_dots() {
        assert_eq!(fitted("demo-0", VALUE, 100.0), "demo-0");
        let shorter = fitted("a-name-that-is-far-too-long", VALUE, 60.0);
        assert!(shorter.starts_with("a-name") && shorter.ends_with('…'), "{shorter}");
        assert_eq!(fitted("demo-0", VALUE, 1.0), "…");
    }

    #[test]
    fn logarithmic_scales_hold_all_values() {
        let scale = Log::around([0.0, 3.0, 950.0]);
        assert_eq!(scale.ticks().collect::<Vec<_>>(), [1.0, 10.0, 100.0, 1000.0]);
        assert!((scale.at(10.0) - 1.0 / 3.0).abs() < 1e-9);
        assert!(scale.at(0.0).abs() < 1e-9);
    }
}
