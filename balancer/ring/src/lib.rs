//! Placement: which member owns a key.
