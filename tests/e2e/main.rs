//! End to end, on real processes: one binary for all of it.
//!
//! [`subjects`] are chaos tests that fail, hang or are killed on purpose. They are ignored
//! by a plain run; the other rooms run them as children and look at how they end.

mod aborting;
mod bad_input;
mod claims;
mod consistency;
mod containers;
mod containers_bad_input;
mod containers_death;
mod contract;
mod controls;
mod death;
mod engine;
mod engine_restarts;
mod eventually;
mod existing;
mod fixtures;
mod forked;
mod green_means_chaos;
mod hostile;
mod in_process;
mod job_containers;
mod journal_safety;
mod keep;
mod kill_points;
mod known_gaps;
mod leases;
mod measuring;
mod ordinary;
mod overwrite;
mod plain;
mod programs;
mod reserved;
mod stopping;
mod stubborn;
mod subjects;
mod supervised;
mod tracing;
mod victims;
mod watchdog;
mod watching;
mod without_macro;
