//! Numbers and texts between counting, drawing and reading.

/// A count to reckon with.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
#[must_use]
pub(crate) const fn real(count: u64) -> f64 {
    count as f64
}

/// A length to reckon with.
#[must_use]
pub(crate) const fn real_len(length: usize) -> f64 {
    real(length as u64)
}

/// The nearest whole number; none below zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded, and not below zero"
)]
#[must_use]
pub(crate) fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}

/// The texts of all items, one behind the other.
#[must_use]
pub(crate) fn each<T>(items: impl IntoIterator<Item = T>, text: impl FnMut(T) -> String) -> String {
    items.into_iter().map(text).collect::<Vec<_>>().concat()
}

/// `12,345`
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// For people: whole from a hundred on, with as many decimals below as make three digits.
#[must_use]
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        a if a >= 99.95 || a == 0.0 => grouped(whole(value)),
        a if a >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `8,437.5`
#[must_use]
pub(crate) fn tenths(value: f64) -> String {
    let tenths = whole(value * 10.0);
    match tenths % 10 {
        0 => grouped(tenths / 10),
        rest => format!("{}.{rest}", grouped(tenths / 10)),
    }
}

/// A share as percent.
#[must_use]
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn three_digits_are_enough_for_a_reader() {
        for (value, text) in [
            (0.0, "0"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (9.999, "10.0"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
