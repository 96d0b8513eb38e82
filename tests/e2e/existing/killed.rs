//! A test that is killed while what was there before is broken: its watchdog or the next run has
//! it as it was, and hits nobody in its place.

use chaos_test_fixtures::rerun::{Ended, Folder, Rerun, Started};

use super::foreign::{Foreign, How, Server, pongs, until};
use super::{READY, breaks};
use crate::containers_bad_input::forwarder::Forwarder;
use crate::engine::Run;

fn in_force(child: Rerun) -> Started {
    let mut child = child.env("EXISTING_WAITS", "yes").start();
    child.until_printed(READY);
    child
}

/// The next run.
fn sweep(folder: Folder) -> Rerun {
    Rerun::within("subjects::it_skips_itself", folder).env_remove("CHAOS_REQUIRE")
}

#[track_caller]
fn is_over(ended: &Ended) {
    assert!(ended.status.success(), "{}", ended.output());
    assert!(ended.leftovers().is_empty(), "{}", ended.output());
}

#[test]
fn the_next_run_puts_a_container_back() {
    let Some(run) = Run::new("the_next_run_puts_a_container_back") else {
        return;
    };
    let how = How {
        network: true,
        restarts: true,
        ..How::default()
    };
    let db = Foreign::start(&run, how);
    let before = db.looks();
    let what = format!("container {}", db.name);
    for (fault, state) in [
        ("container::pause", "paused"),
        ("container::stop", "exited"),
        ("container::kill", "exited"),
        ("container::disconnect", "running"),
    ] {
        let child = in_force(breaks(run.id(), &what, fault, Folder::default()));
        assert_eq!(db.state(), state, "{fault}");
        assert_eq!(db.is_connected(), fault != "container::disconnect");
        let folder = child.kill().folder;
        assert_eq!(db.state(), state, "{fault}: it has no watchdog");
        is_over(&sweep(folder).run());
        assert_eq!(db.looks(), before, "{fault}");
        until("it answers", || db.answers());
    }
}

#[test]
fn a_watchdog_puts_it_back_at_once() {
    let Some(run) = Run::new("a_watchdog_puts_it_back_at_once") else {
        return;
    };
    // While it is dead nobody else gets its address there.
    let how = How {
        network: true,
        ..How::default()
    };
    let db = Foreign::start(&run, how);
    let before = db.looks();
    let what = format!("container {}", db.name);
    for fault in ["container::pause", "container::kill"] {
        let child = breaks(run.id(), &what, fault, Folder::default());
        let child = in_force(child.env_remove("CHAOS_WATCHDOG"));
        let ended = child.kill();
        assert_eq!(db.looks(), before, "{fault}: {}", ended.output());
    }
    let redis = Server::start();
    let what = format!("process {}", redis.pid());
    let child = breaks("existing", &what, "process::stop", Folder::default());
    let child = in_force(child.env_remove("CHAOS_WATCHDOG"));
    assert_eq!(redis.state(), 'T');
    drop(child.kill());
    assert!(pongs(redis.address));
}

#[test]
fn the_next_run_puts_a_process_back() {
    let redis = Server::start();
    let what = format!("listening_on {}", redis.address);
    let child = breaks("existing", &what, "process::stop", Folder::default());
    let child = in_force(child);
    assert_eq!(redis.state(), 'T');
    let folder = child.kill().folder;
    assert_eq!(redis.state(), 'T', "it has no watchdog");
    is_over(&sweep(folder).run());
    assert!(pongs(redis.address));

    let before = redis.redis_pid();
    let child = breaks("existing", &what, "process::kill", Folder::default());
    let child = in_force(child.env("EXISTING_START", redis.command()));
    assert!(!pongs(redis.address));
    let folder = child.kill().folder;
    is_over(&sweep(folder).run());
    assert!(pongs(redis.address));
    assert_ne!(redis.redis_pid(), before);
}

/// Somebody has removed the container meanwhile, and made another one of its name.
#[test]
fn a_namesake_is_left_alone_and_what_is_gone_is_told_once() {
    let Some(run) = Run::new("a_namesake_is_left_alone_and_what_is_gone_is_told_once") else {
        return;
    };
    let db = Foreign::start(&run, How::default());
    let what = format!("container {}", db.name);
    let child = breaks(run.id(), &what, "container::pause", Folder::default());
    let folder = in_force(child).kill().folder;
    let name = db.name.clone();
    drop(db);
    let how = How {
        name: Some(name),
        ..How::default()
    };
    let namesake = Foreign::start(&run, how);
    namesake.pause();
    let ended = sweep(folder).run();
    is_over(&ended);
    let output = ended.output();
    assert!(output.contains("what was not ours is gone"), "{output}");
    assert_eq!(namesake.state(), "paused", "{output}");
    let again = sweep(ended.folder).run();
    assert!(!again.output().contains("gone"), "{}", again.output());
}

/// The test itself sees that somebody else has ended what it had stopped.
#[test]
fn what_is_gone_is_not_restored() {
    let mut redis = Server::start();
    let what = format!("process {}", redis.pid());
    let child = breaks("existing", &what, "process::stop", Folder::default());
    let child = child.env("EXISTING_WAITS", "yes").env("CHAOS_STOP_FILE", {
        let file = redis.folder.path().join("stop");
        file.into_os_string()
    });
    let stop = redis.folder.path().join("stop");
    let mut child = child.start();
    child.until_printed(READY);
    redis.kill();
    std::fs::write(stop, "").unwrap();
    let ended = child.wait();
    let output = ended.output();
    assert!(!ended.status.success(), "{output}");
    assert!(output.contains("somebody else ended it"), "{output}");
}

#[test]
fn an_engine_that_is_away_is_asked_again() {
    let Some(run) = Run::new("an_engine_that_is_away_is_asked_again") else {
        return;
    };
    let db = Foreign::start(&run, How::default());
    let forwarder = Forwarder::start();
    let behind = |mut child: Rerun| {
        for (name, value) in forwarder.environment() {
            child = child.env(name, value);
        }
        child
    };
    let what = format!("container {}", db.name);
    let child = breaks(run.id(), &what, "container::pause", Folder::default());
    let folder = in_force(behind(child)).kill().folder;
    forwarder.obey("silent");
    let ended = behind(sweep(folder)).run();
    let output = ended.output();
    assert!(output.contains("1 failed"), "{output}");
    assert!(output.contains(&format!("start {}", db.id)), "{output}");
    assert_eq!(ended.leftovers().len(), 1, "{output}");
    assert_eq!(db.state(), "paused");
    forwarder.obey("open");
    is_over(&behind(sweep(ended.folder)).run());
    assert_eq!(db.state(), "running");
    assert!(db.answers());
}

/// The second test begins when the first one is over, and finds what that has left put back.
#[test]
fn two_tests_take_turns_and_a_killed_one_is_put_back_first() {
    let Some(run) = Run::new("two_tests_take_turns_and_a_killed_one_is_put_back_first") else {
        return;
    };
    let db = Foreign::start(&run, How::default());
    let redis = Server::start();
    for (what, fault) in [
        (format!("container {}", db.name), "container::pause"),
        (format!("listening_on {}", redis.address), "process::stop"),
    ] {
        let first = in_force(breaks(run.id(), &what, fault, Folder::default()));
        let second = breaks(run.id(), &what, fault, Folder::default())
            .env("CHAOS_STATE_DIR", first.folder().state());
        let mut second = second.start();
        second.until_printed("waits for the lease `existing ");
        let folder = first.kill().folder;
        let ended = second.wait();
        assert!(ended.status.success(), "{what}: {}", ended.output());
        let left = ["journals", "scratch", "copies"];
        let left = left.map(|name| Folder::files(&folder.state().join(name)));
        assert!(left.concat().is_empty(), "{left:?}");
        assert!(pongs(redis.address));
        assert_eq!(db.state(), "running", "{what}");
    }
    assert!(db.answers());
}
