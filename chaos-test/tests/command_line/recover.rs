//! What killed runs left is shown without touching it, and undone; what runs is left alone.

use std::io::Write;

use serde_json::json;
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::NetworkCreateRequest;
use testcontainers::bollard::query_parameters::ListNetworksOptions;

use crate::kit::{Room, Said, journal, runs};

const KILLED: &str = "command_line$subject::it_waits_to_be_killed";

#[test]
fn what_a_killed_test_left_is_shown_and_then_undone() {
    let room = Room::without_engine();
    let test = room.start_test();
    let (pid, services) = (test.pid().to_string(), test.services());
    test.kill();
    // The program, and what it started in a session of its own.
    assert_eq!(services.len(), 2, "{services:?}");
    // Killed in the middle of a write, beside one that was killed before its first.
    let dead = room
        .files()
        .into_iter()
        .find(|path| path.starts_with(room.journals()));
    let mut file = std::fs::File::options()
        .append(true)
        .open(dead.unwrap())
        .unwrap();
    file.write_all(b"{\"seq\":99,\"at").unwrap();
    room.place_journal("9-9-00000000-9.jsonl", "{\"seq\":1", 0o600);
    let before = room.bytes();

    let shown = room.chaos(&["recover", "--dry-run"]);
    let process = format!("(process {pid})");
    shown.expect(
        1,
        &[
            "killed",
            KILLED,
            &process,
            "began 20",
            " UTC (",
            "journal /",
            "1. continue process",
            "by hand: kill -CONT -- -",
            "2. restore `",
            "by hand: copy `copies/",
            "3. end process",
            "by hand: kill -KILL -- -",
            "4. remove scratch folder",
            "9-9-00000000-9.jsonl, which nothing needs any more",
            "left in ",
            "1 killed or unrestored test, 4 steps to undo, 1 file that nothing needs",
        ],
    );
    assert_eq!(room.bytes(), before);
    assert!(services.iter().all(|pid| runs(*pid)), "{services:?}");
    assert_eq!(
        std::fs::read_to_string(room.broken_file()).unwrap(),
        "broken"
    );

    room.chaos(&["recover"]).expect(
        0,
        &[
            KILLED,
            "undone   continue process",
            "undone   restore",
            "undone   end process",
            "undone   remove scratch folder",
            "nothing is left in",
        ],
    );
    assert!(services.iter().all(|pid| !runs(*pid)), "{services:?}");
    assert_eq!(
        std::fs::read_to_string(room.broken_file()).unwrap(),
        "sound"
    );
    assert_eq!(room.files(), Vec::<std::path::PathBuf>::new());
    room.chaos(&["recover", "-n"])
        .expect(0, &["nothing is left in"]);
}

#[test]
fn a_test_that_runs_is_named_and_never_touched() {
    let room = Room::without_engine();
    let test = room.start_test();
    let services = test.services();
    let before = room.bytes();
    let named = format!("{KILLED} (process {}): it is left alone", test.pid());
    for arguments in [&["recover", "--dry-run"][..], &["recover"]] {
        let said = room.chaos(arguments);
        said.expect(
            0,
            &[
                "runs",
                &named,
                "unknown no container engine",
                "nothing is left",
            ],
        );
        assert_eq!(room.bytes(), before);
        assert!(services.iter().all(|pid| runs(*pid)), "{services:?}");
    }
    assert_eq!(
        std::fs::read_to_string(room.broken_file()).unwrap(),
        "broken"
    );
    // It could have been touched.
    test.kill();
    room.chaos(&["recover"]).expect(0, &["undone   restore"]);
}

#[test]
fn nothing_is_made_where_nothing_was() {
    let room = Room::without_engine();
    for arguments in [&["recover", "--dry-run"][..], &["recover"], &["doctor"]] {
        assert_eq!(room.chaos(arguments).code, Some(0));
        assert!(!room.state().exists(), "{arguments:?}");
    }
}

/// A journal that runs a program which leaves a mark, placed with a mode; what both forms say.
fn with_a_mark(mode: u32) -> (Room, [Said; 2], bool) {
    let room = Room::without_engine();
    let mark = room.path().join("mark");
    let touch = json!({ "verb": "command", "argv": ["touch", mark] });
    room.place_journal("1-1-00000000-1.jsonl", &journal(&touch), mode);
    let said = [&["recover", "--dry-run"][..], &["recover"]].map(|one| room.chaos(one));
    (room, said, mark.exists())
}

#[test]
fn a_journal_that_may_be_forged_is_refused_and_named() {
    let (room, said, ran) = with_a_mark(0o666);
    assert!(!ran);
    for said in said {
        said.expect(
            1,
            &[
                "refused",
                "1-1-00000000-1.jsonl: others may write to it (mode 666)",
                "left in",
                "1 journal that is refused",
            ],
        );
    }
    assert_eq!(room.files().len(), 1);
    // Without this the above could not fail.
    let (room, said, ran) = with_a_mark(0o600);
    assert!(ran);
    said[0].expect(1, &["1. run `touch", "by hand: touch"]);
    said[1].expect(0, &["undone   run `touch", "nothing is left"]);
    assert_eq!(room.files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_somebody_else_puts_back_at_this_moment_is_left() {
    let room = Room::without_engine();
    let nothing = journal(&json!({ "verb": "nothing" }));
    let path = room.place_journal("1-1-00000000-1.jsonl", &nothing, 0o600);
    let busy = std::fs::File::open(path).unwrap();
    busy.lock().unwrap();
    for arguments in [&["recover", "--dry-run"][..], &["recover"]] {
        let now = "its watchdog or another run puts it back now";
        room.chaos(arguments)
            .expect(1, &[now, "left in", "1 killed or unrestored test"]);
    }
    drop(busy);
    room.chaos(&["recover"]).expect(0, &["nothing is left"]);
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::without_engine();
    room.place_journal("1-1-00000000-1.jsonl", "", 0o600);
    std::fs::set_permissions(room.state(), std::fs::Permissions::from_mode(0o777)).unwrap();
    for arguments in [&["recover", "--dry-run"][..], &["recover"], &["doctor"]] {
        let said = room.chaos(arguments);
        assert_eq!(said.code, Some(1), "{said:#?}");
        let said = said.out + &said.err;
        assert!(said.contains("others may write to it (mode 777)"), "{said}");
    }
    assert_eq!(room.files().len(), 1);
}

#[test]
fn a_step_that_fails_is_left_with_what_a_person_can_do() {
    let room = Room::without_engine();
    let fails = json!({ "verb": "command", "argv": ["sh", "-c", "echo too early >&2; exit 3"] });
    room.place_journal("1-1-00000000-1.jsonl", &journal(&fails), 0o600);
    room.chaos(&["recover"]).expect(
        1,
        &[
            "killed  shop::chaos$dies (process 1)",
            "FAILED   run `sh",
            "exit status: 3: too early",
            "by hand: sh -c",
            "left in",
            "1 killed or unrestored test, 1 step to undo",
        ],
    );
    assert_eq!(room.files().len(), 1);
    room.chaos(&["doctor"])
        .expect(0, &["!  journals", "a test was killed", "recover"]);
}

/// Where the machine's container engine is; without one the test is skipped, visibly.
fn engine(room: &Room, test: &str) -> Option<String> {
    // A room's command knows of no engine but the one in the usual place.
    let machine = room.chaos(&["doctor", "--require", "docker", "--json"]);
    if machine.code != Some(0) {
        let required = std::env::var("CHAOS_REQUIRE").unwrap_or_default();
        let demanded = required
            .split(',')
            .any(|word| matches!(word.trim(), "all" | "docker"));
        assert!(
            !demanded,
            "CHAOS_REQUIRE demands an engine: {}",
            machine.out
        );
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: no container engine answers"
        );
        return None;
    }
    let machine: serde_json::Value = serde_json::from_str(&machine.out).unwrap();
    let findings = machine["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|finding| finding["name"] == "docker")
        .unwrap();
    let found = found["found"].as_str().unwrap();
    let engine = found
        .split([' ', ','])
        .find(|word| word.contains("://"))
        .unwrap();
    Some(engine.to_owned())
}

#[test]
fn what_an_engine_may_still_make_is_left() {
    let room = Room::new();
    let Some(engine) = engine(&room, "what_an_engine_may_still_make_is_left") else {
        return;
    };
    let name = format!("chaos-never-made-{}", std::process::id());
    let undo = json!({
        "verb": "remove_container", "service": "cache", "engine": engine, "container": name,
        "token": "t",
    });
    room.place_journal("1-1-00000000-1.jsonl", &journal(&undo), 0o600);
    let not_yet = format!("not yet  remove container {name} of `cache`");
    room.chaos(&["recover"])
        .expect(1, &[&not_yet, "1 step to undo"]);
    assert_eq!(room.files().len(), 1);
}

#[tokio::test]
async fn what_is_past_its_time_on_the_engine_is_shown_and_then_removed() {
    let room = Room::new();
    let Some(engine) = engine(
        &room,
        "what_is_past_its_time_on_the_engine_is_shown_and_then_removed",
    ) else {
        return;
    };
    let docker = Docker::connect_with_local_defaults().unwrap();
    let (late, early) = ["late", "early"]
        .map(|name| format!("chaos-cli-{name}-{}", std::process::id()))
        .into();
    for (name, expires) in [(&late, "1"), (&early, "99999999999")] {
        let labels = [("chaos-test.token", "t"), ("chaos-test.expires", expires)];
        let request = NetworkCreateRequest {
            name: name.clone(),
            labels: Some(
                labels
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..NetworkCreateRequest::default()
        };
        docker.create_network(request).await.unwrap();
    }
    let names = async || {
        let listed = docker.list_networks(None::<ListNetworksOptions>).await;
        let names = listed.unwrap().into_iter().filter_map(|it| it.name);
        names.collect::<Vec<_>>()
    };
    let shown = room.chaos(&["recover", "--dry-run"]);
    let expected = format!("remove  network {late}, past its time to live");
    let there = names().await;
    // The sweep of another run on this engine may come first.
    if there.contains(&late) {
        shown.expect(1, &[&expected, "past "]);
    }
    let done = room.chaos(&["recover"]);
    let there = names().await;
    docker.remove_network(&early).await.unwrap();
    assert!(!there.contains(&late), "{done:#?}");
    assert!(there.contains(&early), "{done:#?}");
    assert!(!shown.out.contains(&early) && !done.out.contains(&early));
    done.expect(
        0,
        &[&format!(
            "nothing is left in {}, or on {engine}",
            room.state().display()
        )],
    );
}
