//! The ring of the lab "Customizable Load Balancer": 512 slots, nine virtual servers each, the lab's own two functions.
//!
//! It is far from even and reaches only 87 slots; it is here so that what the lab asks for can be seen and measured. Server
//! ids are the members' positions plus one, and weights do not count.

use crate::Error;
use crate::member::Roster;
use xxhash_rust::xxh3::xxh3_64;

const SLOTS: usize = 512;

/// Virtual servers of each server.
const VIRTUAL: usize = 9;

/// Servers until the ring is full: the next would probe for a free slot forever.
pub(crate) const MAX_SERVERS: usize = SLOTS / VIRTUAL;

/// A compiled ring.
#[derive(Debug)]
pub(crate) struct Classroom {
    /// For each slot, the nearest server clockwise, as an index of the roster.
    owners: Box<[u16]>,
}

/// The request id of a key: a decimal number is itself, anything else gets one of six digits from its hash.
///
/// Of a number too long for 64 bits the low ones are kept: the ring goes by the id modulo 512 anyway.
pub(crate) fn request_id(key: &[u8]) -> u64 {
    if !key.is_empty() && key.iter().all(u8::is_ascii_digit) {
        key.iter().fold(0, |id: u64, digit| {
            id.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
        })
    } else {
        100_000 + xxh3_64(key) % 900_000
    }
}

// === impl Classroom ===

impl Classroom {
    pub fn build(roster: &Roster) -> Result<Classroom, Error> {
        let count = roster.seats().len();
        if count > MAX_SERVERS {
            return Err(Error::ClassroomFull { count });
        }
        let mut by_id: Vec<(usize, u16)> = (0..)
            .zip(roster.seats())
            .map(|(index, seat)| (usize::from(seat.position) + 1, index))
            .collect();
        by_id.sort_unstable();
        let mut ring: [Option<u16>; SLOTS] = [None; SLOTS];
        for (id, index) in by_id {
            for j in 0..VIRTUAL {
                let wanted = (id * id + j * j + 2 * j + 25) % SLOTS;
                let probes = (wanted..SLOTS).chain(0..wanted);
                if let Some(free) = probes.into_iter().find(|&slot| ring[slot].is_none()) {
                    ring[free] = Some(index);
                }
            }
        }
        let nearest = |slot: usize| ring[slot..].iter().chain(&ring[..slot]).find_map(|server| *server);
        Ok(Classroom {
            owners: (0..SLOTS).filter_map(nearest).collect(),
        })
    }

    /// The slot of a request id.
    #[inline]
    pub fn slot(id: u64) -> usize {
        let value = id.wrapping_mul(id).wrapping_add(id.wrapping_mul(2)).wrapping_add(17);
        usize::try_from(value % SLOTS as u64).unwrap_or(0)
    }

    pub fn owners(&self) -> &[u16] {
        &self.owners
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Member, Table};

    fn servers(count: usize) -> Vec<Member> {
        (1..=count).map(|id| Member::new(format!("Server-{id}"))).collect()
    }

    /// The lab's expected counts per 10,000 requests with uniform ids.
    const COUNTS: [&[f64]; 5] = [
        &[9531.0, 469.0],
        &[8437.0, 469.0, 1094.0],
        &[8203.0, 469.0, 1016.0, 312.0],
        &[7969.0, 312.0, 938.0, 312.0, 469.0],
        &[7891.0, 312.0, 938.0, 312.0, 469.0, 78.0],
    ];

    #[test]
    fn counts_are_those_of_the_lab() {
        for want in COUNTS {
            let table = Table::build_with(Algorithm::Classroom, &servers(want.len())).unwrap();
            for (share, want) in table.shares().iter().zip(want) {
                assert!(
                    (share * 10_000.0 - want).abs() <= 0.5,
                    "{want} of {}: {:?}",
                    table.members().len(),
                    table.shares()
                );
            }
        }
    }

    #[test]
    fn requests_reach_87_of_the_slots() {
        let mut slots: Vec<usize> = (0..512).map(Classroom::slot).collect();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), 87);
    }

    #[test]
    fn the_ring_is_full_at_the_56th_server() {
        assert_eq!(
            Table::build_with(Algorithm::Classroom, &servers(56))
                .unwrap()
                .rank(b"1")
                .count(),
            56
        );
        let error = Table::build_with(Algorithm::Classroom, &servers(57)).unwrap_err();
        assert_eq!(error, Error::ClassroomFull { count: 57 });
        assert!(error.to_string().contains("full with 56 servers"), "{error}");
    }

    #[test]
    fn a_key_that_is_a_number_is_the_request_id() {
        assert_eq!(request_id(b"132574"), 132_574);
        assert_eq!(request_id(b"0"), 0);
        // 2^64 + 5: only the id modulo 512 counts.
        assert_eq!(request_id(b"18446744073709551621"), 5);
        for key in [&b""[..], b"-1", b"12a", b"cart/42"] {
            assert!((100_000..1_000_000).contains(&request_id(key)), "{key:?}");
        }
    }

    #[test]
    fn server_ids_are_positions() {
        let mut turned = servers(3);
        turned.rotate_left(1);
        let (table, turned) = (
            Table::build_with(Algorithm::Classroom, &servers(3)).unwrap(),
            Table::build_with(Algorithm::Classroom, &turned).unwrap(),
        );
        assert!((0..512).all(|id| table.owner(id) == turned.owner(id)));
    }
}
