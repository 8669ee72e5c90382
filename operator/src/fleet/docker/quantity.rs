//! Amounts as Kubernetes writes them: `500m`, `1.5`, `64Mi`, `1e3`.

/// In thousandths, rounded up; nothing where it is no amount.
pub(super) fn thousandths(text: &str) -> Option<i64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '+' && c != '-')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?;
    let (multiplier, exponent) = suffix_of(suffix)?;
    // 10^3 for thousandths, less what stands behind the point.
    let shift = exponent + 3 - scale;
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let scaled = digits.checked_mul(multiplier)?;
    let value = if shift >= 0 {
        scaled.checked_mul(power)?
    } else {
        scaled.div_euclid(power) + i128::from(scaled.rem_euclid(power) > 0)
    };
    i64::try_from(value).ok()
}

/// Whole units, rounded up.
pub(super) fn units(text: &str) -> Option<i64> {
    let value = thousandths(text)?;
    Some(value.div_euclid(1000) + i64::from(value.rem_euclid(1000) > 0))
}

/// Factor and power of ten.
fn suffix_of(suffix: &str) -> Option<(i128, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            (1, power)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_in_a_cluster() {
        for (text, want) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("0.5", Some(500)),
            ("500m", Some(500)),
            ("1.5", Some(1500)),
            ("100u", Some(1)),
            ("2k", Some(2_000_000)),
            ("1e3", Some(1_000_000)),
            ("5E-1", Some(500)),
            ("1Ki", Some(1_024_000)),
            ("1.5Ki", Some(1_536_000)),
            (".5", Some(500)),
            ("", None),
            ("x", None),
            ("1 Mi", None),
            ("1Zi", None),
            ("99999999999999999P", None),
        ] {
            assert_eq!(thousandths(text), want, "{text:?}");
        }
        assert_eq!(units("64Mi"), Some(64 << 20));
        assert_eq!(units("1m"), Some(1));
    }
}
