//! `cargo chaos`, end to end: the program itself on real leftovers of killed tests.
//!
//! It is tested in its own package, because cargo tells only those tests where it is.

mod doctor;
mod kit;
mod list;
mod recover;
mod shell;
mod stop;
mod subject;
