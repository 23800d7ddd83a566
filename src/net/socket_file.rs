//! The file of a Unix-domain socket that we listen on: it is made, and removed, without touching that of another process.
//!
//! Between the look at a file and its removal another process can put its own there. So whoever does that locks the folder for as
//! long (flock(2)); the kernel lets go when the process ends, and nothing is left behind. A lock that cannot be had, as of a
//! folder that may not be read, keeps us from removing what a former process has left, and from nothing else.

use std::fmt;
use std::fs::{File, metadata, remove_file, symlink_metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, flock};
use rustix::process::umask;
use socket2::{Domain, SockAddr, Socket, Type};

/// How long to wait for the lock. It is held for some system calls.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same while clients are served.
const SHORT_PATIENCE: Duration = Duration::from_millis(100);

/// How often it is looked whether the lock is free.
const PAUSE: Duration = Duration::from_millis(5);

/// Permissions of a socket file. Whoever may write to it may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode(u32);

impl FromStr for SocketMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
        let mode = mode.ok_or("expected three octal digits, for example 660")?;
        if mode & 0o222 == 0 { Err("nobody could connect; for example 660") } else { Ok(Self(mode)) }
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04o}", self.0)
    }
}

/// Binds a socket to a path. The file has its permissions from the first moment, since the kernel makes it with those that the umask
/// leaves. The umask is the whole process's: for that moment, files that other threads make have no more than these either.
fn bind(socket: &Socket, path: &Path, mode: Option<SocketMode>) -> io::Result<()> {
    let address = SockAddr::unix(path)?;
    let before = mode.map(|SocketMode(mode)| umask(Mode::from_raw_mode(!mode & 0o777)));
    let bound = socket.bind(&address);
    if let Some(before) = before {
        umask(before);
    }
    bound
}

/// A socket file of ours, removed when we stop listening, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    pub(super) path: PathBuf,
    identity: Identity,
}

/// Device and inode.
type Identity = (u64, u64);

impl SocketFile {
    /// Has a socket listen on a path. A socket file that no process listens on is replaced: it was left behind by one that was killed.
    pub(super) fn listen(
        socket: &Socket,
        path: &Path,
        mode: Option<SocketMode>,
        most_waiting: i32,
    ) -> io::Result<Self> {
        let lock = lock(path, PATIENCE);
        if is_stale(path)? {
            if let Err(error) = &lock {
                let problem =
                    format!("its directory cannot be locked, for which its user must be able to read it: {error}");
                return Err(io::Error::new(error.kind(), problem));
            }
            remove_file(path)?;
        }
        bind(socket, path, mode)?;
        // Until then it is stale for others.
        socket.listen(most_waiting)?;
        let file = symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), identity: (file.dev(), file.ino()) })
    }

    /// Removes it, if it is still there.
    pub(super) fn remove(&self) {
        let is_ours = || symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.identity);
        if is_ours() {
            let _lock = lock(&self.path, SHORT_PATIENCE);
            if is_ours() {
                // If it is gone already, all is well.
                let _ = remove_file(&self.path);
            }
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The identity of a file, whatever path leads to it.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    metadata(path).map(|file| (file.dev(), file.ino())).ok()
}

/// The lock of the folder in which a file is, held for as long as what is returned lives.
fn lock(path: &Path, patience: Duration) -> io::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder)?;
    let end = Instant::now() + patience;
    loop {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(folder),
            Err(error) if Instant::now() >= end => return Err(error.into()),
            Err(_) => sleep(PAUSE),
        }
    }
}

/// Returns whether a socket file is there that no process listens on.
fn is_stale(path: &Path) -> io::Result<bool> {
    match symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    // With a full backlog, which it does not wait for, somebody is listening.
    let dialling = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    let dialled = dialling.connect(&SockAddr::unix(path)?);
    Ok(dialled.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::Barrier;

    use super::*;

    /// A path in a folder of its own, which nobody else locks.
    fn place(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("headsnip-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder");
        folder.join("socket")
    }

    fn clear(path: &Path) {
        fs::remove_dir_all(path.parent().expect("a folder")).expect("it was there");
    }

    fn listen(path: &Path) -> io::Result<(SocketFile, Socket)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        Ok((SocketFile::listen(&socket, path, None, 8)?, socket))
    }

    #[test]
    fn only_a_stale_socket_file_is_replaced() {
        let path = place("stale");
        drop(UnixListener::bind(&path).expect("a free path"));
        assert!(path.exists(), "it is left behind");
        let listening = listen(&path).expect("nobody listens there");
        assert_eq!(listen(&path).expect_err("we do").kind(), io::ErrorKind::AddrInUse);
        drop(listening);
        assert!(!path.exists());
        fs::write(&path, "a text").expect("a file");
        assert_eq!(listen(&path).expect_err("a file is there").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("it is still there"), "a text");
        clear(&path);
    }

    #[test]
    fn permissions_are_octal_and_let_somebody_connect() {
        for (text, written) in [("660", "0660"), ("0666", "0666"), ("777", "0777"), ("200", "0200")] {
            assert_eq!(text.parse::<SocketMode>().expect(text).to_string(), written);
        }
        for text in ["", "0", "66", "0o660", "rw-rw----", "888", "1777", "4755", "00660", "+660", " 660", "444", "000"]
        {
            assert!(text.parse::<SocketMode>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_listener_whose_backlog_is_full_is_there() {
        let path = place("full");
        let owner = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        owner.bind(&SockAddr::unix(&path).expect("a path")).expect("a free path");
        owner.listen(0).expect("it listens");
        let _waiting = UnixStream::connect(&path).expect("there is one place");
        assert_eq!(listen(&path).expect_err("it is held").kind(), io::ErrorKind::AddrInUse);
        clear(&path);
    }

    #[test]
    fn a_file_that_took_the_place_of_ours_stays() {
        let path = place("successor");
        let listening = listen(&path).expect("a free path");
        remove_file(&path).expect("it is ours");
        let _successor = UnixListener::bind(&path).expect("a free path");
        drop(listening);
        assert!(path.exists());
        clear(&path);
    }

    #[test]
    fn of_those_who_replace_a_stale_file_at_once_one_listens_there() {
        let path = place("race");
        for _ in 0..100 {
            drop(UnixListener::bind(&path).expect("a free path"));
            let start = Barrier::new(4);
            let begin = || {
                start.wait();
                listen(&path)
            };
            let ended: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(begin)).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
            });
            assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 1, "{ended:?}");
            UnixStream::connect(&path).expect("one listens there");
            drop(ended);
            assert!(!path.exists());
        }
        clear(&path);
    }

    #[test]
    fn without_the_lock_nothing_stale_is_removed_but_a_free_path_is_taken() {
        let path = place("locked");
        let _lock = lock(&path, Duration::ZERO).expect("nobody else locks it");
        let listening = listen(&path).expect("a free path");
        drop(listening);
        assert!(!path.exists(), "what is ours is removed");
        drop(UnixListener::bind(&path).expect("a free path"));
        let error = listen(&path).expect_err("it is locked");
        assert!(error.to_string().starts_with("its directory cannot be locked, for which"), "{error}");
        assert!(path.exists());
        clear(&path);
    }
}
