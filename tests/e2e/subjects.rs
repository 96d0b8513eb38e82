//! Chaos tests that end badly on purpose, each run as a child by another room.

use chaos_test::prelude::*;
use chaos_test::{link, process, tcp};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::victims::{come_in, inventory, inventory_program, until_asked, watch};

macro_rules! subject {
    ($(#[$($argument_of:tt)*])* $name:ident($($argument:ident: $type:ty),*) $body:block) => {
        #[chaos_test($($($argument_of)*)*)]
        #[ignore = "another test runs it as a child"]
        async fn $name($($argument: $type),*) -> chaos_test::Result $body
    };
}

/// Says something that the parent waits for, past libtest's capture.
pub fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

// Green means that chaos happened.

subject!(nothing_is_injected(_chaos: &ChaosContext) { Ok(()) });

subject!(the_guard_goes_at_once(chaos: &ChaosContext, inventory: &Service) {
    let _ = chaos.inject(process::kill(inventory)).await?;
    Ok(())
});

subject!(the_link_is_not_used(chaos: &ChaosContext, inventory: &Service) {
    let unused = inventory.link("nobody").await?;
    chaos.during(link::latency(&unused, ms(10)), async |_| {
        tokio::time::sleep(ms(20)).await;
        Ok::<_, TestError>(())
    }).await?;
    Ok(())
});

subject!(a_miss_is_swallowed(chaos: &ChaosContext, inventory: &Service) {
    let requests = watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    let _ = requests.over(ms(100)).await?.expect(error_rate().at_most(percent(0))).check();
    Ok(())
});

subject!(a_check_has_no_data(chaos: &ChaosContext, inventory: &Service) {
    let requests = watch(chaos, inventory);
    let _hang = chaos.inject(process::stop(inventory)).await?;
    let now = chaos.now();
    tokio::time::sleep(ms(30)).await;
    requests.between(now, now).await?.expect(error_rate().at_most(percent(100))).check()?;
    Ok(())
});

subject!(a_comparison_has_too_few_samples(chaos: &ChaosContext, inventory: &Service) {
    let requests = watch(chaos, inventory);
    let normal = requests.baseline(ms(400)).await?;
    let _slow = chaos.inject(link::latency(inventory, ms(5))).await?;
    let seen = requests.over(ms(400)).await?;
    seen.expect(latency(P95).rises_at_most(secs(10)).from(&normal)).check()?;
    Ok(())
});

subject!(a_change_is_clear(chaos: &ChaosContext, inventory: &Service) {
    let requests = watch(chaos, inventory);
    // Long enough to tell on a busy machine, where neighbouring samples are alike.
    let normal = requests.baseline(secs(3)).await?;
    let _slow = chaos.inject(link::latency(inventory, ms(500))).await?;
    let seen = requests.over(secs(3)).await?;
    seen.expect(latency(P50).rises_at_most(ms(20)).from(&normal)).check()?;
    Ok(())
});

subject!(the_steady_state_does_not_hold(chaos: &ChaosContext, inventory: &Service) {
    let requests = chaos.monitor(inventory.get("/nowhere").every(ms(10)));
    requests.baseline(ms(100)).await?;
    Ok(())
});

subject!(the_steady_state_does_not_return(chaos: &ChaosContext, inventory: &Service) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let broken = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&broken);
    let health = chaos.monitor(
        (move || {
            let broken = broken.load(Ordering::SeqCst);
            async move { if broken { Err("stays broken") } else { Ok(()) } }
        })
        .every(ms(10))
        .named("health"),
    );
    health.baseline(ms(100)).await?;
    let outage = chaos.inject(process::kill(inventory)).await?;
    switch.store(true, Ordering::SeqCst);
    tokio::time::sleep(ms(30)).await;
    outage.lift().await?;
    Ok(())
});

#[test]
#[ignore = "another test runs it as a child"]
fn it_finishes_without_chaos() {
    let chaos = ChaosContext::start_blocking().unwrap();
    let error = chaos.finish_blocking().unwrap_err();
    say(&format!("is_no_data: {}", error.is_no_data()));
    panic!("{error}");
}

// Bad input.

subject!(breaks_what_it_may_not(chaos: &ChaosContext, inventory: &Service) {
    chaos.may_break(&chaos_test::Target::Service("other".into()));
    let error = chaos.inject(process::kill(inventory)).await.unwrap_err();
    say(&format!("refused: {}, still answers: {}", error.is_refused(),
        std::net::TcpStream::connect(inventory.first_address().socket()).is_ok()));
    Err(error.into())
});

subject!(the_program_is_missing(chaos: &ChaosContext) {
    chaos.process("ghost", Program::new("no-such-program-here")).await?;
    Ok(())
});

subject!(the_binary_is_missing(chaos: &ChaosContext) {
    chaos.process("ghost", Program::cargo_bin("no-such-binary")).await?;
    Ok(())
});

subject!(the_program_ends_at_once(chaos: &ChaosContext) {
    let program = Program::new("sh").args(["-c", "echo licence expired >&2; exit 3"]);
    chaos.process("short", program).await?;
    Ok(())
});

subject!(the_program_never_gets_ready(chaos: &ChaosContext) {
    let program = Program::new("sh")
        .args(["-c", "echo waiting for godot; exec sleep 600"])
        .ready(tcp())
        .start_timeout(ms(300));
    chaos.process("vladimir", program).await?;
    Ok(())
});

subject!(the_program_cannot_be_executed(chaos: &ChaosContext) {
    use std::os::unix::fs::PermissionsExt;
    let folder = chaos.scratch_dir()?;
    let path = folder.join("garbage");
    std::fs::write(&path, "#!/no/such/interpreter\n")?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    chaos.process("garbage", Program::new(&path)).await?;
    Ok(())
});

subject!(the_port_is_in_use(chaos: &ChaosContext) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    chaos.process("late", inventory_program().listens_at(port)).await?;
    Ok(())
});

subject!(two_services_have_one_name(chaos: &ChaosContext, inventory: &Service) {
    let _first = inventory;
    chaos.process("inventory", inventory_program()).await?;
    Ok(())
});

subject!(a_port_that_is_not_there(_chaos: &ChaosContext, inventory: &Service) {
    let _ = inventory.address(6379);
    Ok(())
});

subject!(the_body_panics(chaos: &ChaosContext, inventory: &Service) {
    let _outage = chaos.inject(process::kill(inventory)).await?;
    panic!("the body fell over");
});

subject!(the_body_returns_an_error(chaos: &ChaosContext, inventory: &Service) {
    let _outage = chaos.inject(process::kill(inventory)).await?;
    let _: u16 = "seventeen".parse()?;
    Ok(())
});

subject!(#[timeout = "300ms"] the_body_blocks(chaos: &ChaosContext, inventory: &Service) {
    let _outage = chaos.inject(process::stop(inventory)).await?;
    std::thread::sleep(secs(600));
    Ok(())
});

subject!(#[timeout = "300ms"] the_body_spins(chaos: &ChaosContext, inventory: &Service) {
    let _outage = chaos.inject(link::down(inventory)).await?;
    loop {
        std::hint::spin_loop();
    }
});

subject!(the_body_exits(chaos: &ChaosContext, inventory: &Service) {
    let _outage = chaos.inject(process::stop(inventory)).await?;
    std::process::exit(0);
});

subject!(the_journal_gets_full(chaos: &ChaosContext, inventory: &Service) {
    let requests = watch(chaos, inventory);
    // Fills what room there is, to the last bytes; a note only informs and never fails.
    for size in [1000, 100, 1] {
        for _ in 0..200 {
            chaos.note("x".repeat(size));
        }
    }
    let error = chaos.inject(process::kill(inventory)).await.unwrap_err();
    say(&format!("state error: {}", error.is_state()));
    let seen = requests.over(ms(100)).await?;
    say(&format!("still answers: {}", seen.samples().iter().all(|sample| sample.reading.is_good())));
    Err(error.into())
});

subject!(it_skips_itself(_chaos: &ChaosContext) {
    Err(chaos_test::Error::skip("there is no moon tonight").into())
});

subject!(#[requires(program("no-such-program-here"))] it_needs_what_is_not_there(_chaos: &ChaosContext) {
    Ok(())
});

#[chaos_test]
#[should_panic]
#[ignore = "another test runs it as a child"]
async fn it_does_not_panic(chaos: &ChaosContext, inventory: &Service) {
    let requests = watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await.unwrap();
    requests.over(ms(30)).await.unwrap();
}

#[chaos_test]
#[should_panic]
#[ignore = "another test runs it as a child"]
async fn it_panics_without_chaos(_chaos: &ChaosContext) {
    panic!("as expected, and nothing was broken");
}

// Death.

subject!(it_waits_to_be_killed(chaos: &ChaosContext) {
    let folder = chaos.scratch_dir()?;
    let path = folder.with_file_name("kept-by-the-test");
    std::fs::write(&path, "sound")?;
    // A program that starts another one, which leaves the session.
    let program = Program::new("sh")
        .args(["-c", "setsid sleep 600 & echo ready; exec sleep 600"])
        .without_port()
        .ready(chaos_test::log_line("ready"));
    chaos.process("sleeper", program).await?;
    let inventory = chaos.process("inventory", inventory_program()).await?;
    let requests = watch(chaos, &inventory);
    let _hang = chaos.inject(process::stop(&inventory)).await?;
    requests.over(ms(1)).await?;
    say("ready to be killed");
    std::future::pending::<()>().await;
    Ok(())
});

// Services in this process.

subject!(a_service_in_this_process_dies(chaos: &ChaosContext, inventory: &Service) {
    let fails = chaos.in_process("fails", async |listener| {
        until_asked(listener).await;
        Err::<(), _>("no stock")
    });
    let panics = chaos.in_process("panics", async |listener| {
        until_asked(listener).await;
        panic!("no stock")
    });
    let returns = chaos.in_process("returns", async |listener| {
        until_asked(listener).await;
    });
    for service in [fails.await?, panics.await?, returns.await?] {
        let mut client = TcpStream::connect(service.first_address().socket()).await?;
        client.write_u8(1).await?;
        while !service.last_lines(1)?.concat().contains("ended: ") {
            tokio::time::sleep(ms(2)).await;
        }
    }
    let requests = watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(50)).await?;
    Ok(())
});

subject!(a_service_in_this_process_blocks(chaos: &ChaosContext, inventory: &Service) {
    let stuck = chaos.in_process("stuck", async |_| loop {
        std::thread::sleep(secs(1));
    });
    let stuck = stuck.await?;
    let error = chaos.inject(process::kill(&stuck)).await.unwrap_err().to_string();
    let named = "blocks its thread `chaos-in-stuck`";
    say(&format!(
        "not killed: {}, {named}: {}",
        error.contains("its process is still there 5 s after SIGKILL"),
        error.contains(named)
    ));
    let requests = watch(chaos, inventory);
    let _outage = chaos.inject(process::kill(inventory)).await?;
    requests.over(ms(50)).await?;
    Ok(())
});

/// A service in this process, and a fault on it that is met.
async fn break_one_in_this_process(chaos: &ChaosContext) -> chaos_test::Result {
    let service = chaos.in_process("here", until_asked);
    let service = service.await?;
    std::mem::forget(chaos.inject(process::stop(&service)).await?);
    come_in(&service).await?;
    Ok(())
}

subject!(it_panics_beside_a_service(chaos: &ChaosContext) {
    break_one_in_this_process(chaos).await?;
    panic!("no stock left");
});

subject!(#[timeout = "1s"] it_takes_too_long_beside_a_service(chaos: &ChaosContext) {
    break_one_in_this_process(chaos).await?;
    std::future::pending().await
});

// Fixtures.

#[derive(Debug)]
pub struct Circle;

#[chaos_fixture]
async fn first(second: &Circle) -> chaos_test::Result<Circle> {
    let _ = second;
    Ok(Circle)
}

#[chaos_fixture]
async fn second(first: &Circle) -> chaos_test::Result<Circle> {
    let _ = first;
    Ok(Circle)
}

subject!(fixtures_go_in_circles(_chaos: &ChaosContext, first: &Circle) {
    let _ = first;
    Ok(())
});

#[chaos_fixture]
async fn broken() -> chaos_test::Result<u32> {
    Ok("no number".parse()?)
}

subject!(a_fixture_fails(_chaos: &ChaosContext, broken: &u32) {
    let _ = broken;
    Ok(())
});

#[chaos_fixture]
async fn panicking() -> chaos_test::Result<u32> {
    panic!("the set-up fell over")
}

subject!(a_fixture_panics(_chaos: &ChaosContext, panicking: &u32) {
    let _ = panicking;
    Ok(())
});
