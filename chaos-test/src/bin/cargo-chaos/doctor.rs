//! `cargo chaos doctor`: what works here, what does not, and what to do about it.

use std::fmt::Write;
use std::process::ExitCode;

use chaos_test::__cli::{self, Finding, Sign};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;

use crate::paint::Paint;
use crate::{FOUND_SOMETHING, Subcommand, complain, print};

pub(crate) const SUBCOMMAND: Subcommand = Subcommand { define, run };

/// How wide the names are.
const NAMES: usize = 24;

const AFTER_HELP: &str = "\
Signs:
  ok  it works
  --  it is not there, and a test can do without it
  ??  there is no telling
  !   look at it
  !!  tests fail because of it

It changes nothing. Exit code 1 says that something is missing which every chaos test needs, which
--require names, or that an environment variable makes no sense.

Examples:
  cargo chaos doctor
  cargo chaos doctor --require docker,program:redis-server
  cargo chaos doctor --json";

fn define() -> Command {
    Command::new("doctor")
        .about("Say what works here, what does not, and what to do about it")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("require")
                .long("require")
                .value_name("WHAT")
                .value_delimiter(',')
                .action(ArgAction::Append)
                .value_parser(__cli::demand)
                .help(
                    "Fail where this is missing: a comma list of docker, netadmin, root (all: \
                     these three), program:NAME, env:NAME, as in CHAOS_REQUIRE",
                ),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print JSON"),
        )
}

fn run(matches: &ArgMatches) -> ExitCode {
    let words = matches.get_many::<String>("require").unwrap_or_default();
    let words: Vec<String> = words.cloned().collect();
    let demands = __cli::demands(&words);
    let findings = __cli::diagnose(&__cli::survey_machine(), &demands);
    if matches.get_flag("json") {
        match json(&findings) {
            Ok(text) => print(&text),
            Err(error) => return complain(error),
        }
    } else {
        print(&text(&findings, Paint::for_stdout()));
    }
    if __cli::is_fine(&findings) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND_SOMETHING)
    }
}

/// What machines read.
#[derive(Serialize)]
struct Diagnosis<'a> {
    fine: bool,
    findings: &'a [Finding],
}

fn json(findings: &[Finding]) -> serde_json::Result<String> {
    let diagnosis = Diagnosis {
        fine: __cli::is_fine(findings),
        findings,
    };
    Ok(serde_json::to_string_pretty(&diagnosis)? + "\n")
}

fn text(findings: &[Finding], paint: Paint) -> String {
    let mut text = String::new();
    let mut area = "";
    for finding in findings {
        if finding.area != area {
            let gap = if area.is_empty() { "" } else { "\n" };
            area = finding.area;
            let _ = writeln!(text, "{gap}{}", paint.bold(&format!("{area}:")));
        }
        let Finding {
            name,
            found,
            remedy,
            ..
        } = finding;
        let sign = sign(finding.sign, paint);
        let _ = writeln!(text, "  {sign} {name:<NAMES$} {}", indented(found));
        if let Some(remedy) = remedy {
            let _ = writeln!(
                text,
                "     {:NAMES$} {}",
                "",
                indented(&format!("-> {remedy}"))
            );
        }
    }
    let wrong = findings
        .iter()
        .filter(|finding| finding.sign == Sign::Wrong);
    let names: Vec<_> = wrong.map(|finding| finding.name.as_str()).collect();
    let verdict = if names.is_empty() {
        paint.good("chaos tests can run here")
    } else {
        paint.bad(&format!("wrong: {}", names.join(", ")))
    };
    let _ = writeln!(text, "\n{verdict}");
    text
}

/// Lines after the first one stand below it.
fn indented(text: &str) -> String {
    text.replace('\n', &format!("\n{:1$}", "", NAMES + 6))
}

fn sign(sign: Sign, paint: Paint) -> String {
    match sign {
        Sign::Works => paint.good("ok"),
        Sign::Missing => paint.warning("--"),
        Sign::Unknown => paint.warning("??"),
        Sign::Note => paint.warning("! "),
        Sign::Wrong => paint.bad("!!"),
    }
}

#[cfg(test)]
mod tests {
    use chaos_test::__cli::survey::{
        Demand, EngineFound, EnvironmentFound, Feature, Folder, FolderIs, Journals, Presence,
        Survey, Variable, VariableIs,
    };

    use super::*;

    fn folder(path: &str, is: FolderIs) -> Folder {
        Folder {
            path: path.into(),
            is,
        }
    }

    fn good() -> Survey {
        Survey {
            kernel: "Linux 6.1.0".into(),
            proc: Ok(()),
            state: folder("/home/ann/.local/state/chaos-test", FolderIs::Ready(0o700)),
            environment: Ok(EnvironmentFound {
                name: "development".into(),
                chosen_by: "the default".into(),
                file: None,
            }),
            journals: Journals::default(),
            reports: Some(folder("/home/ann/shop/target/chaos", FolderIs::NotYet)),
            engine: Ok(EngineFound {
                url: "unix:///run/user/1000/docker.sock".into(),
                name: "Docker 28.2.2".into(),
                api: "1.50".into(),
                place: "on this machine",
                rootless: true,
                why_unreachable: None,
            }),
            containers: Ok(8),
            open_files: (Some(4096), None),
            features: vec![(Feature::Fuse, Presence::Present("/dev/fuse".into()))],
            programs: vec![("tc", Some("/usr/sbin/tc".into()))],
            variables: Vec::new(),
        }
    }

    fn bad() -> Survey {
        Survey {
            proc: Err("there is no readable /proc/7/stat".into()),
            state: folder(
                "/var/tmp/chaos-test-1000",
                FolderIs::Unusable("others may write to it (mode 777)".into()),
            ),
            journals: Journals {
                alive: 1,
                dead: 2,
                left_alone: 1,
            },
            environment: Err(
                "the configuration makes no sense:\nc.toml:1:1: unknown key `x`".into(),
            ),
            reports: None,
            engine: Err("no container engine answers (there is no socket)".into()),
            containers: Err("CHAOS_MAX_CONTAINERS is `0`".into()),
            open_files: (Some(256), Some(256)),
            features: vec![
                (Feature::Root, Presence::Absent("this is user 1000".into())),
                (Feature::Netem, Presence::Unknown("nobody knows".into())),
            ],
            programs: vec![("stress-ng", None), ("cargo-nextest", None)],
            variables: vec![
                Variable {
                    name: "CHAOS_SEED".into(),
                    value: "a lot".into(),
                    is: VariableIs::Wrong("it is no number\nsuch as 42".into()),
                },
                Variable {
                    name: "CHAOS_SED".into(),
                    value: "7".into(),
                    is: VariableIs::Unknown,
                },
            ],
            ..good()
        }
    }

    #[test]
    fn a_machine_where_all_is_well_is_told_in_short_lines() {
        let findings = __cli::diagnose(&good(), &[]);
        assert!(__cli::is_fine(&findings));
        insta::assert_snapshot!(text(&findings, Paint::NONE), @r#"
        every chaos test needs:
          ok Linux                    Linux 6.1.0
          ok /proc                    tells processes apart
          ok state directory          /home/ann/.local/state/chaos-test (mode 700)
          ok reports                  /home/ann/shop/target/chaos is not there yet; the first test makes it

        tests are for:
          ok environment              development (the default)
          ok configuration            there is none: what is built in holds

        services in containers need:
          ok docker                   Docker 28.2.2 (API 1.50) at unix:///run/user/1000/docker.sock, on this machine, rootless
          ok address_for_containers   containers can reach links of a test

        faults to come may use (none of today's does):
          ok FUSE                     /dev/fuse

        programs:
          ok tc                       /usr/sbin/tc

        limits:
          ok open files               4096 (at most unlimited)
          ok containers               8 at once, for all tests of this user (CHAOS_MAX_CONTAINERS)

        chaos tests can run here
        "#);
    }

    #[test]
    fn what_is_wrong_or_missing_is_told_with_its_remedy() {
        let demand = Demand {
            word: "docker".into(),
            met: Err("no container engine answers".into()),
        };
        let findings = __cli::diagnose(&bad(), &[demand]);
        assert!(!__cli::is_fine(&findings));
        insta::assert_snapshot!(text(&findings, Paint::NONE), @r#"
        every chaos test needs:
          ok Linux                    Linux 6.1.0
          !! /proc                    there is no readable /proc/7/stat
                                      -> mount it: mount -t proc proc /proc
          !! state directory          others may write to it (mode 777)
                                      -> name a directory of your own with CHAOS_STATE_DIR
          !  journals                 2 tests were killed, a journal cannot be acted on, a test runs now
                                      -> `cargo chaos recover --dry-run` shows what is left, without it undoes it
          ok reports                  they go to cargo's target folder; there is no package here

        tests are for:
          !! environment              the configuration makes no sense:
                                      c.toml:1:1: unknown key `x`
                                      -> every test fails before it touches anything

        services in containers need:
          -- docker                   no container engine answers (there is no socket)
                                      -> services that are processes need none; for containers install Docker, or Podman with DOCKER_HOST naming its socket

        tests may require:
          -- root                     this is user 1000
                                      -> run the tests as the superuser, or leave out `requires(root)`

        faults to come may use (none of today's does):
          ?? netem                    nobody knows
                                      -> load it with `modprobe sch_netem`, or use a kernel that has CONFIG_NET_SCH_NETEM

        programs:
          -- stress-ng                it is not on the PATH
                                      -> install the package of that name
          -- cargo-nextest            it is not on the PATH
                                      -> cargo install cargo-nextest --locked; `cargo test` will do, too

        limits:
          !  open files               256 (at most 256)
                                      -> raise it with `ulimit -n`: each connection through a link needs two
          -- containers               CHAOS_MAX_CONTAINERS is `0`

        environment:
          !! CHAOS_SEED               `a lot`
                                      -> it is no number
                                      such as 42
          !  CHAOS_SED                `7`
                                      -> chaos-test has no such variable: is its name misspelt?

        --require:
          !! docker                   no container engine answers

        wrong: /proc, state directory, environment, CHAOS_SEED, docker
        "#);
    }

    #[test]
    fn only_what_tests_cannot_do_without_is_wrong() {
        let missing = Survey {
            state: good().state,
            environment: good().environment,
            proc: Ok(()),
            variables: Vec::new(),
            ..bad()
        };
        assert!(__cli::is_fine(&__cli::diagnose(&missing, &[])));
    }
}
