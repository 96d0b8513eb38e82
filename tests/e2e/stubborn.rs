//! Services that make it hard: slow to end, with servers that got away, or with much to
//! say.

use chaos_test::prelude::*;
use chaos_test::{
    Effect, Error, ProcessState, ReadOnlySystem, System, Target, Undo, log_line, process,
};

use crate::victims::runs;

fn script(script: &str) -> Program {
    Program::new("sh")
        .args(["-c", script])
        .without_port()
        .ready(log_line("ready"))
}

/// Something that meets every fault, for services without a port.
fn watch_log(chaos: &ChaosContext, service: &Service) -> Monitor {
    let service = service.clone();
    let alive = move || {
        let lines = service.last_lines(1).unwrap();
        async move {
            if lines.is_empty() {
                Err("silent")
            } else {
                Ok(())
            }
        }
    };
    chaos.monitor(alive.every(ms(5)).named("log"))
}

/// The number that the service printed last as `child <number>`.
fn child_of(service: &Service) -> u32 {
    let lines = service.last_lines(50).unwrap();
    let mut numbers = lines
        .iter()
        .rev()
        .filter_map(|line| line.strip_prefix("child ")?.parse().ok());
    numbers.next().expect("it says its child's number")
}

/// A program has its grace period when it is asked to end by a fault, too.
#[chaos_test]
async fn a_slow_end_is_waited_for(chaos: &ChaosContext) -> chaos_test::Result {
    let slow = script("trap 'sleep 5.5; exit' TERM; echo ready; while :; do sleep 0.1; done");
    let service = chaos.process("slow", slow.grace(secs(20))).await?;
    chaos.may_break(&service);
    let log = watch_log(chaos, &service);
    let outage = chaos
        .inject(process::kill(&service).with(Signal::Term))
        .await?;
    log.over(ms(30)).await?;
    outage.lift().await?;
    Ok(())
}

const WRAPPER: &str = "setsid sh -c 'echo child $$; echo ready; exec sleep 600' & wait";

/// A killed wrapper takes the server with it that left its session.
#[chaos_test]
async fn a_kill_takes_what_left_the_session(chaos: &ChaosContext) -> chaos_test::Result {
    let service = chaos.process("wrapper", script(WRAPPER)).await?;
    chaos.may_break(&service);
    let log = watch_log(chaos, &service);
    let server = child_of(&service);
    assert!(runs(server));
    let outage = chaos.inject(process::kill(&service)).await?;
    assert!(!runs(server), "the server outlived the kill");
    log.over(ms(30)).await?;
    outage.lift().await?;
    assert_ne!(child_of(&service), server);
    Ok(())
}

/// A signal that goes to the wrapper only is not taken for an outage of the server.
#[chaos_test]
async fn a_server_that_survives_is_named(chaos: &ChaosContext) -> chaos_test::Result {
    let service = chaos.process("wrapper", script(WRAPPER)).await?;
    chaos.may_break(&service);
    let log = watch_log(chaos, &service);
    let server = child_of(&service);
    let fault = process::kill(&service).with(Signal::Term);
    let error = chaos.inject(fault).await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("process {server} of it still runs")),
        "{error}"
    );
    let outage = chaos.inject(process::kill(&service)).await?;
    log.over(ms(30)).await?;
    outage.lift().await?;
    Ok(())
}

/// The ready line counts however much is printed behind it at once.
#[chaos_test]
async fn a_chatty_program_becomes_ready(chaos: &ChaosContext) -> chaos_test::Result {
    let chatty = script("sleep 0.1; echo ready; seq 1 10000; exec sleep 600");
    let service = chaos
        .process("chatty", chatty.start_timeout(secs(10)))
        .await?;
    chaos.may_break(&service);
    let log = watch_log(chaos, &service);
    let restart = chaos.inject(process::restart(&service)).await?;
    log.over(ms(30)).await?;
    restart.lift().await?;
    Ok(())
}

/// The ready line of the process before does not count, even where that ended in the
/// middle of a line.
#[chaos_test]
async fn an_earlier_ready_line_does_not_count(chaos: &ChaosContext) -> chaos_test::Result {
    let partial = script("sleep 0.5; echo ready; printf partial; exec sleep 600");
    let service = chaos.process("partial", partial).await?;
    chaos.may_break(&service);
    let log = watch_log(chaos, &service);
    while service.last_lines(1)? != ["partial"] {
        tokio::time::sleep(ms(5)).await;
    }
    let outage = chaos.inject(process::kill(&service)).await?;
    log.over(ms(30)).await?;
    let lift = std::time::Instant::now();
    outage.lift().await?;
    assert!(lift.elapsed() >= ms(450), "{:?}", lift.elapsed());
    Ok(())
}

/// Kills the process of a service while it is held at its start.
#[derive(Debug)]
struct KillAtStart(Service);

impl Fault for KillAtStart {
    fn targets(&self) -> Vec<Target> {
        Breakable::targets(&self.0)
    }

    async fn prepare(&self, system: &ReadOnlySystem) -> Result<Undo, Error> {
        system.undo_running(self.0.name())
    }

    async fn apply(&self, system: &System) -> Result<(), Error> {
        let service = self.0.name();
        system.end_process(service, false).await?;
        system.start_process(service, true).await?;
        system.signal(service, Signal::Kill).await?;
        match system.process_exits(service, secs(5)).await? {
            true => Ok(()),
            false => Err(Error::msg("it outlived SIGKILL")),
        }
    }

    async fn verify(&self, system: &ReadOnlySystem) -> Result<Effect, Error> {
        Ok(match system.process_state(self.0.name())? {
            ProcessState::Gone => Effect::Active,
            state => Effect::Absent(format!("its process is {state}")),
        })
    }
}

/// A process that is held at its start can be killed at once.
#[chaos_test]
async fn a_start_can_be_killed_at_once(chaos: &ChaosContext) -> chaos_test::Result {
    let service = chaos
        .process("held", script("echo ready; exec sleep 600"))
        .await?;
    chaos.may_break(&service);
    let log = watch_log(chaos, &service);
    for _ in 0..20 {
        let kill = chaos.inject(KillAtStart(service.clone())).await?;
        log.over(ms(12)).await?;
        kill.lift().await?;
    }
    Ok(())
}
