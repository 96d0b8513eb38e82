//! Programs as services: limits, output, folders, several ports, what they leave.

use chaos_test::prelude::*;
use chaos_test::{Effect, Error, ReadOnlySystem, System, Target, Undo, log_line, process};

use crate::victims::{inventory, inventory_program, runs, watch};

/// A context in which something is broken, so that it may pass.
async fn break_something(chaos: &ChaosContext, inventory: &Service) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    chaos
        .during(process::kill(inventory), async |_| {
            requests.over(ms(20)).await
        })
        .await?;
    Ok(())
}

/// Limits, the folder, the environment and the scratch folder reach the program; its
/// output is captured.
#[chaos_test(breaks(inventory))]
async fn a_program_gets_what_it_was_given(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let script = "echo files $(ulimit -n); echo in $PWD; echo \"said $SAID\"; echo home ${HOME-none}; \
                  touch \"$1/made\"; echo scratch $1; echo ready; exec sleep 600";
    let program = Program::new("sh")
        .args(["-c", script, "sh", "{dir}"])
        .env("SAID", "hello {port:7000}")
        .env_remove("HOME")
        .current_dir("/usr")
        .limit_open_files(77)
        .listens(7000)
        .ready(log_line("ready"));
    let service = chaos.process("script", program).await?;
    let lines = service.last_lines(20)?;
    let has = |text: &str| lines.iter().any(|line| line == text);
    assert!(
        has("files 77") && has("in /usr") && has("home none"),
        "{lines:?}"
    );
    let scratch = lines.iter().find_map(|line| line.strip_prefix("scratch "));
    let scratch = std::path::PathBuf::from(scratch.expect("it says where"));
    assert!(scratch.join("made").exists());
    let port = lines
        .iter()
        .find_map(|line| line.strip_prefix("said hello "));
    assert_ne!(
        port.expect("it says which").parse::<u16>()?,
        service.address(7000).port()
    );
    chaos.at_rollback("nothing yet", async || Ok::<_, TestError>(()))?;
    break_something(chaos, inventory).await
}

/// A program that ignores SIGTERM and has children is ended all the same.
#[chaos_test(breaks(stubborn))]
async fn a_stubborn_program_is_restarted(
    chaos: &ChaosContext,
    stubborn: &Service,
) -> chaos_test::Result {
    let pid = || {
        let lines = stubborn.last_lines(20).unwrap();
        let last = lines
            .iter()
            .rev()
            .find_map(|line| line.strip_prefix("child "));
        last.and_then(|pid| pid.parse::<u32>().ok())
    };
    let before = pid().expect("it says its child's number");
    assert!(runs(before));
    let lines = std::sync::Arc::new(stubborn.clone());
    let alive = move || {
        let lines = lines.last_lines(1).unwrap();
        async move {
            if lines.is_empty() {
                Err("silent")
            } else {
                Ok(())
            }
        }
    };
    let watched = chaos.monitor(alive.every(ms(5)).named("log"));
    watched.baseline(ms(20)).await?;
    chaos
        .inject(process::restart(stubborn))
        .await?
        .lift()
        .await?;
    assert!(!runs(before), "a child outlived its service");
    assert_ne!(pid(), Some(before));
    Ok(())
}

#[chaos_fixture]
async fn stubborn(chaos: &ChaosContext) -> chaos_test::Result<Service> {
    let script =
        "trap '' TERM; setsid sleep 600 & echo child $!; echo ready; while :; do sleep 1; done";
    let program = Program::new("sh")
        .args(["-c", script])
        .without_port()
        .grace(ms(50))
        .ready(log_line("ready"));
    Ok(chaos.process("stubborn", program).await?)
}

/// A stop that counts as met: one that is cancelled may be over before anybody asks.
#[derive(Debug)]
struct Met(process::Stop);

impl Fault for Met {
    fn targets(&self) -> Vec<Target> {
        self.0.targets()
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        self.0.prepare(system).await
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        self.0.apply(system).await
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        self.0.verify(system).await
    }

    fn hits(&self, _: &ReadOnlySystem) -> Option<u64> {
        Some(1)
    }
}

/// A call that is cancelled half-way leaves nothing behind that the context does not know.
#[chaos_test]
async fn a_cancelled_call_is_put_back(
    chaos: &ChaosContext,
    inventory: &Service,
) -> chaos_test::Result {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(100)).await?;
    for micros in [0, 50, 200, 1000, 5000] {
        let limit = std::time::Duration::from_micros(micros);
        let _ = tokio::time::timeout(limit, chaos.inject(Met(process::stop(inventory)))).await;
        let late = format!("late-{micros}");
        let _ = tokio::time::timeout(limit, chaos.process(late, inventory_program())).await;
    }
    // Each of them is either lifted by its dropped guard or still on its way to that.
    let now = chaos.now();
    requests
        .recovers_to(&normal)
        .since(now)
        .within(secs(10))
        .await?;
    break_something(chaos, inventory).await
}
