//! A worker that dies in the middle of a queue.
//!
//! What to learn here: a service without a port; a condition that must come true (`eventually`)
//! where no request could show it; and records that must survive (`consistency`). Needs the
//! program `redis-server`; where it is missing the test is skipped, visibly.

use chaos_test::prelude::*;
use chaos_test::{duplicated, log_line, lost, process, unexpected};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::services::cache;

/// How many jobs there are, which is two seconds of work.
const JOBS: u32 = 40;

/// Works on what is in the queue. It listens nowhere, so its log has to tell that it is ready.
#[chaos_fixture]
async fn worker(
    chaos: &ChaosContext,
    #[from(cache)] queue: &Service,
) -> chaos_test::Result<Service> {
    let program = Program::cargo_bin("examples-worker")
        .without_port()
        .env("QUEUE", queue.address(6379))
        .ready(log_line("worker waits for jobs"));
    Ok(chaos.process("worker", program).await?)
}

/// A killed worker loses no job, and does none twice; the one that it was at is done after its
/// return, like all others, within twenty seconds.
#[chaos_test(
    timeout = "60s",
    requires(program("redis-server")),
    breaks(worker),
    tags("queue")
)]
async fn a_killed_worker_loses_no_job(
    chaos: &ChaosContext,
    #[from(cache)] queue: &Service,
    worker: &Service,
) -> chaos_test::Result {
    let mut redis = connect(queue).await?;
    // Nobody has a link to the worker, so what notices its death is whoever looks at the queue.
    let looking = redis.clone();
    let to_do = move || left(looking.clone());
    let to_do = chaos.monitor(to_do.every(ms(20)).named("jobs to do"));

    let jobs: Vec<String> = (0..JOBS).map(|job| job.to_string()).collect();
    redis.rpush::<_, _, ()>("jobs", &jobs).await?;
    to_do.over(ms(300)).await?;
    // It is at a job now, and most of them still wait.
    let outage = chaos
        .during(process::kill(worker), async |_| {
            let seen = to_do.over(ms(300)).await?;
            seen.expect(value().at_least(1.0)).check()
        })
        .await?;

    let looking = redis.clone();
    chaos
        .eventually("nothing is left to do", async move || {
            let left = left(looking.clone()).await?;
            Ok::<_, redis::RedisError>((left == 0, left))
        })
        .since(outage.lifted())
        .within(secs(20))
        .await?;

    let done: Vec<String> = redis.lrange("done", 0, -1).await?;
    let records = |jobs: Vec<String>| jobs.into_iter().map(|job| (job, ()));
    chaos
        .consistency("jobs", records(jobs), records(done))
        .expect(lost().at_most(0))
        .expect(duplicated().at_most(0))
        .expect(unexpected().at_most(0))
        .check()?;
    Ok(())
}

async fn connect(queue: &Service) -> redis::RedisResult<MultiplexedConnection> {
    let client = redis::Client::open(("127.0.0.1", queue.address(6379).port()))?;
    client.get_multiplexed_async_connection().await
}

/// How many jobs wait or are worked on.
async fn left(mut redis: MultiplexedConnection) -> redis::RedisResult<usize> {
    let (waiting, begun): (usize, usize) = redis::pipe()
        .llen("jobs")
        .llen("begun")
        .query_async(&mut redis)
        .await?;
    Ok(waiting + begun)
}
