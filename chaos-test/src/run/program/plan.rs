//! What a program is started with: its description, with its ports decided and its placeholders
//! filled in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Kind};
use crate::probe::{AllPorts, Ready};
use crate::run::service::DEFAULT_PORT;
use crate::system::capability::find_program;
use crate::system::gate::Limits;

use super::cargo_bin::cargo_bin;
use super::placeholders::Filled;
use super::{Port, Program, Where};

/// A program with its ports decided.
pub(in crate::run) struct Plan<'a> {
    program: &'a Program,
    /// As users know it, and where it must listen (0: anywhere).
    pub(in crate::run) ports: Vec<(u16, u16)>,
}

impl<'a> Plan<'a> {
    pub(super) fn of(program: &'a Program) -> Self {
        let fixed = |port: &Port| if port.fixed { port.known } else { 0 };
        let ports = match &program.ports {
            None => vec![(DEFAULT_PORT, 0)],
            Some(ports) => ports.iter().map(|port| (port.known, fixed(port))).collect(),
        };
        Self { program, ports }
    }

    /// Has it listen on these ports, unless it names its own.
    pub(in crate::run) fn take_ports(&mut self, reserved: Vec<u16>) {
        if self.program.ports.is_none() && !reserved.is_empty() {
            self.ports = reserved.into_iter().map(|port| (port, 0)).collect();
        }
    }

    pub(in crate::run) fn find(&self) -> Result<PathBuf, Error> {
        let found = match &self.program.program {
            Where::Path(path) => find_program(path),
            Where::CargoBin(name) => cargo_bin(name),
        };
        found.map_err(|why| Error::new(Kind::Service, why))
    }

    pub(in crate::run) fn needs_scratch(&self) -> bool {
        let values = self.program.env.values().flatten();
        self.program.args.iter().chain(values).any(|text| {
            text.as_encoded_bytes()
                .windows(5)
                .any(|part| part == b"{dir}")
        })
    }

    /// Arguments with placeholders filled in.
    pub(in crate::run) fn args(&self, filled: &Filled<'_>) -> Result<Vec<OsString>, Error> {
        self.program
            .args
            .iter()
            .map(|arg| filled.fill(arg))
            .collect()
    }

    /// The environment with placeholders filled in, and `PORT`.
    pub(in crate::run) fn env(
        &self,
        filled: &Filled<'_>,
    ) -> Result<BTreeMap<OsString, Option<OsString>>, Error> {
        let mut env = BTreeMap::new();
        if let Some((_, port)) = filled.ports.first() {
            env.insert("PORT".into(), Some(port.to_string().into()));
        }
        for (name, value) in &self.program.env {
            let value = match value {
                Some(value) => Some(filled.fill(value)?),
                None => None,
            };
            env.insert(name.clone(), value);
        }
        Ok(env)
    }

    pub(in crate::run) fn folder(&self) -> Result<Option<PathBuf>, Error> {
        match &self.program.folder {
            Some(folder) if !folder.is_dir() => Err(Error::new(
                Kind::Service,
                format!("its folder `{}` does not exist", folder.display()),
            )),
            folder => Ok(folder.clone()),
        }
    }

    pub(in crate::run) fn ready(&self) -> Ready {
        let ready = self.program.ready.clone();
        ready.unwrap_or_else(|| Ready::new(AllPorts))
    }

    pub(in crate::run) fn limits(&self) -> Limits {
        self.program.limits.clone()
    }

    pub(in crate::run) fn start_timeout(&self) -> Duration {
        self.program.start_timeout
    }

    pub(in crate::run) fn keeps_ports(&self) -> bool {
        self.program.keeps_ports
    }

    pub(in crate::run) fn grace(&self) -> Duration {
        self.program.grace
    }

    pub(in crate::run) fn supervised(&self) -> Option<Duration> {
        self.program.supervised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_ports_has_one_unless_it_says_otherwise() {
        assert_eq!(Program::new("a").plan().ports, [(0, 0)]);
        assert_eq!(Program::new("a").without_port().plan().ports, []);
        let two = Program::new("a").listens(80).listens_at(81);
        assert_eq!(two.plan().ports, [(80, 0), (81, 81)]);
        for (program, expected) in [
            (Program::new("a"), [(9092, 0), (9093, 0)].as_slice()),
            (Program::new("a").without_port(), [].as_slice()),
            (Program::new("a").listens(80), [(80, 0)].as_slice()),
        ] {
            let mut plan = program.plan();
            plan.take_ports(vec![9092, 9093]);
            assert_eq!(plan.ports, expected);
        }
    }

    #[test]
    fn only_what_names_the_folder_gets_one() {
        assert!(!Program::new("a").arg("{port}").plan().needs_scratch());
        assert!(
            Program::new("a")
                .env("DATA", "{dir}/x")
                .plan()
                .needs_scratch()
        );
    }
}
