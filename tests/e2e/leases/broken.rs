//! A lease whose last holder has not put back what it broke: its file says so, until somebody
//! has swept for certain.

use chaos_test::prelude::*;
use chaos_test::{Restoration, RunStatus, Undo};
use chaos_test_fixtures::rerun::{Rerun, Started};

use super::stage::{Play, Stage, act, passed};
use crate::bad_input::outcome;

/// What is in the stage's events once a step to undo can be performed.
const MENDABLE: &str = "it can be mended";
/// What is in there each time that a step is performed which waits for that.
const TRIED: &str = "it is tried to mend it";

/// Breaks what is shared; the script puts it back. It runs in the folder of the stage.
fn break_it(chaos: &ChaosContext, script: &str) -> chaos_test::Result {
    let stage = Stage::of_child();
    let script = format!("cd \"$0\" && {script}");
    let folder = stage.0.to_string_lossy();
    let argv = ["sh", "-c", &script, &folder].map(str::to_owned).into();
    chaos.undo_at_rollback("break the database", Undo::Command { argv })?;
    std::fs::write(stage.0.join("broken"), "")?;
    Ok(())
}

/// Its rollback cannot put back what it broke. Whoever comes after it can.
#[chaos_test(leases("orders-db"))]
#[ignore = "another test runs it as a child"]
async fn cannot_mend_what_it_broke(chaos: &ChaosContext) -> chaos_test::Result {
    let stage = Stage::of_child();
    // It is older than the step, so it comes after that has failed.
    chaos.at_rollback("let others mend it", async move || {
        stage.happens(MENDABLE);
        Ok::<_, TestError>(())
    })?;
    break_it(chaos, &format!("grep -qx '{MENDABLE}' events && rm broken"))?;
    act(chaos, "broken::cannot_mend_what_it_broke").await
}

/// What it broke is put back only once somebody says that it can be.
#[chaos_test(leases("orders-db"))]
#[ignore = "another test runs it as a child"]
async fn is_mended_late(chaos: &ChaosContext) -> chaos_test::Result {
    // Nobody waits for it once the stage is gone.
    let script = format!(
        "echo '{TRIED}' >>events && until grep -qx '{MENDABLE}' events; do \
         test -e events || exit 1; sleep 0.01; done && rm -f broken"
    );
    break_it(chaos, &script)?;
    act(chaos, "broken::is_mended_late").await
}

/// The file of the lease, empty where its last holder has left nothing.
fn says_of_its_holder(play: &Play) -> String {
    let file = play.state().join("leases/lease-orders-db");
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn what_a_rollback_could_not_put_back_is_put_back_before_the_next_holder_goes_on() {
    let play = Play::new();
    let child = play.child("broken::cannot_mend_what_it_broke").unwatched();
    let holder = child.start();
    play.until("in broken::cannot_mend_what_it_broke");
    // It has swept what dead runs left, before there is anything.
    let waiter = play.queues("asks_late");
    play.tell_to_go("broken::cannot_mend_what_it_broke");
    let ended = holder.wait();
    assert!(!ended.status.success(), "{}", ended.output());
    let restoration = outcome(&ended).restoration;
    let left = matches!(restoration, Restoration::Unrestored { .. });
    assert!(left, "{restoration:?}");
    // It looks for what was broken, and has not been told to wait.
    let ended = waiter.wait();
    passed(&ended);
    let output = ended.output();
    assert!(output.contains("cannot_mend_what_it_broke"), "{output}");
    assert!(output.contains("1 undo step was performed now"), "{output}");
    // All is well again, so nobody needs to look any more.
    assert_eq!(says_of_its_holder(&play), "");
    play.all_pass([]);
}

/// Is told to end by a file, which no other child looks at.
fn queues_and_can_be_stopped(play: &Play, test: &str) -> (Started, std::path::PathBuf) {
    let stop = play.stage.0.join("stop");
    let child: Rerun = play.child(test).env("CHAOS_STOP_FILE", &stop).unwatched();
    let child = child.start();
    play.until_waits(test);
    (child, stop)
}

#[test]
fn a_sweep_that_was_cut_short_is_begun_again_by_the_next_holder() {
    let play = Play::new();
    let child = play.child("broken::is_mended_late").unwatched();
    let holder = child.start();
    play.until("in broken::is_mended_late");
    // Both have swept what dead runs left, before there is anything.
    let (sweeper, stop) = queues_and_can_be_stopped(&play, "second");
    let next = play.queues("asks_late");
    let tries = || play.events().iter().filter(|event| *event == TRIED).count();
    let _ = holder.kill();
    play.until_so("the killed holder is swept", || tries() == 1);
    std::fs::write(stop, "").unwrap();
    let ended = sweeper.wait();
    let interrupted = matches!(outcome(&ended).status, RunStatus::Interrupted(_));
    assert!(interrupted, "{}", ended.output());
    assert!(!play.has("in second"), "{:?}", play.events());
    play.until_so("it is swept once more", || tries() == 2);
    play.happens(MENDABLE);
    passed(&next.wait());
    assert!(play.has("in asks_late"), "{:?}", play.events());
    assert_eq!(says_of_its_holder(&play), "");
    play.all_pass([]);
}
