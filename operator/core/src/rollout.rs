//! Surge and unavailable: how many steps of a roll-out may run at once.
