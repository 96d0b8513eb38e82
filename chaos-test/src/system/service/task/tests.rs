//! Services as threads of ours: orders that cross each other, and what they leave.

use super::*;

struct Blank;

impl Ledger for Blank {
    fn plan(&self, _: &str, _: Undo, _: bool) -> Result<u64, Error> {
        Ok(1)
    }

    fn undone(&self, _: u64) {}

    fn record(&self, _: Event) {}
}

struct Connects;

impl ReadyCheck for Connects {
    fn describe(&self) -> String {
        "waiting for a connection".to_owned()
    }

    fn check<'a>(&'a self, service: &'a dyn Unit) -> Answer<'a, Result<(), String>> {
        let (_, address) = service.endpoints()[0];
        Box::pin(async move {
            let connected = tokio::net::TcpStream::connect(address).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
    }
}

fn task(folder: &tempfile::TempDir, ledger: &Arc<Blank>) -> ServiceTask {
    let code = Code {
        name: "echo".to_owned(),
        serve: Arc::new(|listener| {
            Box::pin(async move {
                loop {
                    let accepted = listener.accept().await;
                    accepted.map_err(|error| error.to_string())?;
                }
            })
        }),
        port: (0, ReservedPort::new(0).unwrap()),
        log: folder.path().join("echo.log"),
        ready: Arc::new(Connects),
        start_timeout: Duration::from_secs(30),
    };
    let ledger: Arc<dyn Ledger> = ledger.clone();
    ServiceTask::new(code, Arc::downgrade(&ledger))
}

fn connects(task: &ServiceTask) -> bool {
    std::net::TcpStream::connect(task.code.port.1.address()).is_ok()
}

async fn until(task: &ServiceTask, state: ProcessState) {
    while task.state() != state {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn until_free(task: &ServiceTask) {
    while !task.leftovers().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Whoever else listens there is not taken for it.
#[tokio::test]
async fn an_address_that_stays_taken_ends_it() {
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Arc::new(Blank));
    let task = task(&folder, &ledger);
    let held = std::net::TcpListener::bind(task.code.port.1.address()).unwrap();
    let error = task.start().await.unwrap_err().to_string();
    let expected = "; a thread that it started may hold its listener)";
    assert!(error.ends_with(expected), "{error}");
    drop(held);
}

/// As what a program has that this process has just started, before it runs.
#[tokio::test]
async fn an_address_that_is_free_in_a_moment_is_waited_for() {
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Arc::new(Blank));
    let task = task(&folder, &ledger);
    let held = std::net::TcpListener::bind(task.code.port.1.address()).unwrap();
    let free = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(held);
    });
    task.start().await.unwrap();
    assert!(free.is_finished() && connects(&task));
    task.end(false).await.unwrap();
}

#[tokio::test]
async fn it_can_be_had_to_run_from_every_state() {
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Arc::new(Blank));
    let task = task(&folder, &ledger);
    task.start().await.unwrap();
    for round in 0..20 {
        task.ensure_running().await.unwrap();
        assert!(task.signal(Signal::Stop).unwrap());
        until(&task, ProcessState::Stopped).await;
        task.ensure_running().await.unwrap();
        assert_eq!(task.state(), ProcessState::Running);
        task.end(round % 2 == 0).await.unwrap();
        // A program that another test starts has its listener for a moment.
        until_free(&task).await;
        assert!(!connects(&task));
        task.start_unready(true).await.unwrap();
        assert_eq!(task.state(), ProcessState::HeldAtStart);
        assert!(!connects(&task));
        task.ensure_running().await.unwrap();
        // An end that nobody has waited for.
        task.signal(Signal::Kill).unwrap();
        task.ensure_running().await.unwrap();
        assert_eq!(task.starts(), 1 + 2 * (round + 1));
    }
    task.end(false).await.unwrap();
    assert!(!task.signal(Signal::Stop).unwrap(), "nothing runs");
}

#[tokio::test]
async fn what_is_stopped_or_held_ends_at_once() {
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Arc::new(Blank));
    let task = task(&folder, &ledger);
    task.start().await.unwrap();
    task.signal(Signal::Stop).unwrap();
    until(&task, ProcessState::Stopped).await;
    task.end(true).await.unwrap();
    task.start_unready(true).await.unwrap();
    task.end(true).await.unwrap();
    assert_eq!(task.state(), ProcessState::Gone);
    assert!(last_lines(&task.code.log, 1)[0].contains("before its start"));
}

#[test]
fn a_signal_for_the_whole_process_is_refused() {
    let (folder, ledger) = (tempfile::tempdir().unwrap(), Arc::new(Blank));
    let task = task(&folder, &ledger);
    let error = task.signal(Signal::Usr1).unwrap_err().to_string();
    assert!(error.contains("SIGUSR1 would reach as a whole"), "{error}");
}
