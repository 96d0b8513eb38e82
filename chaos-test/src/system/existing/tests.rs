//! Real processes that were there before, held against the room as a whole: what a fault on one
//! may hit, and that looking at many holds nobody else off.

use std::net::TcpListener;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use super::protected::{name_of, why_protected, why_tree_protected};
use super::{ExistingProcess, Known, find, kill_each, listeners, ports_of, with_descendants};
use crate::model::existing::FoundBy;
use crate::model::identity::ProcessIdentity;
use crate::probe::{AllPorts, Ready};
use crate::system::identity;
use crate::system::process::{ProcessState, Signal, TOKEN};
use crate::system::service::{Ending, ProcessUnit, Unit};

const LIMIT: Duration = Duration::from_secs(60);

/// A process that somebody else started, with all that it starts.
struct Family {
    child: Child,
    root: ProcessIdentity,
}

impl Family {
    fn start(command: &mut Command) -> Self {
        let child = command.spawn().unwrap();
        let root = identity::of(child.id()).unwrap();
        Self { child, root }
    }

    fn script(script: &str) -> Self {
        Self::start(Command::new("sh").args(["-c", script]))
    }

    fn tree(&self) -> Vec<ProcessIdentity> {
        with_descendants(&self.root)
    }

    fn unit(&self) -> ExistingProcess {
        let known = Known {
            service: "orders-db".to_owned(),
            found_by: FoundBy::Number(self.root.pid),
            argv: vec!["/bin/true".to_owned()],
            ports: Vec::new(),
            log: "/dev/null".into(),
            writes_log: false,
            ready: Ready::new(AllPorts).0,
            start_timeout: LIMIT,
            grace: LIMIT,
            supervision: None,
            kept: false,
        };
        ExistingProcess::new(known, self.root.clone())
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let _ = kill_each(&self.root);
        let _ = self.child.wait();
    }
}

#[track_caller]
fn until(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < end, "it never came to this: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Does something again and again on the only worker of a runtime, until a timer of that runtime
/// has ticked while it was being done.
#[track_caller]
fn a_timer_ticks_during(what: &str, work: impl Fn() + Send + 'static) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (inside, ticked) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let (is_inside, has_ticked) = (Arc::clone(&inside), Arc::clone(&ticked));
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            has_ticked.fetch_or(is_inside.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    });
    let repeated = runtime.spawn(async move {
        let end = Instant::now() + LIMIT;
        while !ticked.load(Ordering::SeqCst) && Instant::now() < end {
            // Nothing else of this thread can run in between.
            inside.store(true, Ordering::SeqCst);
            work();
            inside.store(false, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
        ticked.load(Ordering::SeqCst)
    });
    assert!(runtime.block_on(repeated).unwrap(), "{what} held it off");
}

#[test]
fn looking_at_many_processes_holds_no_timer_off() {
    let many = "i=0; while [ $i -lt 300 ]; do sleep 67 & i=$((i+1)); done; wait";
    let family = Arc::new(Family::script(many));
    until("all are there", || family.tree().len() == 301);
    let root = family.root.clone();
    a_timer_ticks_during("finding them", move || {
        assert_eq!(with_descendants(&root).len(), 301);
    });
    type Work = fn(&ExistingProcess);
    let works: [(&str, Work); 7] = [
        ("stopping and continuing", |unit| {
            assert!(unit.signal(Signal::Stop).unwrap());
            assert_eq!(unit.state(), ProcessState::Stopped);
            assert!(unit.signal(Signal::Continue).unwrap());
            assert_eq!(unit.state(), ProcessState::Running);
        }),
        ("whether all are stopped", |unit| {
            assert!(!unit.is_wholly_stopped());
        }),
        ("whether they may be broken", |unit| {
            unit.may_be_broken().unwrap();
        }),
        ("whether they may be a service", |unit| {
            ExistingProcess::check("orders-db", &unit.identity().unwrap()).unwrap();
        }),
        ("the undo of a stop", |unit| {
            let _ = unit.undo_stopping();
        }),
        ("the undo of an end", |unit| {
            unit.undo_ending(Ending::Killed, Duration::ZERO).unwrap();
        }),
        ("the undo of anything", |unit| {
            let _ = unit.undo_running();
        }),
    ];
    for (what, work) in works {
        let unit = family.unit();
        a_timer_ticks_during(what, move || work(&unit));
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let own = std::process::id();
    a_timer_ticks_during("who listens", move || {
        assert!(listeners(address).unwrap().contains(&own));
    });
    a_timer_ticks_during("who is found by where it listens", move || {
        let found = find(&FoundBy::Address(address));
        assert_eq!(found.unwrap().unwrap().pid, own);
    });
    let pids: Vec<u32> = family.tree().iter().map(|one| one.pid).collect();
    a_timer_ticks_during("where they listen", move || {
        assert_eq!(ports_of(&pids), []);
    });
    drop(listener);
}

/// On a thread that has the rights of this user only.
fn as_user<T: Send>(user: u32, work: impl FnOnce() -> T + Send) -> T {
    let switched = || {
        let user = rustix::process::Uid::from_raw(user);
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        work()
    };
    std::thread::scope(|scope| scope.spawn(switched).join().unwrap())
}

#[test]
fn what_has_started_something_of_somebody_else_is_left_alone() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can start processes of two users");
        return;
    }
    // The first one is nobody's, and still has the right to start one of a third user.
    let mixed = Family::start(Command::new("setpriv").args([
        "--ruid=65534",
        "timeout",
        "60",
        "setpriv",
        "--reuid=65533",
        "--clear-groups",
        "sleep",
        "67",
    ]));
    let is_mixed = || {
        let tree = mixed.tree();
        tree.len() == 2
            && identity::user_of(tree[1].pid) == Some(65533)
            && name_of(tree[1].pid).as_deref() == Some("sleep")
    };
    until("it has started it", is_mixed);
    let tree = mixed.tree();
    assert_eq!(why_tree_protected(&tree), None, "root may");
    ExistingProcess::check("orders-db", &mixed.root).unwrap();
    let unit = mixed.unit();
    unit.may_be_broken().unwrap();
    let cannot = "it cannot be sent signals (";
    as_user(65534, || {
        let why = why_tree_protected(&tree).unwrap();
        let hit = format!("a fault on it hits process {} (`sleep`), too", tree[1].pid);
        assert!(why.starts_with(&hit) && why.contains(cannot), "{why}");
        for refused in [
            ExistingProcess::check("orders-db", &mixed.root),
            unit.may_be_broken(),
        ] {
            let refused = refused.unwrap_err();
            assert!(refused.is_refused(), "{refused}");
            assert!(refused.to_string().contains(&hit), "{refused}");
        }
        let why = why_tree_protected(&tree[1..]).unwrap();
        assert!(why.starts_with(cannot), "{why}");
    });
    let alone = Family::start(Command::new("setpriv").args([
        "--reuid=65534",
        "--clear-groups",
        "sleep",
        "67",
    ]));
    let is_nobodys = || identity::user_of(alone.root.pid) == Some(65534);
    until("it is nobody's", is_nobodys);
    as_user(65534, || {
        assert_eq!(why_tree_protected(&alone.tree()), None)
    });
}

/// A shell that has started another one, which gives itself a name.
fn with_a_part_named(name: &str) -> (Family, ProcessIdentity) {
    let part = format!("printf %s {name} > /proc/$$/comm; while :; do sleep 1; done");
    let family = Family::script(&format!("sh -c '{part}' & wait"));
    let kept = &name[..name.len().min(15)];
    let part = || {
        let mut tree = family.tree().into_iter();
        tree.find(|one| name_of(one.pid).as_deref() == Some(kept))
    };
    until(name, || part().is_some());
    let part = part().unwrap();
    (family, part)
}

#[test]
fn whatever_has_started_a_part_of_an_engine_is_left_alone() {
    let engine = "a part of the container engine";
    for (name, because) in [
        ("rootlesskit", engine),
        ("rootlesskit-docker-proxy", engine),
        ("rootlessport", engine),
        ("rootlessport-child", engine),
        ("slirp4netns", engine),
        ("vpnkit", engine),
        ("pasta.avx2", engine),
        ("fuse-overlayfs", engine),
        ("buildkit-runc", engine),
        ("conmon", engine),
        ("containerd-shim-runc-v2", engine),
        ("containerd-stargz-grpc", engine),
        ("docker-proxy", "which the engine has for a port"),
        ("chaos-watchdog", "the watchdog of a chaos test"),
    ] {
        let (family, part) = with_a_part_named(name);
        let refused = ExistingProcess::check("orders-db", &family.root).unwrap_err();
        assert!(refused.is_refused(), "{refused}");
        let text = refused.to_string();
        let hit = format!("a fault on it hits process {} (`", part.pid);
        assert!(text.contains(&hit) && text.contains(because), "{text}");
        // Or it starts it only later.
        let refused = family.unit().may_be_broken().unwrap_err();
        assert!(refused.is_refused(), "{refused}");
        assert!(refused.to_string().contains(because), "{refused}");
        let why = why_protected(&part).unwrap();
        assert!(why.contains(because), "{why}");
    }
    for name in ["rootless", "pasta", "buildkit", "dockerd-exporter"] {
        let (family, part) = with_a_part_named(name);
        let of_engines = name == "pasta";
        assert_eq!(why_protected(&part).is_some(), of_engines, "{name}");
        let checked = ExistingProcess::check("orders-db", &family.root);
        assert_eq!(checked.is_err(), of_engines, "{name}");
    }
}

#[test]
fn what_a_service_of_another_test_has_started_is_that_tests() {
    let service = Family::start(
        Command::new("sh")
            .args(["-c", "sleep 67 & wait"])
            .env(TOKEN, "cache"),
    );
    until("it has started one", || service.tree().len() == 2);
    let its = "a chaos test has started it";
    for one in service.tree() {
        until("its environment is there", || why_protected(&one).is_some());
        assert!(why_protected(&one).unwrap().contains(its));
    }
    // It may have been started by what a test names, too.
    let above = Family::script(&format!("{TOKEN}=cache sleep 67 & wait"));
    let is_refused = || why_tree_protected(&above.tree()).is_some();
    until("it is protected", is_refused);
    let why = why_tree_protected(&above.tree()).unwrap();
    assert!(why.contains("(`sleep`), too") && why.contains(its), "{why}");
}
