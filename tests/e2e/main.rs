//! End to end, on real processes: one binary for all of it.
//!
//! [`subjects`] are chaos tests that fail, hang or are killed on purpose. They are ignored
//! by a plain run; the other rooms run them as children and look at how they end.

mod aborting;
mod bad_input;
mod blast_radius;
mod breaker;
mod claims;
mod command_probe;
mod consistency;
mod containers;
mod containers_bad_input;
mod containers_death;
mod contract;
mod controls;
mod death;
mod dry_run;
mod engine;
mod engine_restarts;
mod environments;
mod eventually;
mod existing;
mod explaining;
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
mod modes;
mod ordinary;
mod overwrite;
mod plain;
mod preflight;
mod programs;
mod recoveries;
mod reserved;
mod resources;
mod retries;
mod showing;
mod stopping;
mod stubborn;
mod subjects;
mod supervised;
mod tracing;
mod victims;
mod watchdog;
mod watching;
mod without_macro;
