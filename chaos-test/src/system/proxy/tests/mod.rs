//! Tests of links on real loopback sockets.
//!
//! Owns what no single file can show. A test must never rely on an upper
//! bound that a busy machine breaks, except far from what it measures.

mod kit;

mod attempts;
mod deadlines;
mod forwarding;
mod latency;
mod lifecycle;
mod opening;
mod streams;
mod toxics;
