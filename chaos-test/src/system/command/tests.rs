//! The end of a context while its first command is being started.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::error::Error;
use crate::model::event::Event;

/// Takes as long to write a plan down as it is told to.
struct Slow {
    begun: Sender<()>,
    go_on: Mutex<Receiver<()>>,
    undone: Sender<u64>,
}

impl Ledger for Slow {
    fn plan(&self, _: &str, _: Undo, _: bool) -> Result<u64, Error> {
        self.begun.send(()).unwrap();
        lock(&self.go_on).recv().unwrap();
        Ok(7)
    }

    fn undone(&self, entry: u64) {
        self.undone.send(entry).unwrap();
    }

    fn record(&self, _: Event) {}
}

#[test]
fn closing_waits_for_nobody_and_nothing_begins_behind_it() {
    let ((begun, has_begun), (go, go_on)) = (channel(), channel());
    let (undone, was_undone) = channel();
    let ledger = Slow {
        begun,
        go_on: Mutex::new(go_on),
        undone,
    };
    let token = format!("closing-{}", std::process::id());
    let commands = Arc::new(Commands::new(Arc::new(ledger), token));
    let starting = {
        let commands = Arc::clone(&commands);
        std::thread::spawn(move || commands.anchor().map(|_| ()))
    };
    has_begun.recv().unwrap();
    let (closed, was_closed) = channel();
    let closing = {
        let commands = Arc::clone(&commands);
        std::thread::spawn(move || {
            commands.close();
            closed.send(()).unwrap();
        })
    };
    // Nobody lets the one that starts go on before this.
    let waited = was_closed.recv_timeout(Duration::from_secs(10));
    go.send(()).unwrap();
    assert!(waited.is_ok(), "closing waits for a start");
    closing.join().unwrap();
    let at_its_end = Err("the test is at its end".to_owned());
    assert_eq!(starting.join().unwrap(), at_its_end);
    assert_eq!(was_undone.recv(), Ok(7));
    assert_eq!(commands.anchor().map(|_| ()), at_its_end);
}
