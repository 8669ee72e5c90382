//! A loopback port per member.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    net::{Ipv4Addr, TcpListener},
};

use crate::fleet::Error;

/// Below the ports that systems hand to outgoing connections (32768 and up on Linux, 49152 elsewhere): such a
/// connection could take a port between our choice and the member's bind.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_767;

/// Hands out ports, each as late again as possible: no peer that still knows a port's last holder meets another there.
#[derive(Debug)]
pub(super) struct Ports {
    next: u16,
}

impl Ports {
    /// Starts anywhere, so that two pools that start at the same time hardly meet.
    pub fn new() -> Self {
        let random = RandomState::new().hash_one(0_u8) % u64::from(LAST - FIRST + 1);
        Self {
            next: FIRST + u16::try_from(random).unwrap_or(0),
        }
    }

    /// A port that nobody listens on and that is not `taken` by a member that has yet to bind it.
    pub fn free(&mut self, taken: impl Fn(u16) -> bool) -> Result<u16, Error> {
        for _ in FIRST..=LAST {
            let port = self.next;
            self.next = if port == LAST { FIRST } else { port + 1 };
            if !taken(port) && bindable(port) {
                return Ok(port);
            }
        }
        Err(Error::NoPort {
            first: FIRST,
            last: LAST,
        })
    }
}

/// Members bind the wildcard address as in a container, or loopback: both have to be free.
fn bindable(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_or_listened_on_is_skipped() {
        let mut ports = Ports::new();
        let first = ports.free(|_| false).unwrap();
        ports.next = first;
        let second = ports.free(|port| port == first).unwrap();
        assert_ne!(first, second);

        let holder = TcpListener::bind((Ipv4Addr::UNSPECIFIED, second)).unwrap();
        ports.next = second;
        assert_ne!(ports.free(|_| false).unwrap(), second);
        drop(holder);
    }

    #[test]
    fn a_full_range_is_an_error_and_no_endless_search() {
        assert!(matches!(Ports::new().free(|_| true), Err(Error::NoPort { .. })));
    }
}
