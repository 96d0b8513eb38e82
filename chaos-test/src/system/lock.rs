//! One lock for all rooms: a panic of somebody's code must not poison what rollback needs.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic while it was held: what it guards is changed in single steps.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
