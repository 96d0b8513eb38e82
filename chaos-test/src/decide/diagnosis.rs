//! What of a machine works, what is missing or wrong, and what a person can do about it.

use std::path::Path;

use serde::Serialize;

use crate::model::survey::{
    Demand, EngineFound, EnvironmentFound, Feature, Folder, FolderIs, Journals, Presence, Survey,
    Variable, VariableIs,
};

/// Fewer open files than this are soon used up: each connection through a link needs two.
const FEW_FILES: u64 = 1024;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// It works.
    Works,
    /// It is not there, and a test can do without it.
    Missing,
    /// There is no telling.
    Unknown,
    /// A person should know of it.
    Note,
    /// Tests fail because of it.
    Wrong,
}

/// One line of the diagnosis.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What it belongs to.
    pub area: &'static str,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub sign: Sign,
    /// What was found.
    pub found: String,
    /// What a person can do.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(area: &'static str, name: &str, sign: Sign, found: impl Into<String>) -> Self {
        Self {
            area,
            name: name.to_owned(),
            sign,
            found: found.into(),
            remedy: None,
        }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

const NEEDED: &str = "every chaos test needs";
const BROKEN_IN: &str = "tests are for";
const CONTAINERS: &str = "services in containers need";
const PRIVILEGES: &str = "tests may require";
const LATER: &str = "faults to come may use (none of today's does)";
const PROGRAMS: &str = "programs";
const LIMITS: &str = "limits";
const ENVIRONMENT: &str = "environment";
const DEMANDED: &str = "--require";

/// Judges a machine: for tests as such, and for what somebody says must be there.
#[must_use]
pub fn diagnose(survey: &Survey, demands: &[Demand]) -> Vec<Finding> {
    let mut findings = vec![Finding::new(NEEDED, "Linux", Sign::Works, &survey.kernel)];
    findings.push(match &survey.proc {
        Ok(()) => Finding::new(NEEDED, "/proc", Sign::Works, "tells processes apart"),
        Err(why) => Finding::new(NEEDED, "/proc", Sign::Wrong, why)
            .remedy("mount it: mount -t proc proc /proc"),
    });
    findings.push(
        folder("state directory", &survey.state).unwrap_or_else(|finding| {
            finding.remedy("name a directory of your own with CHAOS_STATE_DIR")
        }),
    );
    findings.extend(journals(&survey.journals));
    findings.push(match &survey.reports {
        Some(reports) => folder("reports", reports)
            .unwrap_or_else(|finding| finding.remedy("name another folder with CHAOS_DIR")),
        None => {
            let found = "they go to cargo's target folder; there is no package here";
            Finding::new(NEEDED, "reports", Sign::Works, found)
        }
    });
    findings.extend(environment(&survey.environment));
    findings.extend(engine(&survey.engine));
    findings.extend(survey.features.iter().map(|(what, is)| feature(*what, is)));
    let programs = survey.programs.iter();
    findings.extend(programs.map(|(name, place)| program(name, place.as_deref())));
    findings.extend(limits(survey));
    findings.extend(survey.variables.iter().map(variable));
    findings.extend(demands.iter().map(demand));
    findings
}

/// Whether tests can run and all that was demanded is there.
#[must_use]
pub fn is_fine(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.sign != Sign::Wrong)
}

fn folder(name: &str, folder: &Folder) -> Result<Finding, Finding> {
    let path = folder.path.display();
    let finding = |sign, found| Finding::new(NEEDED, name, sign, found);
    match &folder.is {
        FolderIs::Ready(mode) => Ok(finding(Sign::Works, format!("{path} (mode {mode:o})"))),
        FolderIs::NotYet => Ok(finding(
            Sign::Works,
            format!("{path} is not there yet; the first test makes it"),
        )),
        FolderIs::Unusable(why) => Err(finding(Sign::Wrong, why.clone())),
    }
}

fn journals(journals: &Journals) -> Option<Finding> {
    let mut parts = Vec::new();
    let mut add = |count: usize, one: &str, many: &str| match count {
        0 => {}
        1 => parts.push(one.to_owned()),
        _ => parts.push(format!("{count} {many}")),
    };
    add(journals.dead, "a test was killed", "tests were killed");
    add(
        journals.left_alone,
        "a journal cannot be acted on",
        "journals cannot be acted on",
    );
    add(journals.alive, "a test runs now", "tests run now");
    if parts.is_empty() {
        return None;
    }
    let calls = journals.dead + journals.left_alone > 0;
    let sign = if calls { Sign::Note } else { Sign::Works };
    let finding = Finding::new(NEEDED, "journals", sign, parts.join(", "));
    Some(if calls {
        finding.remedy("`cargo chaos recover --dry-run` shows what is left, without it undoes it")
    } else {
        finding
    })
}

fn environment(environment: &Result<EnvironmentFound, String>) -> Vec<Finding> {
    let EnvironmentFound {
        name,
        chosen_by,
        file,
    } = match environment {
        Ok(found) => found,
        Err(why) => {
            let finding = Finding::new(BROKEN_IN, "environment", Sign::Wrong, why);
            return vec![finding.remedy("every test fails before it touches anything")];
        }
    };
    let found = match file {
        Some(file) => file.display().to_string(),
        None => "there is none: what is built in holds".to_owned(),
    };
    vec![
        Finding::new(
            BROKEN_IN,
            "environment",
            Sign::Works,
            format!("{name} ({chosen_by})"),
        ),
        Finding::new(BROKEN_IN, "configuration", Sign::Works, found),
    ]
}

fn engine(engine: &Result<EngineFound, String>) -> Vec<Finding> {
    let found = match engine {
        Ok(found) => found,
        Err(why) => {
            let remedy = if why.contains("Permission denied") {
                "let this user use it, as a member of the group that its socket belongs to, or run \
                 a rootless engine; services that are processes need none"
            } else {
                "services that are processes need none; for containers install Docker, or Podman \
                 with DOCKER_HOST naming its socket"
            };
            let finding = Finding::new(CONTAINERS, "docker", Sign::Missing, why);
            return vec![finding.remedy(remedy)];
        }
    };
    let EngineFound {
        url,
        name,
        api,
        place,
        rootless,
        why_unreachable,
    } = found;
    let rootless = if *rootless { ", rootless" } else { "" };
    let about = format!("{name} (API {api}) at {url}, {place}{rootless}");
    let links = match why_unreachable {
        None => Finding::new(
            CONTAINERS,
            "address_for_containers",
            Sign::Works,
            "containers can reach links of a test",
        ),
        Some(why) => Finding::new(CONTAINERS, "address_for_containers", Sign::Missing, why)
            .remedy("clients in containers reach services by their names, without a link"),
    };
    vec![
        Finding::new(CONTAINERS, "docker", Sign::Works, about),
        links,
    ]
}

fn feature(feature: Feature, presence: &Presence) -> Finding {
    let (area, name, remedy) = about(feature);
    let (sign, found) = match presence {
        Presence::Present(how) => (Sign::Works, how),
        Presence::Absent(why) => (Sign::Missing, why),
        Presence::Unknown(why) => (Sign::Unknown, why),
    };
    let finding = Finding::new(area, name, sign, found);
    if sign == Sign::Works {
        finding
    } else {
        finding.remedy(remedy)
    }
}

/// What a feature belongs to, what it is called, and how one gets it.
fn about(feature: Feature) -> (&'static str, &'static str, &'static str) {
    match feature {
        Feature::Root => (
            PRIVILEGES,
            "root",
            "run the tests as the superuser, or leave out `requires(root)`",
        ),
        Feature::NetAdmin => (
            PRIVILEGES,
            "netadmin",
            "run the tests as the superuser, or in a container with --cap-add NET_ADMIN",
        ),
        Feature::UserNamespaces => (
            LATER,
            "user namespaces",
            "see user_namespaces(7): the limits in /proc/sys/user, and on Ubuntu the setting \
             kernel.apparmor_restrict_unprivileged_userns",
        ),
        Feature::NetworkNamespaces => (
            LATER,
            "network namespaces",
            "run the tests as the superuser, or allow user namespaces",
        ),
        Feature::TimeNamespaces => (
            LATER,
            "time namespaces",
            "use a kernel from 5.6 on that has CONFIG_TIME_NS",
        ),
        Feature::Netem => (
            LATER,
            "netem",
            "load it with `modprobe sch_netem`, or use a kernel that has CONFIG_NET_SCH_NETEM",
        ),
        Feature::Nftables => (
            LATER,
            "nftables",
            "load it with `modprobe nf_tables`, or use a kernel that has CONFIG_NF_TABLES",
        ),
        Feature::PacketQueue => (
            LATER,
            "packet queues",
            "load them with `modprobe nfnetlink_queue`, or use a kernel that has \
             CONFIG_NETFILTER_NETLINK_QUEUE",
        ),
        Feature::Freezer => (
            LATER,
            "freezer",
            "mount control groups: version 2, or version 1 with its freezer",
        ),
        Feature::Fuse => (
            LATER,
            "FUSE",
            "load it with `modprobe fuse`; a container needs --device /dev/fuse",
        ),
    }
}

fn program(name: &str, place: Option<&Path>) -> Finding {
    let Some(place) = place else {
        let finding = Finding::new(PROGRAMS, name, Sign::Missing, "it is not on the PATH");
        return finding.remedy(match name {
            "cargo" => "see https://rustup.rs",
            "cargo-nextest" => "cargo install cargo-nextest --locked; `cargo test` will do, too",
            "tc" => "install the package iproute2",
            "nft" => "install the package nftables",
            _ => "install the package of that name",
        });
    };
    Finding::new(PROGRAMS, name, Sign::Works, place.display().to_string())
}

fn limits(survey: &Survey) -> Vec<Finding> {
    let files =
        |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |files| files.to_string());
    let (now, most) = survey.open_files;
    let found = format!("{} (at most {})", files(now), files(most));
    let few = now.is_some_and(|now| now < FEW_FILES);
    let open_files = if few {
        Finding::new(LIMITS, "open files", Sign::Note, found)
            .remedy("raise it with `ulimit -n`: each connection through a link needs two")
    } else {
        Finding::new(LIMITS, "open files", Sign::Works, found)
    };
    let containers = match &survey.containers {
        Ok(most) => Finding::new(
            LIMITS,
            "containers",
            Sign::Works,
            format!("{most} at once, for all tests of this user (CHAOS_MAX_CONTAINERS)"),
        ),
        Err(why) => Finding::new(LIMITS, "containers", Sign::Missing, why),
    };
    vec![open_files, containers]
}

fn variable(variable: &Variable) -> Finding {
    let Variable { name, value, is } = variable;
    let finding = |sign| Finding::new(ENVIRONMENT, name, sign, format!("`{value}`"));
    match is {
        VariableIs::Sound => finding(Sign::Works),
        VariableIs::Doubtful(why) => finding(Sign::Note).remedy(why),
        VariableIs::Wrong(why) => finding(Sign::Wrong).remedy(why),
        VariableIs::Unknown => {
            finding(Sign::Note).remedy("chaos-test has no such variable: is its name misspelt?")
        }
    }
}

fn demand(demand: &Demand) -> Finding {
    match &demand.met {
        Ok(()) => Finding::new(DEMANDED, &demand.word, Sign::Works, "it is there"),
        Err(why) => Finding::new(DEMANDED, &demand.word, Sign::Wrong, why),
    }
}
