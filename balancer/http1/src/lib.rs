//! HTTP/1.1 heads, framing and rewriting: decides, and does no I/O.
