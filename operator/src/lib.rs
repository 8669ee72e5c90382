//! The controller of a pool and the fleets that run its members.
