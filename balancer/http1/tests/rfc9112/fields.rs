//! Field lines and their limits (RFC 9112, section 5; RFC 9110, section 5).

use lbpool_http1::{Error, Framing, Limits};

use crate::support::{Case, Refused, SMALL, Whole, check};

const NONE: crate::support::Want = Whole(Framing::None);

const FIELDS: &[Case] = &[
    (
        "no space behind the colon",
        "9112 5",
        b"GET / HTTP/1.1\r\nHost:a\r\n\r\n",
        NONE,
    ),
    (
        "white space around the value",
        "9112 5.1",
        b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n",
        NONE,
    ),
    (
        "empty value",
        "9110 5.5",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n",
        NONE,
    ),
    (
        "empty value last, with spaces",
        "9110 5.5",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:   \r\n\r\n",
        NONE,
    ),
    (
        "every byte that a name may have",
        "9110 5.6.2",
        b"GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n",
        NONE,
    ),
    (
        "Latin-1 in a value",
        "9110 5.5",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \xe4\r\n\r\n",
        NONE,
    ),
    (
        "UTF-8 in a value",
        "9110 5.5",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa4\r\n\r\n",
        NONE,
    ),
    (
        "a tab in a value",
        "9110 5.5",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n",
        NONE,
    ),
    (
        "a colon in a value",
        "9112 5",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a:b: c\r\n\r\n",
        NONE,
    ),
    (
        "the same name twice",
        "9110 5.3",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n",
        NONE,
    ),
    (
        "bare LF behind a field",
        "9112 2.2",
        b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        Refused(400, Error::LineEnd),
    ),
    (
        "bare LF as last line",
        "9112 2.2",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        Refused(400, Error::LineEnd),
    ),
    (
        "bare CR in a value",
        "9112 2.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: z\r\n\r\n",
        Refused(400, Error::FieldValue),
    ),
    (
        "bare CR in a name",
        "9112 2.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\rY: z\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "CR CR LF behind a value",
        "9112 2.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\r\n\r\n",
        Refused(400, Error::FieldValue),
    ),
    (
        "folded line",
        "9112 5.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "folded with a tab",
        "9112 5.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "folded, and nothing in it",
        "9112 5.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n \r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "space before the first name",
        "9112 2.2",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "space before the colon",
        "9112 5.1",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "tab before the colon",
        "9112 5.1",
        b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "no colon",
        "9112 5",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "empty name",
        "9112 5",
        b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "name with NUL",
        "9110 5.6.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\0: x\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "name with 0xA0",
        "9110 5.6.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\xa0: x\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "name in quotation marks",
        "9110 5.6.2",
        b"GET / HTTP/1.1\r\nHost: a\r\n\"X\": x\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "name with a parenthesis",
        "9110 5.6.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nX(: x\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "value with NUL",
        "9110 5.5",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        Refused(400, Error::FieldValue),
    ),
    (
        "value with DEL",
        "9110 5.5",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
        Refused(400, Error::FieldValue),
    ),
    (
        "vertical tab as white space",
        "9110 5.5",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:\x0bx\r\n\r\n",
        Refused(400, Error::FieldValue),
    ),
    (
        "as many headers as allowed",
        "9110 5.4",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n",
        NONE,
    ),
    (
        "one header more",
        "9110 5.4",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n",
        Refused(431, Error::TooManyHeaders),
    ),
];

#[test]
fn a_field_is_a_name_a_colon_and_a_value_on_one_line() {
    check(FIELDS, SMALL);
}

const EXPECT: &[Case] = &[
    (
        "100-continue",
        "9110 10.1.1",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n",
        NONE,
    ),
    (
        "nothing is expected",
        "9110 10.1.1",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n",
        NONE,
    ),
    (
        "HTTP/1.0 has no say",
        "9110 10.1.1",
        b"GET / HTTP/1.0\r\nExpect: tea\r\n\r\n",
        NONE,
    ),
    (
        "another expectation",
        "9110 15.5.18",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
        Refused(417, Error::Expectation),
    ),
    (
        "another one beside it",
        "9110 15.5.18",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, tea\r\n\r\n",
        Refused(417, Error::Expectation),
    ),
];

const HOPS: &[Case] = &[
    (
        "Max-Forwards with a method that has none",
        "9110 7.6.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        NONE,
    ),
    (
        "Max-Forwards that lets one more",
        "9110 7.6.2",
        b"TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n",
        NONE,
    ),
    (
        "Max-Forwards that is no number",
        "9110 7.6.2",
        b"TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n",
        NONE,
    ),
    (
        "TRACE that ends here",
        "9110 7.6.2",
        b"TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        Refused(501, Error::MaxForwards),
    ),
    (
        "OPTIONS that ends here",
        "9110 7.6.2",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 00\r\n\r\n",
        Refused(501, Error::MaxForwards),
    ),
    (
        "behind nine of our kind",
        "9110 7.6",
        b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 lbpool, 1.0 lbpool, 1.1 lbpool, 1.1 lbpool, 1.1 cdn\r\n\
        Via: 1.1 lbpool, 1.1 lbpool, 1.1 lbpool, 1.1 lbpool, 1.1 lbpool\r\n\r\n",
        NONE,
    ),
    (
        "behind ten of our kind: a circle",
        "9110 7.6",
        b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 lbpool, 1.0 lbpool, 1.1 lbpool, 1.1 lbpool\r\n\
        Via: 1.1 lbpool, 1.1 lbpool, 1.1 lbpool, 1.1 lbpool, 1.1 lbpool, 1.1 lbpool\r\n\r\n",
        Refused(508, Error::Loop),
    ),
];

#[test]
fn expectations_and_hops_are_met_or_refused() {
    check(EXPECT, Limits::default());
    check(HOPS, Limits::default());
}

#[test]
fn a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_refused() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyy\r\n\r\n";
    for (limit, want) in [
        (head.len(), NONE),
        (head.len() - 1, Refused(431, Error::HeadTooLarge)),
        (20, Refused(431, Error::HeadTooLarge)),
        (8, Refused(414, Error::TargetTooLong)),
    ] {
        let limits = Limits {
            head: limit,
            ..Limits::default()
        };
        check(&[("limit of a head", "9110 5.4", head, want)], limits);
    }
}
