//! Environments: what may be broken where, when and on whose word, on a real process.

mod configurations;
mod for_some;
mod found;
mod time;

use std::path::PathBuf;
use std::sync::Arc;

use chaos_test::prelude::*;
use chaos_test::{Effect, Error, ReadOnlySystem, System, Target, Undo, process};
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};
use tokio::sync::Semaphore;

use crate::bad_input::nothing_left;
use crate::subjects::say;
use crate::victims::{inventory, inventory_program, watch};

/// Callers notice when inventory is dead.
#[chaos_test(breaks(inventory))]
#[ignore = "another test runs it as a child"]
async fn kills_its_own(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    say("the body began");
    let requests = watch(chaos, inventory);
    let outage = chaos.inject(process::kill(inventory)).await;
    if let Err(error) = &outage {
        say(&format!("is_refused: {}", error.is_refused()));
        // It still answers.
        let seen = requests.over(ms(50)).await?;
        seen.expect(error_rate().at_most(percent(0))).check()?;
        say("it still answers");
    }
    let outage = outage?;
    requests.over(ms(50)).await?;
    outage.lift().await?;
    say(&format!("killed in {}", chaos.environment().name()));
    Ok(())
}

/// Empties a file that the test did not make.
#[derive(Debug)]
struct Empty(PathBuf);

impl Fault for Empty {
    fn describe(&self) -> String {
        format!("empty {}", self.0.display())
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target::File(self.0.clone())]
    }

    fn risk(&self) -> chaos_test::Risk {
        chaos_test::Risk::High
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        say("prepared");
        system.undo_restoring(&self.0)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        say("applied");
        std::fs::write(&self.0, "").map_err(|error| Error::msg(error.to_string()))
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        match std::fs::metadata(&self.0) {
            Ok(file) if file.len() == 0 => Ok(Effect::Active),
            _ => Ok(Effect::Absent("it is not empty".to_owned())),
        }
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        Some(1)
    }
}

/// A file of somebody else is emptied, because the test says that it may be.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn empties_a_file(chaos: &ChaosContext) -> chaos_test::Result {
    let path = PathBuf::from(std::env::var("VICTIM")?);
    chaos.may_break(&Target::File(path.clone()));
    chaos.inject(Empty(path)).await?.lift().await?;
    Ok(())
}

/// A fault on a service that is being prepared until somebody says so.
#[derive(Debug, Clone)]
struct Prepared {
    service: String,
    begun: Arc<Semaphore>,
    goes_on: Arc<Semaphore>,
}

impl Fault for Prepared {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Service(self.service.clone())]
    }

    async fn prepare(&self, _: &ReadOnlySystem) -> Result<Undo, Error> {
        self.begun.add_permits(1);
        let goes_on = self.goes_on.acquire().await;
        goes_on
            .map_err(|error| Error::msg(error.to_string()))?
            .forget();
        Ok(Undo::Nothing)
    }

    async fn apply(&self, _: &System) -> Result<(), Error> {
        Ok(())
    }

    async fn verify(&self, _: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(Effect::Spent)
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        Some(1)
    }
}

/// Two regions fail at once: while one is about to, while it is broken, and afterwards.
#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn breaks_two_zones(chaos: &ChaosContext) -> chaos_test::Result {
    let west = chaos.process("west-db", inventory_program()).await?;
    let east = chaos.process("east-db", inventory_program()).await?;
    let requests = watch(chaos, &west);
    let fault = Prepared {
        service: "west-db".to_owned(),
        begun: Arc::new(Semaphore::new(0)),
        goes_on: Arc::new(Semaphore::new(0)),
    };
    let second = async {
        fault.begun.acquire().await.unwrap().forget();
        let second = chaos.inject(process::kill(&east)).await;
        fault.goes_on.add_permits(1);
        second
    };
    let (first, second) = tokio::join!(chaos.inject(fault.clone()), second);
    let refused = |one: Result<chaos_test::Injection, Error>, when: &str| match one {
        Ok(_) => panic!("not refused while it is {when}"),
        Err(error) => say(&format!("{when}: {} {error}", error.is_refused())),
    };
    refused(second, "prepared");
    first?.lift().await?;
    let first = chaos.inject(process::kill(&west)).await?;
    refused(chaos.inject(process::kill(&east)).await, "broken");
    requests.over(ms(50)).await?;
    first.lift().await?;
    // One after the other they may.
    let requests = watch(chaos, &east);
    let next = chaos.inject(process::kill(&east)).await?;
    requests.over(ms(50)).await?;
    next.lift().await?;
    Ok(())
}

/// A child with a configuration, and a folder to keep it in.
struct Child {
    folder: tempfile::TempDir,
    rerun: Rerun,
}

impl Child {
    fn of(test: &str) -> Self {
        let rerun = Rerun::of(&format!("environments::{test}"));
        let ours = ["ENVIRONMENT", "CONFIG", "CONFIRM", "ATTEST", "REQUIRE"];
        let rerun = ours.iter().fold(rerun, |rerun, name| {
            rerun.env_remove(&format!("CHAOS_{name}"))
        });
        let folder = tempfile::tempdir().unwrap();
        Self { folder, rerun }
    }

    fn config(self, text: &str) -> Self {
        let path = self.path("chaos-test.toml");
        std::fs::write(&path, text).unwrap();
        self.env("CHAOS_CONFIG", &path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.rerun = self.rerun.env(name, value);
        self
    }

    fn within(self, environment: &str) -> Self {
        self.env("CHAOS_ENVIRONMENT", environment)
    }

    #[track_caller]
    fn run(self, passes: bool) -> Ended {
        let ended = self.rerun.run();
        assert_eq!(ended.status.success(), passes, "{}", ended.output());
        nothing_left(&ended);
        ended
    }
}

/// Whether all of it was printed, whatever the breaks of lines.
#[track_caller]
fn says(ended: &Ended, expected: &[&str]) {
    let output = ended.output();
    let plain = output.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in expected {
        assert!(plain.contains(text), "`{text}` is missing in:\n{output}");
    }
}

#[test]
fn production_refuses_what_nobody_has_allowed() {
    for environment in ["production", "PRODUCTION", "qa"] {
        let ended = Child::of("kills_its_own").within(environment).run(false);
        if environment == "production" {
            says(
                &ended,
                &[
                    "is_refused: true it still answers",
                    "kill inventory was refused, nothing was touched: the environment `production` \
                     forbids it: - service `inventory` is made by the test (`made_by_test` is \
                     false, built in) and not in `may_break` (built in), which names nothing",
                    "- its risk is medium, and `max_risk` is low (built in)",
                    "- nobody confirms it (`confirm`, built in): set \
                     CHAOS_CONFIRM=\"production/inventory\"",
                    "there is no configuration: chaos-test.toml beside Cargo.lock says what may be \
                     broken in `production`; this run is for it because of CHAOS_ENVIRONMENT",
                ],
            );
            assert!(
                ended.journals()[0].contains("\"event\":\"environment\",\"name\":\"production\"")
            );
        } else {
            says(
                &ended,
                &[&format!(
                    "CHAOS_ENVIRONMENT is `{environment}`, and there is no such environment"
                )],
            );
            assert!(!ended.output().contains("the body began"));
        }
    }
}

#[test]
fn what_a_test_made_may_be_broken_elsewhere() {
    for environment in ["", "development", "staging", " staging "] {
        let ended = Child::of("kills_its_own").within(environment).run(true);
        let name = match environment.trim() {
            "" => "development",
            name => name,
        };
        says(&ended, &[&format!("killed in {name}")]);
        let told = ended.journals()[0].contains("\"event\":\"environment\"");
        assert_eq!(told, name != "development");
    }
}

const PRODUCTION: &str = r#"
default = "production"
[environment.production]
may_break = ["inventory"]
max_risk = "medium"
attest = ["reviewed", "backup-taken"]
windows = ["daily 00:00-24:00 UTC"]
"#;

#[test]
fn a_fault_takes_the_exact_confirmation_and_every_attestation() {
    let sound = "reviewed=alice 2026-11-20, backup-taken=bob";
    let missing =
        "nobody confirms it (`confirm`, built in): set CHAOS_CONFIRM=\"production/inventory\"";
    let unsaid = "set CHAOS_ATTEST=\"backup-taken=WHO WHEN\"";
    for (confirm, attest, refusals) in [
        ("production/inventory", sound, &[][..]),
        ("production/orders-db,production/inventory", sound, &[]),
        ("", sound, &[missing]),
        ("staging/inventory,production/orders-db", sound, &[missing]),
        (
            "production/Inventory",
            "reviewed=alice,backup=bob",
            &[unsaid, missing],
        ),
    ] {
        let child = Child::of("kills_its_own").config(PRODUCTION);
        let child = child
            .env("CHAOS_CONFIRM", confirm)
            .env("CHAOS_ATTEST", attest);
        let ended = child.run(refusals.is_empty());
        let journal = &ended.journals()[0];
        if refusals.is_empty() {
            says(&ended, &["killed in production"]);
            let permitted = "\"event\":\"permitted\",\"fault\":\"kill inventory\",\
                             \"environment\":\"production\",\
                             \"confirmed\":[\"production/inventory\"],\
                             \"attested\":[\"reviewed=alice 2026-11-20\",\"backup-taken=bob\"],\
                             \"window\":\"daily 00:00-24:00 UTC\"";
            assert!(journal.contains(permitted), "{journal}");
            // On disk before anything is touched.
            let place = |text: &str| journal.find(text).expect(text);
            assert!(
                place(permitted) < place("\"event\":\"planned\",\"entry\":2"),
                "{journal}"
            );
            let told = "kill inventory permitted in production: confirmed production/inventory, \
                        attested reviewed=alice 2026-11-20, attested backup-taken=bob, window daily \
                        00:00-24:00 UTC";
            let junit = ended.junit();
            let junit = junit.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(junit.contains(told), "{junit}");
        } else {
            says(&ended, &["is_refused: true it still answers"]);
            says(&ended, refusals);
            assert!(!journal.contains("\"event\":\"permitted\""), "{journal}");
        }
    }
}

#[test]
fn variables_that_make_no_sense_touch_nothing() {
    for (name, value, expected) in [
        (
            "CHAOS_CONFIRM",
            "production/*",
            "a confirmation names one target, in full",
        ),
        ("CHAOS_CONFIRM", "inventory", "which names no target"),
        (
            "CHAOS_CONFIRM",
            "prod/inventory",
            "whose environment nobody knows",
        ),
        (
            "CHAOS_ATTEST",
            "reviewed",
            "which says not who attests what",
        ),
    ] {
        let ended = Child::of("kills_its_own").env(name, value).run(false);
        says(&ended, &[name, expected]);
        assert!(
            !ended.output().contains("the body began"),
            "{}",
            ended.output()
        );
    }
    use std::os::unix::ffi::OsStrExt;
    let no_text = std::ffi::OsStr::from_bytes(b"staging\xff");
    let ended = Child::of("kills_its_own")
        .env("CHAOS_ENVIRONMENT", no_text)
        .run(false);
    says(&ended, &["CHAOS_ENVIRONMENT is not valid UTF-8"]);
}

#[test]
fn what_was_there_before_is_broken_only_where_the_environment_names_it() {
    for (config, environment, refusal) in [
        ("", "development", None),
        (
            "",
            "staging",
            Some("is not in `may_break` (built in), which names nothing"),
        ),
        (
            "[environment.staging]\nmay_break = [\"file:FOLDER\"]",
            "staging",
            Some("its risk is high, and `max_risk` is medium (built in)"),
        ),
        (
            "[environment.staging]\nmay_break = [\"file:FOLDER\"]\nmax_risk = \"high\"",
            "staging",
            None,
        ),
        (
            "[environment.staging]\nmay_break = [\"file:FOLDER/other\"]\nmax_risk = \"high\"",
            "staging",
            Some("chaos-test.toml:2), which names `file:"),
        ),
    ] {
        let child = Child::of("empties_a_file").within(environment);
        let folder = child.folder.path().to_string_lossy().into_owned();
        let child = child.config(&config.replace("FOLDER", &folder));
        let victim = child.path("victim");
        std::fs::write(&victim, "precious").unwrap();
        let child = child.env("VICTIM", &victim);
        let Child { folder, rerun } = child;
        let ended = rerun.run();
        assert_eq!(
            ended.status.success(),
            refusal.is_none(),
            "{}",
            ended.output()
        );
        assert_eq!(ended.output().contains("applied"), refusal.is_none());
        if let Some(refusal) = refusal {
            says(&ended, &[refusal]);
            assert!(!ended.output().contains("prepared"), "{}", ended.output());
        }
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
        nothing_left(&ended);
        drop(folder);
    }
}

#[test]
fn only_so_many_zones_are_broken_at_once() {
    let zones = "[environment.staging]\nmax_zones = 1\n\
                 [environment.staging.zones.west]\ntargets = ['west-*']\n\
                 [environment.staging.zones.east]\ntargets = ['east-*']\n";
    let ended = Child::of("breaks_two_zones")
        .within("staging")
        .config(zones)
        .run(true);
    let why = "east-db was refused, nothing was touched: the environment `staging` forbids it: - it \
               would break 2 zones at once, 1 of them already broken (west), and `max_zones` is 1";
    says(
        &ended,
        &[
            &format!("prepared: true kill {why}"),
            &format!("broken: true kill {why}"),
        ],
    );
    let two = zones.replace("max_zones = 1", "max_zones = 2");
    let ended = Child::of("breaks_two_zones")
        .within("staging")
        .config(&two)
        .run(false);
    says(&ended, &["not refused while it is prepared"]);
}

/// What a child without the macro prints, and whether it passes.
#[test]
fn without_the_macro_it_is_the_same() {
    let production = "default = 'production'\n[environment.production]\nmade_by_test = true";
    let ended = Child::of("without_the_macro").config(production).run(true);
    says(
        &ended,
        &[
            "in production, is_refused: true",
            "`max_risk` is low (built in)",
        ],
    );
    let ended = Child::of("without_the_macro")
        .config("defualt = 1")
        .run(false);
    says(&ended, &["unknown key `defualt`, did you mean `default`?"]);
    assert_eq!(
        Folder::files(&ended.folder.reports().join("child/journals")),
        [] as [PathBuf; 0]
    );
}

#[test]
#[ignore = "another test runs it as a child"]
fn without_the_macro() {
    let chaos = ChaosContext::start_blocking().unwrap();
    let service = chaos.process("inventory", inventory_program());
    let inventory = chaos.block_on(service).unwrap();
    let refused = chaos.block_on(chaos.inject(process::kill(&inventory)));
    let error = refused.unwrap_err();
    let name = chaos.environment().name();
    say(&format!(
        "in {name}, is_refused: {}, {error}",
        error.is_refused()
    ));
}
