//! `cargo chaos recover`: undoes what killed runs left, or shows it.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chaos_test::__cli::event::Started;
use chaos_test::__cli::{self, Came, DeadRun, Leftovers, OnEngine, Swept, Told};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::paint::Paint;
use crate::{FOUND_SOMETHING, Subcommand, complain, print};

pub(crate) const SUBCOMMAND: Subcommand = Subcommand { define, run };

const AFTER_HELP: &str = "\
What a killed test left is undone by the next run of the same user in any case. This does it now,
for the state directory of this user (CHAOS_STATE_DIR names another one). Tests that run are never
touched. What is past its time to live on the container engine goes, too, whoever's it was. Exit code
1 says that something is left; so is what a container engine was asked for and may still make.

Examples:
  cargo chaos recover --dry-run
  cargo chaos recover";

fn define() -> Command {
    Command::new("recover")
        .about("Undo what killed runs left")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .short('n')
                .action(ArgAction::SetTrue)
                .help("Change nothing; show what is left, and how it is undone by hand"),
        )
}

fn run(matches: &ArgMatches) -> ExitCode {
    let paint = Paint::for_stdout();
    let found = if matches.get_flag("dry-run") {
        __cli::leftovers().map(|found| (planned(&found, now_ms(), paint), found))
    } else {
        // One at a time, so that lines of two do not mix.
        let out = Mutex::new(());
        let tell = |told: Told| {
            let _one = out.lock();
            print(&done(&told, paint));
        };
        __cli::recover(&tell).map(|found| (what_is_left(&found, paint), found))
    };
    match found {
        Ok((text, found)) => {
            print(&text);
            if found.is_clean() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FOUND_SOMETHING)
            }
        }
        Err(error) => complain(error),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// What came of something, as it comes.
fn done(told: &Told, paint: Paint) -> String {
    match told {
        Told::Swept(swept) => steps_done(swept, paint),
        // It is named with what is left.
        Told::LeftAlone(..) => String::new(),
        Told::Stays(path, why) => format!(
            "{} {} could not be removed: {why}\n",
            paint.bad("left   "),
            path.display()
        ),
        #[cfg(feature = "containers")]
        Told::Expired(what, None) => {
            format!("{}  {what}, past its time to live\n", paint.good("removed"))
        }
        #[cfg(feature = "containers")]
        Told::Expired(what, Some(why)) => format!(
            "{}  {what}, past its time to live: {why}\n",
            paint.bad("FAILED ")
        ),
    }
}

/// One that was not killed has a rollback that failed.
fn how_it_ended(killed: bool, paint: Paint) -> String {
    paint.bold(if killed { "killed " } else { "ended  " })
}

fn steps_done(swept: &Swept, paint: Paint) -> String {
    let mut text = format!(
        "{} {}\n",
        how_it_ended(swept.killed, paint),
        whose(&swept.started)
    );
    for (step, came) in &swept.steps {
        let undo = &step.undo;
        let _ = match came {
            Came::Undone if __cli::ends_with_its_test(undo) => {
                writeln!(text, "  {}  {undo}", paint.good("over   "))
            }
            Came::Undone => writeln!(text, "  {}  {undo}", paint.good("undone ")),
            Came::NotYet => writeln!(
                text,
                "  {}  {undo}: the engine was asked for it and never said what came of that; it \
                 may still come, so look again in {}",
                paint.warning("not yet"),
                __cli::human(__cli::UNMADE_LIMIT)
            ),
            Came::Lost(why) => writeln!(
                text,
                "  {}  {undo}: {why}; it was not ours, and nobody can have it again",
                paint.bad("lost   ")
            ),
            Came::Failed(why) => writeln!(
                text,
                "  {}  {undo}: {why}\n           by hand: {}",
                paint.bad("FAILED "),
                undo.by_hand()
            ),
        };
    }
    push_kept(&mut text, &__cli::kept_lines(&swept.kept));
    if let Some((path, why)) = &swept.stays {
        let _ = writeln!(text, "  {} could not be removed: {why}", path.display());
    }
    text
}

fn push_kept(text: &mut String, lines: &[String]) {
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

/// What would be done.
fn planned(found: &Leftovers, now_ms: u64, paint: Paint) -> String {
    let mut text = String::new();
    for dead in &found.dead {
        text.push_str(&steps_planned(dead, now_ms, paint));
    }
    let empty = found.empty.iter().chain(&found.orphans);
    for path in empty {
        let _ = writeln!(
            text,
            "{} {}, which nothing needs any more",
            paint.bold("remove "),
            path.display()
        );
    }
    for what in found.expired() {
        let _ = writeln!(
            text,
            "{} {what}, past its time to live",
            paint.bold("remove ")
        );
    }
    text + &what_is_left(found, paint)
}

fn steps_planned(dead: &DeadRun, now_ms: u64, paint: Paint) -> String {
    let mut text = format!(
        "{} {}\n",
        how_it_ended(dead.killed, paint),
        whose(&dead.started)
    );
    let since = Duration::from_millis(now_ms.saturating_sub(dead.started.wall_clock_ms));
    let _ = writeln!(
        text,
        "  began {} ({} ago), journal {}",
        __cli::date_and_time(dead.started.wall_clock_ms),
        __cli::human(Duration::from_secs(since.as_secs())),
        dead.journal.display()
    );
    for (place, step) in &dead.steps {
        let undo = &step.undo;
        let _ = if __cli::ends_with_its_test(undo) {
            writeln!(text, "  {place:>3}. {undo}: over with the test's process")
        } else {
            let by_hand = undo.by_hand();
            writeln!(text, "  {place:>3}. {undo}\n       by hand: {by_hand}")
        };
    }
    push_kept(&mut text, &__cli::kept_lines(&dead.kept));
    text
}

/// What there is that was not, or would not be, touched; and how much is left.
fn what_is_left(found: &Leftovers, paint: Paint) -> String {
    let mut text = String::new();
    for alive in &found.alive {
        let whose = alive
            .as_ref()
            .map_or("a test that has just begun".to_owned(), whose);
        let _ = writeln!(text, "{} {whose}: it is left alone", paint.good("runs   "));
    }
    for started in &found.under_way {
        let _ = writeln!(
            text,
            "{} {}: its watchdog or another run puts it back now; look again in a moment",
            paint.warning("killed "),
            whose(started)
        );
    }
    for started in &found.elsewhere {
        let _ = writeln!(
            text,
            "{} {}: it was killed in another container, and only a run over there can undo it",
            paint.warning("foreign"),
            whose(started)
        );
    }
    for (path, why) in &found.refused {
        let _ = writeln!(
            text,
            "{} {}: {why}; look at it, then put it right or remove it",
            paint.bad("refused"),
            path.display()
        );
    }
    if let Some(OnEngine::Unknown(why)) = &found.engine {
        let _ = writeln!(
            text,
            "{} no container engine was asked what is left there: {why}",
            paint.warning("unknown")
        );
    }
    let state = found.state.display();
    let engine = |joined: &str| match &found.engine {
        Some(OnEngine::Known { url, .. }) => format!("{joined} on {url}"),
        _ => String::new(),
    };
    if found.is_clean() {
        let nothing = paint.good("nothing is left");
        let _ = writeln!(text, "{nothing} in {state}{}", engine(", or"));
        return text;
    }
    let steps: usize = found.dead.iter().map(|dead| dead.steps.len()).sum();
    let parts = [
        (
            found.dead.len() + found.under_way.len(),
            "killed or unrestored test",
            "killed or unrestored tests",
        ),
        (steps, "step to undo", "steps to undo"),
        (
            found.elsewhere.len(),
            "journal of another container",
            "journals of other containers",
        ),
        (
            found.refused.len(),
            "journal that is refused",
            "journals that are refused",
        ),
        (
            found.empty.len() + found.orphans.len(),
            "file that nothing needs",
            "files that nothing needs",
        ),
        (
            found.expired().len(),
            "thing past its time to live",
            "things past their time to live",
        ),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
    let _ = writeln!(
        text,
        "{} in {state}{}: {}",
        paint.bad("left"),
        engine(" and"),
        parts.join(", ")
    );
    text
}

pub(crate) fn whose(started: &Started) -> String {
    format!("{} (process {})", started.test, started.process.pid)
}

#[cfg(test)]
mod tests {
    use chaos_test::__cli::journal::{Journal, Pending};

    use super::*;

    /// 2026-11-21 16:40:12 UTC.
    const BEGAN_MS: u64 = 1_795_279_212_000;

    fn journal() -> Journal {
        let process = r#"{"pid":4711,"start_time":1,"boot_id":"b","namespace":3}"#;
        let started = format!(
            r#"{{"seq":1,"at_us":0,"event":"started","version":1,"run":"r","test":"shop::chaos$hangs",
            "process":{process},"wall_clock_ms":{BEGAN_MS},"hypothesis":"","seed":0,"tags":[],
            "reports":"/r","fragment":"f","abandoned":[]}}"#
        );
        let undo = [
            r#"{"verb":"remove_container","service":"cache","engine":"unix:///run/docker.sock","container":"chaos-1","token":"t"}"#.to_owned(),
            format!(r#"{{"verb":"end_process","service":"shop","process":{process},"token":"t"}}"#),
            r#"{"verb":"run_service","service":"shop"}"#.to_owned(),
            r#"{"verb":"command","argv":["ip","link","set","veth0","up"]}"#.to_owned(),
        ];
        let planned = undo.iter().zip(2..).map(|(undo, seq)| {
            format!(
                r#"{{"seq":{seq},"at_us":0,"event":"planned","entry":{seq},"what":"w","undo":{undo},"fault":true}}"#
            )
        });
        let lines = std::iter::once(started).chain(planned);
        let text: String = lines.map(|line| line.replace('\n', "") + "\n").collect();
        Journal::read(&text).unwrap()
    }

    fn steps() -> Vec<Pending> {
        journal().pending()
    }

    #[test]
    fn what_came_of_each_step_is_told() {
        let came = [
            Came::Failed("it could not be undone: `ip`: not permitted".into()),
            Came::Undone,
            Came::Undone,
            Came::NotYet,
        ];
        let swept = Swept {
            started: journal().started,
            killed: true,
            steps: steps().into_iter().zip(came).collect(),
            kept: Vec::new(),
            stays: None,
        };
        insta::assert_snapshot!(done(&Told::Swept(Box::new(swept)), Paint::NONE), @r#"
        killed  shop::chaos$hangs (process 4711)
          FAILED   run `ip link set veth0 up`: it could not be undone: `ip`: not permitted
                   by hand: ip link set veth0 up
          over     have `shop` run again
          undone   end process 4711 of `shop`
          not yet  remove container chaos-1 of `cache`: the engine was asked for it and never said what came of that; it may still come, so look again in 90 s
        "#);
    }

    #[test]
    fn what_would_be_done_is_told_in_its_order_with_all_that_is_left_alone() {
        let found = Leftovers {
            state: "/var/tmp/chaos-test-1000".into(),
            dead: vec![DeadRun {
                journal: "/var/tmp/chaos-test-1000/journals/4711-1-b-0.jsonl".into(),
                started: journal().started,
                killed: false,
                steps: (1..).zip(steps()).collect(),
                kept: Vec::new(),
            }],
            alive: vec![Some(journal().started), None],
            under_way: vec![journal().started],
            elsewhere: vec![journal().started],
            refused: vec![("/j/1.jsonl".into(), "it has a second name".into())],
            empty: vec!["/j/2.jsonl".into()],
            orphans: vec!["/copies/3-1".into()],
            engine: Some(OnEngine::Known {
                url: "unix:///run/docker.sock".into(),
                expired: vec!["network chaos-net-7".into()],
            }),
        };
        let now_ms = BEGAN_MS + 300_999;
        insta::assert_snapshot!(planned(&found, now_ms, Paint::NONE), @r#"
        ended   shop::chaos$hangs (process 4711)
          began 2026-11-21 16:40:12 UTC (5 min ago), journal /var/tmp/chaos-test-1000/journals/4711-1-b-0.jsonl
            1. run `ip link set veth0 up`
               by hand: ip link set veth0 up
            2. have `shop` run again: over with the test's process
            3. end process 4711 of `shop`
               by hand: kill -KILL -- -4711
            4. remove container chaos-1 of `cache`
               by hand: docker --host unix:///run/docker.sock rm --force --volumes chaos-1
        remove  /j/2.jsonl, which nothing needs any more
        remove  /copies/3-1, which nothing needs any more
        remove  network chaos-net-7, past its time to live
        runs    shop::chaos$hangs (process 4711): it is left alone
        runs    a test that has just begun: it is left alone
        killed  shop::chaos$hangs (process 4711): its watchdog or another run puts it back now; look again in a moment
        foreign shop::chaos$hangs (process 4711): it was killed in another container, and only a run over there can undo it
        refused /j/1.jsonl: it has a second name; look at it, then put it right or remove it
        left in /var/tmp/chaos-test-1000 and on unix:///run/docker.sock: 2 killed or unrestored tests, 4 steps to undo, 1 journal of another container, 1 journal that is refused, 2 files that nothing needs, 1 thing past its time to live
        "#);
    }

    #[test]
    fn a_clean_directory_is_one_line() {
        let found = Leftovers {
            state: "/var/tmp/chaos-test-1000".into(),
            ..Leftovers::default()
        };
        insta::assert_snapshot!(what_is_left(&found, Paint::NONE), @"nothing is left in /var/tmp/chaos-test-1000");
        let unasked = Leftovers {
            engine: Some(OnEngine::Unknown("no socket".to_owned())),
            ..found
        };
        insta::assert_snapshot!(what_is_left(&unasked, Paint::NONE), @r"
        unknown no container engine was asked what is left there: no socket
        nothing is left in /var/tmp/chaos-test-1000
        ");
    }
}
