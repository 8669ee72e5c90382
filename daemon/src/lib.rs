//! What every process of lbpool needs: log, signals, phases, clock.
