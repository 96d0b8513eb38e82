//! Work that blocks its thread, such as a walk through `/proc`, in the midst of async code.
//!
//! Links, time limits and rollbacks run on the same few threads, and none of them may wait for
//! it. It changes nothing of what the work does.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs something that blocks its thread, which hands all its other tasks to another one first.
///
/// A runtime with one thread of its own has nobody to hand them to, and a thread without a
/// runtime has none: there it runs as it is.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::aside;
    use std::sync::mpsc;
    use std::time::Duration;
    use tokio::runtime::Builder;

    #[test]
    fn other_tasks_go_on_meanwhile() {
        let one = Builder::new_multi_thread().worker_threads(1).build();
        let one = one.unwrap();
        let (tell, told) = mpsc::channel();
        // The first one ends only after the other one has run, and there is one worker.
        let first = one.spawn(async move {
            tokio::spawn(async move { tell.send(()).unwrap() });
            aside(|| told.recv_timeout(Duration::from_secs(30)))
        });
        one.block_on(first).unwrap().expect("it held the other off");
    }

    #[test]
    fn it_runs_wherever_it_is_called() {
        assert_eq!(aside(|| 1), 1);
        let alone = Builder::new_current_thread().build().unwrap();
        assert_eq!(alone.block_on(async { aside(|| aside(|| 2)) }), 2);
        let many = Builder::new_multi_thread().build().unwrap();
        assert_eq!(many.block_on(async { aside(|| aside(|| 3)) }), 3);
        let blocking = many.spawn_blocking(|| aside(|| 4));
        assert_eq!(many.block_on(blocking).unwrap(), 4);
    }
}
