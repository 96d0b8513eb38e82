//! Where a keeper is found, and how it is asked.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::SockRef;

use crate::model::fingerprint::fingerprint;
use crate::model::keeper::{Ask, Told};
use crate::system::lease::{self, LockFile, Side};
use crate::system::state_dir::StateDir;

/// How long a keeper may take to answer at once; for what takes its time there is no limit.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Where the keeper of one fixture of one run is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    folder: PathBuf,
    name: String,
}

impl Place {
    /// `within`: the run, and whatever else tells two values of the fixture apart.
    pub(crate) fn of(state: &StateDir, within: &str, fixture: &str) -> Self {
        let both = within.bytes().chain([0]).chain(fixture.bytes());
        Self {
            folder: state.keepers(),
            name: format!("{:016x}", fingerprint(both)),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join(format!("{}.sock", self.name))
    }

    /// Held by whoever starts the keeper or ends it.
    pub(crate) fn turn(&self) -> io::Result<LockFile> {
        LockFile::open(&self.folder.join(format!("{}.turn", self.name)))
    }

    /// Nobody is to find it any more. Only for whoever has the turn.
    pub(crate) fn close(&self) {
        let _ = fs::remove_file(self.socket());
    }

    /// The same for the file of the turn, last of all.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_file(self.folder.join(format!("{}.turn", self.name)));
    }
}

/// A path that is short enough for a socket's address, however long the folder's is (unix(7)).
/// Good as long as the folder is open.
fn short(path: &Path) -> io::Result<(File, PathBuf)> {
    let (folder, name) = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => (File::open(folder)?, name),
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    Ok((folder, short))
}

/// Listens for those who use the fixture. Only for whoever has the turn.
pub(crate) fn listen(place: &Place) -> io::Result<UnixListener> {
    let socket = place.socket();
    // Of one that was killed.
    match fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (_folder, short) = short(&socket)?;
    UnixListener::bind(short)
}

/// A connection to a keeper.
#[derive(Debug)]
pub(crate) struct Connection(BufReader<UnixStream>);

impl Connection {
    /// # Errors
    ///
    /// Where nobody keeps anything there.
    pub(crate) fn open(socket: &Path) -> io::Result<Self> {
        let (_folder, short) = short(socket)?;
        Ok(Self(BufReader::new(UnixStream::connect(short)?)))
    }

    /// Whether the other side is gone.
    pub(crate) fn is_over(&self) -> bool {
        let mut word = [MaybeUninit::uninit()];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        match SockRef::from(self.0.get_ref()).recv_with_flags(&mut word, flags) {
            Ok(read) => read == 0,
            Err(error) => {
                let kind = error.kind();
                !matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted)
            }
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// Where it ended instead.
    pub(crate) fn ask(&mut self, ask: &Ask) -> io::Result<Told> {
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        self.0.get_mut().write_all(&line)?;
        let mut answer = String::new();
        if self.0.read_line(&mut answer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

/// Asks whoever listens there one question.
///
/// # Errors
///
/// [`NotFound`](io::ErrorKind::NotFound) where nobody does: what was kept there has ended.
pub(crate) fn ask(socket: &Path, ask: &Ask) -> io::Result<Told> {
    let nobody = || io::Error::new(io::ErrorKind::NotFound, "whoever kept it has ended");
    let mut connection = Connection::open(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => nobody(),
        _ => error,
    })?;
    if matches!(ask, Ask::Which(_)) {
        connection
            .0
            .get_ref()
            .set_read_timeout(Some(ANSWER_LIMIT))?;
    }
    match connection.ask(ask) {
        Ok(Told::Another) => Err(nobody()),
        Ok(told) => Ok(told),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => nobody(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => io::Error::other(format!(
                "whoever keeps it has not answered within {} s",
                ANSWER_LIMIT.as_secs()
            )),
            _ => error,
        }),
    }
}

/// Whether nobody listens there. Who cannot tell takes it that somebody does.
pub(crate) fn nobody_listens(socket: &Path) -> bool {
    let opened = Connection::open(socket).map_err(|error| error.kind());
    matches!(
        opened,
        Err(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
    )
}

/// Removes what keepers left that were killed.
pub(crate) fn remove_stale(state: &StateDir) {
    let folder = state.keepers();
    let Ok(files) = fs::read_dir(&folder) else {
        return;
    };
    for file in files.flatten() {
        let path = file.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
            continue;
        };
        let place = Place {
            folder: folder.clone(),
            name: name.to_owned(),
        };
        // Somebody who begins has it.
        let Ok(mut turn) = place.turn() else { continue };
        if !turn.try_lock(Side::Alone).unwrap_or(false) {
            continue;
        }
        if nobody_listens(&place.socket()) {
            place.close();
            place.forget();
        }
    }
    lease::remove_those_of_runs(&state.leases(), |name| {
        folder.join(format!("{name}.sock")).exists()
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::keeper::Meant;

    #[test]
    fn a_keeper_is_found_in_a_folder_with_a_long_name() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::at(folder.path().join("x".repeat(120))).unwrap();
        let place = Place::of(&state, "run", "db");
        assert_ne!(place, Place::of(&state, "run2", "db"));
        let listener = listen(&place).unwrap();
        let meant = Meant {
            keeper: crate::system::identity::own().unwrap(),
            service: "db".to_owned(),
        };
        let answer = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(client.try_clone().unwrap())
                .read_line(&mut line)
                .unwrap();
            client.write_all(b"\"runs\"\n").unwrap();
            line
        });
        let question = Ask::Run(meant);
        let told = ask(&place.socket(), &question).unwrap();
        assert_eq!(told, Told::Runs);
        let asked = answer.join().unwrap();
        assert_eq!(serde_json::from_str::<Ask>(&asked).unwrap(), question);
        // The listener is gone, and its file is not.
        let error = ask(&place.socket(), &question).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let of_run = state.leases().join(format!("run-{}", place.name()));
        fs::write(&of_run, "").unwrap();
        remove_stale(&state);
        assert_eq!(fs::read_dir(state.keepers()).unwrap().count(), 0);
        remove_stale(&state);
        assert!(!of_run.exists());
    }

    #[test]
    fn one_that_listens_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::at(folder.path().join("state")).unwrap();
        let place = Place::of(&state, "run", "db");
        let _listener = listen(&place).unwrap();
        let of_run = state.leases().join(format!("run-{}", place.name()));
        fs::write(&of_run, "").unwrap();
        remove_stale(&state);
        assert!(place.socket().exists() && of_run.exists());
    }
}
