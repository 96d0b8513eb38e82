//! From what happened to text that people and programs read. Pure: no clock, no files.

pub mod junit;
pub mod text;
