//! Processes that take every core that they get, as other jobs on a busy machine do.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// One for each core; they end when this is dropped, or when its process is no more.
#[derive(Debug)]
pub struct Neighbours(Vec<Child>);

/// A shell that computes as long as this process is there.
const BUSY: &str = r#"
while kill -0 "$1" 2>/dev/null; do
    i=0
    while [ "$i" -lt 20000 ]; do i=$((i + 1)); done
done
"#;

/// The busy neighbours of this process: the same ones for all its tests.
pub fn busy() -> Arc<Neighbours> {
    static NEIGHBOURS: Mutex<Weak<Neighbours>> = Mutex::new(Weak::new());
    let mut there = NEIGHBOURS.lock().unwrap_or_else(PoisonError::into_inner);
    there.upgrade().unwrap_or_else(|| {
        let neighbours = Arc::new(Neighbours::start());
        *there = Arc::downgrade(&neighbours);
        neighbours
    })
}

impl Neighbours {
    fn start() -> Self {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let many = super::number("PROOF_NEIGHBOURS").unwrap_or_else(cores);
        let one = |_| {
            Command::new("sh")
                .args(["-c", BUSY, "sh", &std::process::id().to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .expect("there is a shell")
        };
        Self((0..many).map(one).collect())
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        for neighbour in &mut self.0 {
            let _ = neighbour.kill();
            let _ = neighbour.wait();
        }
    }
}
