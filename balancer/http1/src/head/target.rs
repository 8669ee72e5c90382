//! Request targets: `/path?query`, `http://host/path?query`, and `*` with OPTIONS.

use crate::{
    Error,
    head::{Method, fields::short},
};

/// Where the parts of a target lie, counted from its first byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Target {
    /// The host of an absolute target: from here to where the path begins.
    pub(super) authority: Option<u16>,
    pub(super) path: u16,
    /// Where the path ends: at the question mark, or at the target's end.
    pub(super) path_end: u16,
}

// === impl Target ===

impl Target {
    pub(super) fn of(target: &[u8], method: Method) -> Result<Self, Error> {
        // A fragment never leaves a client (RFC 9112, section 3.2), and parsers disagree about where it begins.
        if !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
            return Err(Error::Target);
        }
        let authority = match target {
            [b'/', ..] => None,
            b"*" if method == Method::Options => None,
            _ => Some(scheme(target).ok_or(Error::Target)?),
        };
        let after_scheme = authority.unwrap_or(0);
        let rest = &target[after_scheme..];
        let path = after_scheme
            + if authority.is_some() {
                memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len())
            } else {
                0
            };
        // RFC 9110, section 4.2.1: with an empty host it is invalid.
        let host = &target[after_scheme..path];
        if authority.is_some() && (host.is_empty() || host.starts_with(b":") || !is_host(host)) {
            return Err(Error::Target);
        }
        let path_end = memchr::memchr(b'?', &target[path..]).map_or(target.len(), |found| path + found);
        Ok(Self {
            authority: authority.map(short),
            path: short(path),
            path_end: short(path_end),
        })
    }
}

/// The length of `http://` or `https://`.
fn scheme(target: &[u8]) -> Option<usize> {
    ["http://", "https://"]
        .iter()
        .map(|scheme| scheme.len())
        .zip([&b"http://"[..], b"https://"])
        .find_map(|(len, scheme)| target.get(..len)?.eq_ignore_ascii_case(scheme).then_some(len))
}

/// Whether `value` is `name`, `name:port`, `[address]` or `[address]:port`, or empty, which a client sends when its
/// target has no host.
pub(super) fn is_host(value: &[u8]) -> bool {
    let (name, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else {
                return false;
            };
            let address = &rest[..end];
            if address.is_empty()
                || !address
                    .iter()
                    .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
            {
                return false;
            }
            (&b""[..], &rest[end + 1..])
        }
        _ => value.split_at(memchr::memchr(b':', value).unwrap_or(value.len())),
    };
    name.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(byte))
        && match port {
            [] => true,
            [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
            _ => false,
        }
}
