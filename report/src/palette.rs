//! One meaning per colour, in light and in dark.
//!
//! The colours of data are Okabe's and Ito's, which people with any kind of colour blindness tell apart; what is not data is grey.

use crate::{Algorithm, number::each};

/// What a colour means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// What everything lies on.
    #[default]
    Surface,
    /// Writing, and what theory expects.
    Ink,
    /// Lesser writing.
    Muted,
    /// Lines that help the eye.
    Grid,
    /// Keys that stayed; time in which nothing is wrong.
    Kept,
    /// Keys that moved though they need not.
    Needless,
    /// Requests that failed.
    Failure,
    /// What was measured of an algorithm.
    Of(Algorithm),
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Surface,
        Self::Ink,
        Self::Muted,
        Self::Grid,
        Self::Kept,
        Self::Needless,
        Self::Failure,
        Self::Of(Algorithm::Classroom),
        Self::Of(Algorithm::Ring),
        Self::Of(Algorithm::Maglev),
        Self::Of(Algorithm::Rendezvous),
    ];

    /// Its name in a style sheet.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Surface => "surface",
            Self::Ink => "ink",
            Self::Muted => "muted",
            Self::Grid => "grid",
            Self::Kept => "kept",
            Self::Needless => "needless",
            Self::Failure => "failure",
            Self::Of(algorithm) => algorithm.slug(),
        }
    }

    /// Its colour in light.
    #[must_use]
    pub const fn light(self) -> &'static str {
        match self {
            Self::Surface => "#ffffff",
            Self::Ink => "#1b1f24",
            Self::Muted => "#59636e",
            Self::Grid => "#e2e6ea",
            Self::Kept => "#cfd5dc",
            Self::Needless => "#f0e442",
            Self::Failure => "#d55e00",
            Self::Of(Algorithm::Classroom) => "#cc79a7",
            Self::Of(Algorithm::Ring) => "#e69f00",
            Self::Of(Algorithm::Maglev) => "#009e73",
            Self::Of(Algorithm::Rendezvous) => "#0072b2",
        }
    }

    /// Its colour in the dark.
    #[must_use]
    pub const fn dark(self) -> &'static str {
        match self {
            Self::Surface => "#15181d",
            Self::Ink => "#e8eaed",
            Self::Muted => "#a4aeb9",
            Self::Grid => "#2d333b",
            Self::Kept => "#4a535e",
            // Okabe's and Ito's other blue: the first one is too dark here.
            Self::Of(Algorithm::Rendezvous) => "#56b4e9",
            _ => self.light(),
        }
    }
}

/// Red, green and blue of `#rrggbb`.
#[must_use]
pub(crate) fn rgb(colour: &str) -> [u8; 3] {
    let part = |at: usize| {
        colour
            .get(at..at + 2)
            .and_then(|part| u8::from_str_radix(part, 16).ok())
            .unwrap_or(0)
    };
    [part(1), part(3), part(5)]
}

/// Custom properties for a style sheet: `--ink:#1b1f24;..`
#[must_use]
pub(crate) fn properties(colour: impl Fn(Role) -> &'static str) -> String {
    each(Role::ALL, |role| format!("--{}:{};", role.slug(), colour(role)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a colour becomes for those without one kind of cones: Machado, Oliveira and Fernandes (2009), severity 1.
    const EYES: [(&str, [[f64; 3]; 3]); 4] = [
        ("full", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        (
            "protanopia",
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
        ),
        (
            "deuteranopia",
            [
                [0.367_322, 0.860_646, -0.227_968],
                [0.280_085, 0.672_501, 0.047_413],
                [-0.011_820, 0.042_940, 0.968_881],
            ],
        ),
        (
            "tritanopia",
            [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.303_900],
            ],
        ),
    ];

    fn linear(colour: &str) -> [f64; 3] {
        rgb(colour).map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        })
    }

    /// Oklab (Ottosson 2020): distances in it are what the eye sees.
    fn oklab(rgb: [f64; 3]) -> [f64; 3] {
        let dot = |weights: [f64; 3], with: [f64; 3]| weights.iter().zip(with).map(|(a, b)| a * b).sum::<f64>();
        let cones = [
            [0.412_221, 0.536_333, 0.051_446],
            [0.211_903, 0.680_700, 0.107_397],
            [0.088_302, 0.281_719, 0.629_979],
        ]
        .map(|weights| dot(weights, rgb).max(0.0).cbrt());
        [
            [0.210_454, 0.793_618, -0.004_072],
            [1.977_998, -2.428_592, 0.450_594],
            [0.025_904, 0.782_772, -0.808_676],
        ]
        .map(|weights| dot(weights, cones))
    }

    #[test]
    fn colours_of_data_can_be_told_apart_by_the_colour_blind() {
        let data = &Role::ALL[5..];
        for ((eyes, matrix), colour) in EYES
            .into_iter()
            .flat_map(|eyes| [(eyes, Role::light as fn(_) -> _), (eyes, Role::dark)])
        {
            let seen = |role: Role| {
                let colour = linear(colour(role));
                oklab(matrix.map(|row| row.iter().zip(colour).map(|(a, b)| a * b).sum::<f64>().clamp(0.0, 1.0)))
            };
            for (at, one) in data.iter().enumerate() {
                for other in &data[at + 1..] {
                    let distance: f64 = seen(*one).iter().zip(seen(*other)).map(|(a, b)| (a - b).powi(2)).sum();
                    // Two colours side by side differ to the eye from some 0.02 on.
                    assert!(
                        distance.sqrt() > 0.07,
                        "{one:?} and {other:?} with {eyes}: {}",
                        distance.sqrt()
                    );
                }
            }
        }
    }

    #[test]
    fn writing_stands_out_in_both_modes() {
        let luminance = |colour: &str| {
            let [r, g, b] = linear(colour);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        for colour in [Role::light, Role::dark] {
            let surface = luminance(colour(Role::Surface));
            for role in [Role::Ink, Role::Muted] {
                let (a, b) = (surface + 0.05, luminance(colour(role)) + 0.05);
                assert!((a / b).max(b / a) >= 4.5, "{role:?}: {}", (a / b).max(b / a));
            }
        }
    }
}
