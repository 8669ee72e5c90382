//! How much a slot is drawn to a member: the cost of the pair, lower is better.
//!
//! Each pair gets a draw of 64 bits; minus its log2, divided by the member's weight, is the cost.
//! The smallest of such numbers falls on a member with the probability of its share of the weights, and that stays true
//! whoever joins or leaves, because no pair's cost depends on another member. Everything is an integer: floating point is
//! not the same on every machine, and two balancers must not disagree about a single slot.

use super::SLOT_BITS;
use xxhash_rust::xxh3::xxh3_64;

/// Costs are in units of 2^-32 (of a bit) times this, so that dividing by a weight loses next to nothing.
const UNIT: u64 = 1 << 25;

/// The bits of a slot.
const LOW: u64 = (1 << SLOT_BITS) - 1;

/// Between two points of the table the logarithm is taken as a straight line.
const LOG_STEPS: usize = 2048;

/// `floor(2^32 * log2(1 + i / 2048))`.
static LOG2: [u64; LOG_STEPS + 1] = log2_table();

/// What a member draws slots with: all of it from the hash of its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pull {
    order: Order,
    seed: u64,
    scale: u64,
}

/// A member's own order of the slots: a permutation of their numbers.
///
/// Not independent random numbers: a member whose draws are spread perfectly over all values wants its fair share of the
/// slots more exactly, by half of the variance. So fewer slots meet a cap, and fewer move when a member comes or goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    mask: u32,
    factors: [u32; 3],
}

/// A slot's number, spread over 64 bits (the finaliser of `SplitMix64`).
fn slot_key(slot: usize) -> u64 {
    let x = (slot as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

// === impl Pull ===

impl Pull {
    pub fn new(name: &str, weight: u32) -> Pull {
        let seed = xxh3_64(name.as_bytes());
        Pull {
            order: Order::new(seed),
            seed,
            scale: UNIT / u64::from(weight),
        }
    }

    pub fn order(self) -> Order {
        self.order
    }

    /// The pair's own random number: its place in the member's order, and below that bits that break ties between members.
    #[inline]
    pub fn draw(self, slot: usize) -> u64 {
        let ties = (slot_key(slot) ^ self.seed) >> SLOT_BITS;
        (u64::from(self.order.place(slot)) << (64 - SLOT_BITS)) | ties
    }

    #[inline]
    pub fn cost(self, slot: usize) -> u64 {
        self.cost_of(self.draw(slot))
    }

    /// At most 2^38 * 2^25: no overflow.
    #[inline]
    fn cost_of(self, draw: u64) -> u64 {
        minus_log2(draw) * self.scale
    }

    /// The smallest draw whose cost is at most `bound`: comparing draws spares the logarithm of all but a few pairs.
    pub fn gate(self, bound: u64) -> u64 {
        let (mut low, mut high) = (0, u64::MAX);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.cost_of(middle) <= bound {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}

// === impl Order ===

impl Order {
    fn new(seed: u64) -> Order {
        let bits = |shift: u32| u32::try_from((seed >> shift) & LOW).unwrap_or_default();
        Order {
            mask: bits(64 - SLOT_BITS),
            factors: [bits(0) | 1, bits(17) | 1, bits(34) | 1],
        }
    }

    /// The slot's place: 18 bits, each value once. Odd factors and shifts to the right can be undone, so nothing coincides.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a slot has 18 bits")]
    pub fn place(self, slot: usize) -> u32 {
        let low = LOW as u32;
        let x = (slot as u32 ^ self.mask).wrapping_mul(self.factors[0]) & low;
        let x = (x ^ (x >> 9)).wrapping_mul(self.factors[1]) & low;
        let x = (x ^ (x >> 9)).wrapping_mul(self.factors[2]) & low;
        x ^ (x >> 9)
    }
}

/// Minus log2 of `draw / 2^64`, in units of 2^-32; never grows with `draw`.
#[inline]
fn minus_log2(draw: u64) -> u64 {
    let draw = draw | 1;
    let zeros = draw.leading_zeros();
    let mantissa = draw << zeros << 1;
    let index = (mantissa >> 53) as usize;
    let rest = (mantissa >> 21) & 0xFFFF_FFFF;
    let log = LOG2[index] + (((LOG2[index + 1] - LOG2[index]) * rest) >> 32);
    ((u64::from(zeros) + 1) << 32) - log
}

#[expect(
    clippy::large_stack_arrays,
    reason = "the compiler's stack: this runs at compile time only"
)]
const fn log2_table() -> [u64; LOG_STEPS + 1] {
    let mut table = [0; LOG_STEPS + 1];
    let mut index = 0;
    while index < LOG_STEPS {
        table[index] = log2_of((LOG_STEPS + index) as u64);
        index += 1;
    }
    table[LOG_STEPS] = 1 << 32;
    table
}

/// `floor(2^32 * log2(value / 2048))` for `value` in `2048..4096`, bit by bit: squaring a number doubles its logarithm.
#[expect(clippy::cast_possible_truncation, reason = "the shifts leave 64 bits")]
const fn log2_of(value: u64) -> u64 {
    let mut x = value << 52; // 1 <= x < 2 with 63 binary places
    let mut log = 0;
    let mut bit = 0;
    while bit < 32 {
        let square = (x as u128 * x as u128) >> 63;
        log <<= 1;
        if square >> 64 == 0 {
            x = square as u64;
        } else {
            log |= 1;
            x = (square >> 1) as u64;
        }
        bit += 1;
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "compared up to a millionth")]
    fn logarithms_are_exact_at_their_points_and_close_between() {
        assert_eq!(minus_log2(1 << 63), 1 << 32);
        assert_eq!(minus_log2(1 << 62), 2 << 32);
        assert_eq!(minus_log2(0), 64 << 32);
        assert_eq!(minus_log2(u64::MAX), 1);
        for step in 1..10_000_u64 {
            let draw = step * (u64::MAX / 10_000);
            let want = 64.0 - (draw as f64).log2();
            assert!(
                (minus_log2(draw) as f64 / 4_294_967_296.0 - want).abs() < 1e-6,
                "{draw}"
            );
        }
    }

    #[test]
    fn the_cost_never_grows_with_the_draw() {
        let mut last = u64::MAX;
        for exponent in 0..64 {
            for step in 0..4096_u64 {
                let draw = (1_u64 << exponent) + ((1_u64 << exponent) >> 12) * step;
                assert!(minus_log2(draw) <= last, "{draw}");
                last = minus_log2(draw);
            }
        }
    }

    #[test]
    fn every_member_orders_all_slots() {
        for name in ["m-0", "m-1", "demo-17"] {
            let order = Pull::new(name, 1).order();
            let mut seen = vec![false; 1 << SLOT_BITS];
            (0..1 << SLOT_BITS).for_each(|slot| seen[order.place(slot) as usize] = true);
            assert!(seen.iter().all(|&seen| seen), "{name}");
        }
    }

    #[test]
    fn the_gate_lets_in_what_costs_no_more_than_the_bound() {
        for weight in [1, 3, 1000] {
            let pull = Pull::new("m-0", weight);
            for bound in [1, 1 << 40, 1 << 57, 3 << 57] {
                let gate = pull.gate(bound);
                assert!(
                    pull.cost_of(gate) <= bound || gate == u64::MAX,
                    "weight {weight}, bound {bound}"
                );
                assert!(
                    gate == 0 || pull.cost_of(gate - 1) > bound,
                    "weight {weight}, bound {bound}"
                );
            }
            assert_eq!(pull.gate(u64::MAX), 0);
        }
    }
}
