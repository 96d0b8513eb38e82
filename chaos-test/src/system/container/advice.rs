//! What a person can do about what the engine refuses: told from its words, because it has
//! no codes for it. Nothing else hangs on them.

use super::engine::Refusal;
use crate::error::{Error, Kind};

/// Why a container was not made, and what to do.
pub(super) fn not_made(refusal: &Refusal) -> Error {
    let error = Error::new(Kind::Service, refusal.to_string());
    let said = refusal.to_string().to_lowercase();
    let advice = if matches!(refusal, Refusal::Conflict(_)) && said.contains("name") {
        "another container has that name, and it was left alone; leave `with_container_name` \
         out and give this one an alias, or remove the other one"
    } else if said.contains("no space left") {
        FULL
    } else if said.contains("cannot be copied to") && said.contains("no such file") {
        let folder = std::env::current_dir().unwrap_or_default();
        return error.help(format!(
            "a relative path begins at {}, where the test runs",
            folder.display()
        ));
    } else if said.contains("network") && refusal.is_missing() {
        "make that network before the test, or leave `with_network` out: the containers of a \
         context share a network of their own"
    } else {
        return error;
    };
    error.help(advice)
}

/// Why a container could not be started, and what to do.
pub(super) fn not_started(refusal: &Refusal) -> Error {
    let error = Error::new(Kind::Service, refusal.to_string());
    let said = refusal.to_string().to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| said.contains(sign));
    let advice = if has(&["no such container"]) {
        REMOVED
    } else if refusal.is_missing() && has(&["network"]) {
        "somebody removed its network, and a container cannot run without it; leave networks \
         whose names begin with `chaos-` alone while tests run"
    } else if has(&["already allocated", "address already in use"]) {
        "a port that `with_mapped_port` names is in use on this machine; leave it out, and ask \
         `address(port)` of the service for a free one that leads there"
    } else if has(&[
        "executable file not found",
        "exec format error",
        "no such file or directory",
        "permission denied",
    ]) {
        "check `with_cmd` and `with_entrypoint`: the engine cannot run that program in this \
         image"
    } else if has(&["no space left"]) {
        FULL
    } else {
        return error;
    };
    error.help(advice)
}

/// What is said of a container that somebody else removed.
pub(super) const REMOVED: &str = "somebody else removed it, and what was in it cannot be had again";

const FULL: &str = "a disk is full, of the engine, of a volume or of this machine: `docker system \
                    df` and `df` show which";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(refusal: Refusal, expected: Option<&str>) {
        let error = not_started(&refusal).to_string();
        match expected {
            Some(expected) => assert!(error.contains(expected), "{error}"),
            None => assert!(!error.contains("help:"), "{error}"),
        }
    }

    #[test]
    fn what_the_engine_refuses_comes_with_what_to_do() {
        let answered = |said: &str| Refusal::Answered(said.to_owned());
        check(
            answered("Bind for 127.0.0.1:80 failed: port is already allocated"),
            Some("with_mapped_port"),
        );
        check(
            answered("exec: \"redis\": executable file not found in $PATH: unknown"),
            Some("with_entrypoint"),
        );
        check(
            Refusal::Missing("No such container: chaos-1".to_owned()),
            Some("somebody else removed it"),
        );
        check(
            Refusal::Missing("network chaos-1 not found".to_owned()),
            Some("removed its network"),
        );
        check(answered("something else"), None);
    }
}
