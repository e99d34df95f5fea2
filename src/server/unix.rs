//! The file of a unix socket: made so that nobody else's is taken away, open to its owner and group only, and gone at
//! the end.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Its owner and group may connect.
const MODE: u32 = 0o660;
/// Connections that wait to be accepted, as many as tokio has for TCP.
const BACKLOG: u32 = 1024;
/// Others who start in the same directory take a moment; whoever holds it longer is not starting.
const DIRECTORY_PAUSE_MS: u64 = 20;
const DIRECTORY_TRIES: usize = 100;

/// A socket that is listened on, and its file.
#[derive(Debug)]
pub(super) struct Unix {
    pub(super) listener: UnixListener,
    _file: SocketFile,
}

/// Removes the file when it is dropped, if it is still the one that was made.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Listens on `path`. What lies there already is only removed when it is a socket that nobody listens on.
///
/// # Errors
/// `AddrInUse` when somebody does, `AlreadyExists` when it is no socket, and whatever the system says.
pub(super) async fn bind(path: &Path) -> io::Result<Unix> {
    // Between looking at an old file and making the new one, nobody else who starts may do the same.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = lock(parent.unwrap_or(Path::new("."))).await?;
    remove_stale(path).await?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile { path: path.to_owned(), identity: identity(path)? };
    // Before anybody can connect, which is from `listen` on.
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    let listener = socket.listen(BACKLOG)?;
    drop(directory);
    Ok(Unix { listener, _file: file })
}

/// Holds the directory for as long as the result is kept; without a file of our own in it.
async fn lock(directory: &Path) -> io::Result<File> {
    let directory = File::open(directory)?;
    for _ in 0..DIRECTORY_TRIES {
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(Errno::WOULDBLOCK) => {
                tokio::time::sleep(Duration::from_millis(DIRECTORY_PAUSE_MS)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process has locked its directory"))
}

async fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
    }
    let in_use = || Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens on it"));
    match UnixStream::connect(path).await {
        Ok(_) => in_use(),
        Err(error) => match error.kind() {
            // So many wait there that one more may not.
            io::ErrorKind::WouldBlock => in_use(),
            io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        },
    }
}

/// Which file this is, whatever it is called.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "the socket stays behind");
        }
    }
}
