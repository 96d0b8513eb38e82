//! What was there before the test: broken only where it is named, put back to what it was, also
//! after a killed test, and never anything else hit in its place.

mod ending;
pub mod foreign;
pub mod inherited;
mod killed;
mod refused;
mod sharing;

use chaos_test::prelude::*;
use chaos_test::{Event, Existing, Journal, Risk, existing};
use chaos_test_fixtures::rerun::{Ended, Folder, Rerun};

use crate::engine::Run;
use crate::subjects::say;
use crate::victims::come_in;
use foreign::{Foreign, How, Server};

/// What a child says when its fault is in force.
pub const READY: &str = "ready to be killed";

/// A variable that the parent sets; empty where it does not.
fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// What the parent has the child break.
pub fn described() -> Existing {
    let what = told("EXISTING");
    let (kind, rest) = what.split_once(' ').expect("a kind and a name");
    let pair = || rest.split_once(' ').expect("two words");
    let mut described = match kind {
        "container" => existing::container(rest),
        "label" => existing::label(pair().0, pair().1),
        "compose" => existing::compose(pair().0, pair().1),
        "process" => existing::process(rest.parse().expect("a number")),
        "pid_file" => existing::pid_file(rest),
        "listening_on" => existing::listening_on(rest),
        "address" => existing::address(rest),
        other => panic!("{other}"),
    };
    if let Ok(within) = told("EXISTING_SUPERVISED").parse() {
        described = described.supervised(ms(within));
    }
    let start = told("EXISTING_START");
    if !start.is_empty() {
        described = described.start_with(start.split(' '));
    }
    described
}

#[chaos_fixture]
pub async fn orders_db(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    Ok(chaos.existing("orders-db", described()).await?)
}

/// Injects the fault that the parent names.
pub async fn inject(
    chaos: &ChaosContext,
    service: &Service,
) -> chaos_test::Result<chaos_test::Injection> {
    let name = told("EXISTING_FAULT");
    let mut entries = chaos_test::CATALOGUE.iter();
    let entry = entries.find(|entry| entry.name == name).expect("a fault");
    Ok(chaos.inject_entry(entry, service).await?)
}

#[chaos_test(breaks(orders_db))]
#[ignore = "another test runs it as a child"]
async fn it_breaks_what_was_there(chaos: &ChaosContext, orders_db: &Service) -> chaos_test::Result {
    let fault = inject(chaos, orders_db).await?;
    come_in(orders_db).await?;
    if !told("EXISTING_WAITS").is_empty() {
        say(READY);
        std::future::pending::<()>().await;
    }
    fault.lift().await?;
    if orders_db.link("asks").await.is_ok() {
        let address = orders_db.first_address().socket();
        assert!(foreign::pongs(address), "it does not answer at {address}");
    }
    Ok(())
}

/// A child that breaks `what` with `fault`.
pub fn breaks(run: &str, what: &str, fault: &str, folder: Folder) -> Rerun {
    Rerun::within("existing::it_breaks_what_was_there", folder)
        .env("EXISTING", what)
        .env("EXISTING_FAULT", fault)
        .env("CHAOS_RUN_ID", run)
        .unwatched()
}

/// The journal beside the reports of a child with one test.
pub fn journal(ended: &Ended, run: &str) -> Journal {
    let journals = ended.folder.reports().join(run).join("journals");
    let text = Folder::files(&journals)
        .first()
        .and_then(|path| std::fs::read_to_string(path).ok());
    Journal::read(&text.unwrap_or_else(|| panic!("{}", ended.output()))).unwrap()
}

#[track_caller]
fn passes(ended: &Ended) {
    assert!(ended.status.success(), "{}", ended.output());
    assert!(ended.leftovers().is_empty(), "{:?}", ended.leftovers());
}

#[test]
fn a_container_is_put_back_to_what_it_was() {
    let Some(run) = Run::new("a_container_is_put_back_to_what_it_was") else {
        return;
    };
    let how = How {
        labels: vec![("app", foreign::name())],
        network: true,
        restarts: true,
        ..How::default()
    };
    let db = Foreign::start(&run, how);
    let before = db.looks();
    for fault in [
        "container::pause",
        "container::kill",
        "container::stop",
        "container::restart",
        "container::disconnect",
        "link::down",
    ] {
        let what = format!("container {}", db.name);
        let ended = breaks(run.id(), &what, fault, Folder::default()).run();
        passes(&ended);
        assert_eq!(db.looks(), before, "{fault}: {}", ended.output());
        assert!(db.answers(), "{fault}");
        // What only the test's own clients see is no greater risk than anywhere else.
        let expected = match fault {
            "link::down" => Risk::Low,
            _ => Risk::High,
        };
        let injected = |event: &Event| match event {
            Event::Injected { risk, .. } => Some(*risk),
            _ => None,
        };
        let journal = journal(&ended, run.id());
        let mut events = journal.records.iter().map(|record| &record.event);
        assert_eq!(events.find_map(injected), Some(expected), "{fault}");
        let mut events = journal.records.iter().map(|record| &record.event);
        assert!(events.any(|event| matches!(event, Event::ServiceFound { .. })));
        // It counts for no cap, and has no place in a network of ours.
        assert!(run.left().is_empty(), "{:?}", run.left());
    }
}

#[test]
fn a_container_is_named_by_its_labels_too() {
    let Some(run) = Run::new("a_container_is_named_by_its_labels_too") else {
        return;
    };
    let project = foreign::name();
    let how = How {
        labels: vec![
            ("com.docker.compose.project", project.clone()),
            ("com.docker.compose.service", "db".to_owned()),
        ],
        ..How::default()
    };
    let db = Foreign::start(&run, how);
    let before = db.looks();
    for what in [
        format!("compose {project} db"),
        format!("label com.docker.compose.project {project}"),
        format!("container {}", db.id),
    ] {
        passes(&breaks(run.id(), &what, "container::pause", Folder::default()).run());
        assert_eq!(db.looks(), before, "{what}");
    }
}

#[test]
fn a_process_is_put_back_to_what_it_was() {
    let redis = Server::start();
    let pid = redis.redis_pid();
    for what in [
        format!("process {pid}"),
        format!("pid_file {}", redis.pid_file().display()),
        format!("listening_on {}", redis.address),
    ] {
        for fault in ["process::stop", "link::down"] {
            let ended = breaks("existing", &what, fault, Folder::default()).run();
            passes(&ended);
            assert_eq!(redis.redis_pid(), pid, "{what} {fault}");
            assert!(matches!(redis.state(), 'S' | 'R'), "{what} {fault}");
            assert!(foreign::pongs(redis.address), "{what} {fault}");
        }
    }
}

#[test]
fn a_process_is_started_again_by_what_the_test_says() {
    let redis = Server::start();
    for fault in ["process::kill", "process::restart"] {
        let pid = redis.redis_pid();
        let what = format!("listening_on {}", redis.address);
        let child = breaks("existing", &what, fault, Folder::default());
        let ended = child.env("EXISTING_START", redis.command()).run();
        passes(&ended);
        assert!(foreign::pongs(redis.address), "{fault}: {}", ended.output());
        assert_ne!(redis.redis_pid(), pid, "{fault}");
    }
}

#[test]
fn of_an_address_only_the_links_are_broken() {
    let redis = Server::start();
    let what = format!("address localhost:{}", redis.address.port());
    passes(&breaks("existing", &what, "link::down", Folder::default()).run());
    let ended = breaks("existing", &what, "process::stop", Folder::default()).run();
    assert!(!ended.status.success());
    let output = ended.output();
    assert!(output.contains("is only an address"), "{output}");
}

#[chaos_test]
#[ignore = "another test runs it as a child"]
async fn it_has_a_failing_neighbour(chaos: &ChaosContext) -> chaos_test::Result {
    orders_db_of(chaos).await?;
    panic!("it fails");
}

async fn orders_db_of(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    Ok(chaos.existing("orders-db", described()).await?)
}

#[test]
fn what_was_there_is_not_kept_and_not_removed() {
    let Some(run) = Run::new("what_was_there_is_not_kept_and_not_removed") else {
        return;
    };
    let db = Foreign::start(&run, How::default());
    let before = db.looks();
    let ended = Rerun::of("existing::it_has_a_failing_neighbour")
        .env("EXISTING", format!("container {}", db.name))
        .env("CHAOS_KEEP", "failed")
        .run();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    assert!(!output.contains("kept"), "{output}");
    assert_eq!(db.looks(), before);
}
