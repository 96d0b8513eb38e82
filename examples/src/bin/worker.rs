//! Takes jobs from a queue in Redis, one at a time.
//!
//! A job that was begun stands in a list of its own until it is done, so that what a crash leaves
//! is found by the worker's next life. `ACK=off` takes that away: then a job is nowhere while it
//! is worked on.

use std::thread::sleep;
use std::time::Duration;

use redis::{Commands, Connection, Direction, RedisResult};

/// How long a job takes.
const JOB: Duration = Duration::from_millis(50);
/// How often somebody looks whether there is one.
const PAUSE: Duration = Duration::from_millis(20);

fn main() -> RedisResult<()> {
    let queue = std::env::var("QUEUE").expect("QUEUE is host:port of Redis");
    let acknowledges = std::env::var("ACK").as_deref() != Ok("off");
    let mut queue = redis::Client::open(format!("redis://{queue}"))?.get_connection()?;
    for job in queue.lrange::<_, Vec<String>>("begun", 0, -1)? {
        eprintln!("job {job} was left");
        finish(&mut queue, &job)?;
    }
    eprintln!("worker waits for jobs");
    loop {
        let job: Option<String> = if acknowledges {
            queue.lmove("jobs", "begun", Direction::Left, Direction::Right)?
        } else {
            queue.lpop("jobs", None)?
        };
        match job {
            Some(job) => finish(&mut queue, &job)?,
            None => sleep(PAUSE),
        }
    }
}

/// Does a job, and notes that in one step with its end.
fn finish(queue: &mut Connection, job: &str) -> RedisResult<()> {
    sleep(JOB);
    redis::pipe()
        .atomic()
        .rpush("done", job)
        .lrem("begun", 1, job)
        .query(queue)
}
