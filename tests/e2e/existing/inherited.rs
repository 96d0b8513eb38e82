//! Who has the address once its process was ended: a worker that has its socket, or a stranger. Neither
//! is taken for what runs in its place.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chaos_test::prelude::*;
use chaos_test::{Event, RestartedBy, process};
use chaos_test_fixtures::rerun::{Folder, Rerun};

use super::foreign::{Server, pongs, until};
use super::{READY, breaks, described, journal};
use crate::victims::{come_in, runs};

/// The port that the parent names.
const PORT: &str = "INHERITED_PORT";
/// The folder for its number, and for its worker's.
const FOLDER: &str = "INHERITED_FOLDER";

/// Runs the server below.
pub fn serves(port: u16, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["existing::inherited::it_serves_with_a_worker"])
        .args(["--exact", "--ignored", "--test-threads=1"])
        .env(PORT, port.to_string())
        .env(FOLDER, folder);
    command
}

#[test]
#[ignore = "another test runs it as a child"]
fn it_serves_with_a_worker() {
    let port: u16 = std::env::var(PORT).unwrap().parse().unwrap();
    let folder = std::path::PathBuf::from(std::env::var(FOLDER).unwrap());
    let end = Instant::now() + Duration::from_secs(60);
    let listener = loop {
        // Its predecessor's worker may have the port still.
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => break listener,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let mut worker = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let write = |name: &str, pid: u32| std::fs::write(folder.join(name), pid.to_string()).unwrap();
    write("worker.pid", worker.id());
    write("redis.pid", std::process::id());
    for stream in listener.incoming() {
        let mut asked = [0; 6];
        let answered = stream.and_then(|mut stream| {
            stream.read_exact(&mut asked)?;
            stream.write_all(b"+PONG\r\n")
        });
        // Whoever went away needs no answer.
        drop(answered);
    }
    // It never comes to this: somebody ends both.
    let _ = worker.wait();
}

/// The number of the worker that was started last.
pub fn worker(folder: &Path) -> u32 {
    let text = std::fs::read_to_string(folder.join("worker.pid"));
    text.unwrap().parse().unwrap()
}

#[chaos_fixture]
async fn quick_db(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let described = described().grace(ms(500));
    Ok(chaos.existing("quick-db", described).await?)
}

#[chaos_test(breaks(quick_db))]
#[ignore = "another test runs it as a child"]
async fn it_restarts_what_was_there(
    chaos: &ChaosContext,
    quick_db: &Service,
) -> chaos_test::Result {
    let restart = chaos.inject(process::restart(quick_db)).await?;
    come_in(quick_db).await?;
    restart.lift().await?;
    assert!(pongs(quick_db.first_address().socket()));
    Ok(())
}

#[test]
fn a_worker_with_its_socket_is_not_what_a_supervisor_brings_back() {
    let server = Server::with_a_worker();
    let (before, heir) = (server.redis_pid(), worker(server.folder.path()));
    let test = "existing::inherited::it_restarts_what_was_there";
    let ended = Rerun::within(test, Folder::default())
        .env("EXISTING", format!("listening_on {}", server.address))
        .env("EXISTING_SUPERVISED", "60000")
        .env("CHAOS_RUN_ID", "inherited")
        .unwatched()
        .run();
    assert!(ended.status.success(), "{}", ended.output());
    assert!(ended.leftovers().is_empty(), "{}", ended.output());
    let journal = journal(&ended, "inherited");
    let mut events = journal.records.iter().map(|record| &record.event);
    let back = events.find_map(|event| match event {
        Event::Restarted { by, pid, .. } => Some((*by, *pid)),
        _ => None,
    });
    let now = server.redis_pid();
    assert_eq!(back, Some((RestartedBy::Supervisor, now)), "{heir}");
    assert_ne!(now, before);
    assert!(!runs(heir), "it keeps the port from its successor");
    assert!(pongs(server.address));
}

/// Its supervisor is slow, and somebody else takes the address meanwhile.
#[test]
fn a_stranger_on_its_address_is_told_and_left_alone() {
    let redis = Server::in_a_loop();
    redis.hold();
    let what = format!("listening_on {}", redis.address);
    let stop = redis.folder.path().join("stop");
    let mut child = breaks("stranger", &what, "process::kill", Folder::default())
        .env("EXISTING_SUPERVISED", "1000")
        .env("EXISTING_WAITS", "yes")
        .env("CHAOS_STOP_FILE", &stop)
        .start();
    child.until_printed(READY);
    until("its port is free", || !pongs(redis.address));
    let stranger = Server::stranger_at(redis.address);
    let pid = stranger.redis_pid();
    std::fs::write(&stop, "").unwrap();
    let ended = child.wait();
    let output = ended.output();
    let plain = output.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!ended.status.success(), "{output}");
    for expected in [
        format!("listens on {} is now {pid}", redis.address),
        "which is somebody else: it runs ".to_owned(),
        ", which that did not".to_owned(),
    ] {
        assert!(
            plain.contains(&expected),
            "`{expected}` is not in:\n{output}"
        );
    }
    // It has what it had, and what was broken stays written down.
    assert!(pongs(stranger.address) && stranger.redis_pid() == pid);
    assert!(runs(pid) && runs(worker(stranger.folder.path())));
    assert_eq!(ended.leftovers().len(), 1, "{output}");
    // Once it has gone, the next run finds what was meant.
    drop(stranger);
    std::fs::remove_file(redis.folder.path().join("hold")).unwrap();
    until("its loop goes on", || pongs(redis.address));
    let next = Rerun::within("subjects::it_skips_itself", ended.folder)
        .env_remove("CHAOS_REQUIRE")
        .run();
    assert!(next.leftovers().is_empty(), "{}", next.output());
}
