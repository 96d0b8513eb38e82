//! Services as processes: what they leave, and when they count as started.

use super::*;
use crate::system::gate::Limits;
use crate::system::service::ReadyCheck;
use std::collections::BTreeMap;

/// A ledger that refuses or not, and keeps what it was asked to write.
#[derive(Default)]
struct Paper {
    refuses: bool,
    plans: Mutex<Vec<Undo>>,
    undone: AtomicU32,
}

impl Ledger for Paper {
    fn plan(&self, _: &str, undo: Undo, _: bool) -> Result<u64, Error> {
        lock(&self.plans).push(undo);
        if self.refuses {
            return Err(Error::msg("the disk is full"));
        }
        Ok(1)
    }

    fn undone(&self, _: u64) {
        self.undone.fetch_add(1, Ordering::SeqCst);
    }

    fn record(&self, _: Event) {}
}

impl Paper {
    fn process(&self) -> ProcessIdentity {
        match lock(&self.plans).last() {
            Some(Undo::EndProcess { process, .. }) => process.clone(),
            other => panic!("it planned {other:?}"),
        }
    }
}

struct Always;

impl ReadyCheck for Always {
    fn describe(&self) -> String {
        "always".to_owned()
    }

    fn check<'a>(&'a self, _: &'a dyn Unit) -> Answer<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

fn sleeper(folder: &tempfile::TempDir, ledger: &Arc<Paper>) -> ServiceProcess {
    let launch = Launch {
        name: "sleeper".to_owned(),
        program: "/bin/sleep".into(),
        args: vec!["64".into()],
        env: BTreeMap::new(),
        folder: None,
        log: folder.path().join("log"),
        limits: Limits::default(),
        token: folder.path().display().to_string(),
        ports: Vec::new(),
        supervised: None,
        ready: Arc::new(Always),
        start_timeout: Duration::from_secs(90),
        grace: Duration::from_secs(15),
    };
    let ledger: Arc<dyn Ledger> = Arc::<Paper>::clone(ledger);
    ServiceProcess::new(launch, Arc::downgrade(&ledger))
}

#[tokio::test]
async fn a_start_that_cannot_be_written_down_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let paper = Arc::new(Paper {
        refuses: true,
        ..Paper::default()
    });
    let service = sleeper(&folder, &paper);
    service.start().await.unwrap_err();
    // Not even a zombie.
    assert_eq!(identity::stat(paper.process().pid), None);
    assert_eq!(service.state(), ProcessState::Gone);
}

#[tokio::test]
async fn a_process_leads_its_session_as_soon_as_it_counts_as_started() {
    let folder = tempfile::tempdir().unwrap();
    let paper = Arc::new(Paper::default());
    let service = sleeper(&folder, &paper);
    for held in [true, false, true, false] {
        service.start_unready(held).await.unwrap();
        let pid = paper.process().pid;
        let stat = identity::stat(pid).unwrap();
        assert_eq!((stat.session, stat.group), (pid, pid));
        if held {
            assert_eq!(service.state(), ProcessState::HeldAtStart);
        }
        assert!(service.signal(Signal::Kill).unwrap());
        service.end(false).await.unwrap();
        assert!(service.leftovers().is_empty());
    }
    assert_eq!(paper.undone.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn the_limits_of_the_program_are_in_its_undo_steps() {
    let folder = tempfile::tempdir().unwrap();
    let paper = Arc::new(Paper::default());
    let service = sleeper(&folder, &paper);
    service.start().await.unwrap();
    let planned = lock(&paper.plans)[0].deadline();
    assert_eq!(planned, Duration::from_secs(25));
    let run = service.undo_running().deadline();
    assert_eq!(run, Duration::from_secs(120));
    service.end(false).await.unwrap();
}

#[tokio::test]
async fn a_panic_of_somebody_else_does_not_keep_a_service_from_being_ended() {
    let folder = tempfile::tempdir().unwrap();
    let paper = Arc::new(Paper::default());
    let service = Arc::new(sleeper(&folder, &paper));
    service.start().await.unwrap();
    let held = Arc::clone(&service);
    std::thread::spawn(move || held.with_running(|_| panic!("as it was held")))
        .join()
        .unwrap_err();
    assert_eq!(service.state(), ProcessState::Running);
    service.end(false).await.unwrap();
    assert_eq!(service.state(), ProcessState::Gone);
}
