//! Where a request came from, through proxies that are believed (RFC 7239, and `X-Forwarded-For` before it).
//!
//! Each proxy adds the address that it was connected from at the end of the list, so the list is believed from its end:
//! past the addresses of trusted proxies, up to the first that is none. What is in front of that one anybody may have
//! written.

use std::{net::IpAddr, str, str::FromStr, sync::Arc};

use crate::{
    head::{
        RequestHead,
        fields::{Kind, tokens},
    },
    rewrite::Trust,
};

/// Which headers tell members where a request came from, where no trusted proxy has begun them.
///
/// Those that a trusted proxy has sent are continued whatever the style; those of anybody else are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Style {
    /// `X-Forwarded-For`, `-Proto` and `-Host`; the address of the client is read from the first.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239); the address of the client is read from it.
    Forwarded,
    /// All of them; the address of the client is read from `X-Forwarded-For`.
    Both,
}

/// Which proxies are believed what they say about a request.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Proxies {
    /// None: clients connect directly.
    #[default]
    Nobody,
    /// Whoever connects, and nobody in front of it.
    Peer,
    /// Those whose address is in one of these networks.
    Networks(Arc<[Network]>),
}

/// A network in CIDR notation, or a single address.
///
/// ```
/// # use lbpool_http1::forwarded::Network;
/// let network: Network = "10.1.0.0/16".parse()?;
/// assert!(network.contains("10.1.200.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Leading bits that count.
    prefix: u8,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network: write 10.0.0.0/8, fd00::/8 or a single address")]
pub struct NoNetwork(String);

// === impl Style ===

impl Style {
    /// Whether `X-Forwarded-*` is sent where nothing of it came.
    pub(crate) const fn begins_x(self) -> bool {
        !matches!(self, Self::Forwarded)
    }

    /// Whether `Forwarded` is sent where none came.
    pub(crate) const fn begins_forwarded(self) -> bool {
        !matches!(self, Self::XForwarded)
    }
}

// === impl Proxies ===

impl Proxies {
    /// What is done with what `peer`, which a connection comes from, says about the requests on it.
    #[must_use]
    pub fn trust(&self, peer: IpAddr) -> Trust {
        let believed = match self {
            Self::Nobody => false,
            Self::Peer => true,
            Self::Networks(_) => self.knows(peer),
        };
        if believed { Trust::Append } else { Trust::Replace }
    }

    /// The address of the client: the last one that no trusted proxy has, or the outermost that is known.
    #[must_use]
    pub fn client(&self, head: RequestHead<'_>, peer: IpAddr, style: Style) -> IpAddr {
        if self.trust(peer) == Trust::Replace {
            return peer;
        }
        // What the answer is if all that follows in the list are trusted.
        let mut address = None;
        let mut pass = |named: Option<IpAddr>| match named {
            // Nobody knows what is in front of it.
            None => address = None,
            Some(_) if address.is_some() && self.knows(named.unwrap_or(peer)) => {}
            Some(_) => address = named,
        };
        match style {
            Style::Forwarded => {
                for value in head.fields_of(Kind::Forwarded) {
                    outside_quotes(value, b',')
                        .filter(|element| !element.trim_ascii().is_empty())
                        .for_each(|element| pass(named_for(element)));
                }
            }
            Style::XForwarded | Style::Both => {
                for value in head.fields_of(Kind::ForwardedFor) {
                    tokens(value)
                        .filter(|node| !node.is_empty())
                        .for_each(|node| pass(address_of(node)));
                }
            }
        }
        address.unwrap_or(peer)
    }

    fn knows(&self, address: IpAddr) -> bool {
        match self {
            Self::Nobody | Self::Peer => false,
            Self::Networks(networks) => networks.iter().any(|network| network.contains(address)),
        }
    }
}

// === impl Network ===

impl Network {
    /// Whether `address` is one of its addresses. An IPv4 address in an IPv6 one (`::ffff:10.0.0.1`) is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(32 - prefix)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(128 - prefix)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let no_network = || NoNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| no_network())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            // `u8::from_str` takes a plus sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= most)
                .ok_or_else(no_network)?,
            Some(_) => return Err(no_network()),
            None => most,
        };
        Ok(Self { address, prefix })
    }
}

/// The address that an element of `Forwarded` names with `for`.
fn named_for(element: &[u8]) -> Option<IpAddr> {
    outside_quotes(element, b';').find_map(|pair| {
        let (name, node) = pair.split_at(memchr::memchr(b'=', pair)?);
        if !name.trim_ascii().eq_ignore_ascii_case(b"for") {
            return None;
        }
        let node = node[1..].trim_ascii();
        match node {
            // No address needs an escape.
            [b'"', inner @ .., b'"'] => address_of(inner),
            _ => address_of(node),
        }
    })
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`; `None`: unknown, hidden or wrong.
fn address_of(node: &[u8]) -> Option<IpAddr> {
    let node = str::from_utf8(node).ok()?;
    let address = match node.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (port.is_empty() || port.starts_with(':')).then_some(address)?
        }
        None => match node.split_once(':') {
            Some((address, port)) if !port.contains(':') => address,
            _ => node,
        },
    };
    address.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// The parts between separators that are in no quoted string.
fn outside_quotes(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |byte| {
        let is_escaped = std::mem::replace(&mut escaped, false);
        match byte {
            b'\\' if quoted && !is_escaped => escaped = true,
            b'"' if !is_escaped => quoted = !quoted,
            _ => {}
        }
        *byte == separator && !quoted
    })
}

#[cfg(test)]
mod tests;
