//! Undo steps that need not wait for each other. It decides which those are and runs them;
//! it performs and records none itself.

use std::future::Future;

use tokio::task::JoinSet;

use crate::model::undo::Undo;

/// How many steps are performed at the same time.
const AT_ONCE: usize = 16;

/// Steps in their order, in groups: those of one group may be performed at the same time.
///
/// Neighbours that remove containers are one group, because an engine takes its time for
/// each and none of them needs another to go. Every other step is a group of its own.
pub(super) fn groups<T: Clone>(steps: &[T], undo: impl Fn(&T) -> &Undo) -> Vec<Vec<T>> {
    let removes = |step: &T| matches!(undo(step), Undo::RemoveContainer { .. });
    steps
        .chunk_by(|first, second| removes(first) && removes(second))
        .map(<[T]>::to_vec)
        .collect()
}

/// Performs all steps of one group, and hands each on as soon as it is done. A panic in one
/// is its error and stops no other.
pub(super) async fn perform<T, F, R>(
    group: Vec<T>,
    step: impl Fn(T) -> F,
    mut done: impl FnMut(T, Result<R, String>),
) where
    T: Clone,
    F: Future<Output = Result<R, String>> + Send + 'static,
    R: Send + 'static,
{
    let mut waiting = group.into_iter();
    let mut running = JoinSet::new();
    let mut steps = std::collections::BTreeMap::new();
    loop {
        for next in waiting.by_ref().take(AT_ONCE.saturating_sub(steps.len())) {
            let task = running.spawn(step(next.clone()));
            steps.insert(task.id(), next);
        }
        let (task, ended) = match running.join_next_with_id().await {
            Some(Ok((task, ended))) => (task, ended),
            Some(Err(panic)) => (panic.id(), Err(format!("it panicked: {panic}"))),
            None => return,
        };
        if let Some(step) = steps.remove(&task) {
            done(step, ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::model::identity::ProcessIdentity;

    fn container(name: &str) -> Undo {
        Undo::RemoveContainer {
            service: name.into(),
            engine: String::new(),
            container: name.into(),
            token: String::new(),
        }
    }

    #[test]
    fn containers_that_are_neighbours_go_together_and_nothing_else_does() {
        let network = Undo::RemoveNetwork {
            engine: String::new(),
            network: String::new(),
            token: String::new(),
        };
        let process = Undo::EndProcess {
            service: String::new(),
            process: ProcessIdentity {
                pid: 1,
                start_time: 1,
                boot_id: String::new(),
                namespace: 1,
            },
            token: String::new(),
            grace_ms: 0,
        };
        let steps = [
            container("d"),
            container("c"),
            process.clone(),
            process,
            container("b"),
            Undo::Nothing,
            container("a"),
            network,
        ];
        let sizes: Vec<_> = groups(&steps, |step| step).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(groups(&steps, |step| step).concat(), steps);
    }

    #[tokio::test]
    async fn a_group_goes_at_once_within_its_bound_and_past_what_fails() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let ended = Mutex::new(Vec::new());
        let step = |number: usize| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                match number {
                    3 => Err("busy".to_owned()),
                    4 => panic!("over the edge"),
                    _ => Ok(()),
                }
            }
        };
        perform((0..40).collect(), step, |number, done| {
            ended.lock().unwrap().push((number, done));
        })
        .await;
        let mut ended = ended.into_inner().unwrap();
        ended.sort_by_key(|(number, _)| *number);
        assert_eq!(ended.len(), 40);
        let failed: Vec<_> = ended.iter().filter(|(_, done)| done.is_err()).collect();
        assert_eq!(failed[0], &(3, Err("busy".to_owned())));
        assert!(
            failed[1]
                .1
                .as_ref()
                .is_err_and(|why| why.contains("it panicked"))
        );
        assert_eq!(failed.len(), 2);
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    }
}
