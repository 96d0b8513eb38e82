//! Trace context as W3C defines it: who a test's requests are in the traces of the system under
//! test (<https://www.w3.org/TR/trace-context/>).
//!
//! Ids are derived and never drawn, so that a test's trace is known from its journal.

use std::fmt;

use super::event::Started;

/// The id of a test's trace: the same for all that its probes send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(u128);

impl TraceId {
    /// That of a test, from the first line of its journal: its run, its name, its process and
    /// when it started, so that no other attempt shares it.
    pub(crate) fn of(started: &Started) -> Self {
        let identity = format!(
            "{}\0{}\0{}\0{}\0{}",
            started.run, started.test, started.process.pid, started.wall_clock_ms, started.fragment,
        );
        // No id consists of zeros only.
        Self(fnv(identity.as_bytes()).max(1))
    }

    /// The header of one sample, by its number among all of the test.
    pub(crate) fn traceparent(self, sample: u64) -> String {
        let span = fnv(format!("{self}\0{sample}").as_bytes());
        // Both halves: the lower one alone hardly depends on the first bytes.
        let span = ((span >> 64) as u64 ^ span as u64).max(1);
        format!("{VERSION}-{self}-{span:016x}-{SAMPLED}")
    }
}

const VERSION: &str = "00";
/// The flag by which services record the trace.
const SAMPLED: &str = "01";

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// FNV-1a (Fowler, Noll, Vo) with 128 bits.
fn fnv(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::event::JOURNAL_VERSION;
    use crate::model::identity::ProcessIdentity;

    fn started(run: &str, test: &str, wall_clock_ms: u64) -> Started {
        Started {
            version: JOURNAL_VERSION,
            run: run.to_owned(),
            test: test.to_owned(),
            process: ProcessIdentity {
                pid: 4120,
                start_time: 1,
                boot_id: "b".to_owned(),
                namespace: 1,
            },
            wall_clock_ms,
            hypothesis: String::new(),
            seed: 7,
            tags: vec![],
            arguments: vec![],
            reports: "target/chaos".into(),
            fragment: "shop.chaos".to_owned(),
            abandoned: vec![],
            attempt: 1,
            known_gap: None,
            control: None,
        }
    }

    #[test]
    fn a_trace_is_the_same_for_a_test_and_another_for_any_other() {
        let id = TraceId::of(&started("17f3", "shop$a", 5));
        assert_eq!(id, TraceId::of(&started("17f3", "shop$a", 5)));
        for other in [
            started("17f4", "shop$a", 5),
            started("17f3", "shop$b", 5),
            started("17f3", "shop$a", 6),
        ] {
            assert_ne!(id, TraceId::of(&other), "{other:?}");
        }
    }

    #[test]
    fn a_header_is_as_the_standard_has_it() {
        let id = TraceId::of(&started("17f3", "shop$a", 5));
        let spans: BTreeSet<String> = (0..10_000)
            .map(|sample| {
                let header = id.traceparent(sample);
                let parts: Vec<&str> = header.split('-').collect();
                let [version, trace, span, flags] = parts[..] else {
                    panic!("four parts, not {header}");
                };
                assert_eq!((version, flags), ("00", "01"), "{header}");
                assert_eq!(trace, id.to_string());
                for (part, length) in [(trace, 32), (span, 16)] {
                    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                    assert!(
                        part.len() == length && part.bytes().all(hexadecimal),
                        "{header}"
                    );
                    assert!(part.bytes().any(|byte| byte != b'0'), "{header}");
                }
                span.to_owned()
            })
            .collect();
        assert_eq!(spans.len(), 10_000, "each sample has a span of its own");
    }

    #[test]
    fn the_hash_is_that_of_its_authors() {
        // From the tables of draft-eastlake-fnv.
        assert_eq!(fnv(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fnv(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}
