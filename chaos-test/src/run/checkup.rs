//! What this machine has for chaos tests, for a person who asks. It changes nothing.

use std::path::PathBuf;

use crate::decide::progress;
use crate::model::survey::{
    Demand, EngineFound, Folder, FolderIs, Journals, Survey, Variable, VariableIs,
};
use crate::system::registry::LIST_VARIABLE;
use crate::system::state_dir::StateDir;
use crate::system::{capability, place, survey};

use super::requirements::{self, Demanded};
use super::{dry, engine, environment, keep, process_run, recovering, selection, test_identity};

/// Programs that tests and faults commonly need.
const PROGRAMS: [&str; 6] = [
    "cargo",
    "cargo-nextest",
    "tc",
    "nft",
    "iptables",
    "stress-ng",
];

/// Looks at everything.
#[must_use]
pub fn survey() -> Survey {
    let (state, journals) = state();
    Survey {
        kernel: survey::kernel(),
        proc: survey::proc(),
        state,
        environment: environment::found(),
        journals,
        reports: place::reports_of_here().map(survey::folder),
        engine: engine::own().block_on(container_engine()),
        containers: most_containers(),
        open_files: survey::open_files(),
        features: survey::features(),
        programs: survey::programs(PROGRAMS),
        variables: variables(),
    }
}

fn state() -> (Folder, Journals) {
    let mut folder = survey::folder(StateDir::place());
    let mut journals = Journals::default();
    match recovering::in_state() {
        Ok(found) => {
            journals.alive = found.alive.len();
            journals.dead = found.dead.len() + found.under_way.len();
            journals.left_alone = found.refused.len() + found.elsewhere.len();
        }
        Err(error) => {
            // What can be done about it is said beside it.
            let said = error.to_string();
            let why = said.lines().next().unwrap_or_default();
            folder.is = FolderIs::Unusable(why.to_owned());
        }
    }
    (folder, journals)
}

#[cfg(feature = "containers")]
async fn container_engine() -> Result<EngineFound, String> {
    let engine = crate::system::container::Engine::find().await?;
    Ok(engine.describe().await)
}

#[cfg(not(feature = "containers"))]
async fn container_engine() -> Result<EngineFound, String> {
    capability::check_word("docker").await?;
    Err("it is not looked for".to_owned())
}

#[cfg(feature = "containers")]
fn most_containers() -> Result<usize, String> {
    crate::system::container::most_containers().map_err(|error| error.to_string())
}

#[cfg(not(feature = "containers"))]
fn most_containers() -> Result<usize, String> {
    Err("this was built without the feature `containers`".to_owned())
}

fn variables() -> Vec<Variable> {
    let mut variables: Vec<Variable> = std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let value = value.to_string_lossy().into_owned();
            let is = name.starts_with("CHAOS_").then(|| judge(&name, &value))?;
            Some(Variable { name, value, is })
        })
        .collect();
    variables.sort_by(|one, other| one.name.cmp(&other.name));
    variables
}

/// What a variable is good for, by whoever reads it in a test.
fn judge(name: &str, value: &str) -> VariableIs {
    let sound = |judged: Result<(), String>| match judged {
        Ok(()) => VariableIs::Sound,
        Err(why) => VariableIs::Wrong(why),
    };
    let said = |error: crate::Error| error.to_string().replace("\n  help: ", "; ");
    match name {
        "CHAOS_REQUIRE" => sound(Demanded::from_environment().map(drop).map_err(said)),
        "CHAOS_SEED" => sound(test_identity::check_seed().map_err(said)),
        "CHAOS_PROGRESS" => sound(progress::is_wanted(value).map(drop)),
        "CHAOS_KEEP" => sound(keep::is_wanted().map(drop).map_err(said)),
        "CHAOS_DRY_RUN" => match dry::is_wanted() {
            Ok(true) => VariableIs::Doubtful(
                "a dry run: nothing is broken, and every chaos test is skipped".to_owned(),
            ),
            Ok(false) => VariableIs::Sound,
            Err(error) => VariableIs::Wrong(said(error)),
        },
        "CHAOS_TAGS" => match selection::tags() {
            Ok(Some(tags)) => VariableIs::Doubtful(format!(
                "only the chaos tests with tags as in `{tags}` are run"
            )),
            Ok(None) => VariableIs::Sound,
            Err(error) => VariableIs::Wrong(said(error)),
        },
        "CHAOS_LAST_FAILED" => match selection::only_failed() {
            Ok(true) => VariableIs::Doubtful(
                "only the chaos tests are run that failed when they last ran".to_owned(),
            ),
            Ok(false) => VariableIs::Sound,
            Err(error) => VariableIs::Wrong(said(error)),
        },
        "CHAOS_MAX_CONTAINERS" if cfg!(feature = "containers") => {
            sound(most_containers().map(drop))
        }
        // Wherever it does not do, the line of the state directory says why.
        "CHAOS_STATE_DIR" | "CHAOS_RUN_ID" | "CHAOS_MAX_CONTAINERS" => VariableIs::Sound,
        "CHAOS_DIR" if value.is_empty() || PathBuf::from(value).is_absolute() => VariableIs::Sound,
        "CHAOS_DIR" => VariableIs::Doubtful(
            "it is relative, so each package has a folder of its own: write an absolute path"
                .to_owned(),
        ),
        "CHAOS_WATCHDOG" => match process_run::watchdog_is_wanted() {
            Ok(true) => VariableIs::Sound,
            Ok(false) => VariableIs::Doubtful(
                "what a killed test leaves waits for the next run, or for `cargo chaos recover`"
                    .to_owned(),
            ),
            Err(error) => VariableIs::Wrong(said(error)),
        },
        // The line of the environment says what is wrong with them.
        "CHAOS_ENVIRONMENT" | "CHAOS_CONFIRM" | "CHAOS_ATTEST" => VariableIs::Sound,
        "CHAOS_CONFIG" if value.is_empty() || PathBuf::from(value).is_absolute() => {
            VariableIs::Sound
        }
        "CHAOS_CONFIG" => VariableIs::Doubtful(
            "it is relative, so each package has one of its own: write an absolute path".to_owned(),
        ),
        "CHAOS_STOP" if matches!(value, "" | "0") => VariableIs::Sound,
        "CHAOS_STOP" => VariableIs::Wrong("it stops every test: unset it".to_owned()),
        "CHAOS_STOP_FILE" if PathBuf::from(value).symlink_metadata().is_ok() => {
            VariableIs::Wrong("the file is there, which stops every test: remove it".to_owned())
        }
        "CHAOS_STOP_FILE" => VariableIs::Sound,
        LIST_VARIABLE => VariableIs::Doubtful(
            "only `cargo chaos list` is to set it: each test program appends its tests there"
                .to_owned(),
        ),
        _ => VariableIs::Unknown,
    }
}

/// Checks what somebody says must be there: words as in `CHAOS_REQUIRE`.
#[must_use]
pub fn demands(words: &[String]) -> Vec<Demand> {
    let all = ["docker", "netadmin", "root"];
    let mut wanted: Vec<&str> = Vec::new();
    for word in words {
        let these = if word == "all" {
            &all[..]
        } else {
            &[word.as_str()][..]
        };
        for one in these {
            if !wanted.contains(one) {
                wanted.push(one);
            }
        }
    }
    let wanted = wanted.into_iter();
    wanted
        .map(|word| Demand {
            word: word.to_owned(),
            met: engine::own().block_on(capability::check_word(word)),
        })
        .collect()
}

/// A word that can be demanded, as it was written.
///
/// # Errors
///
/// What the words are, where it is none of them.
pub fn demand(word: &str) -> Result<String, String> {
    if requirements::is_known(word) {
        return Ok(word.to_owned());
    }
    Err(format!(
        "it is nothing that a test can need; write a comma list of {}",
        requirements::WORDS
    ))
}
