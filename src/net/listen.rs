//! Where connections come from: addresses as Prometheus writes them, sockets in
//! the file system, and sockets that systemd has bound.
//!
//! **Invariants.** Every error names the address. Of a socket in the file
//! system only one that nobody listens on is taken away, and ours goes with us.

use std::{
    fmt,
    fs::{self, Permissions},
    io,
    net::{Ipv6Addr, SocketAddr},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The text is no address.
    #[error(
        "\"{0}\" is not an address to listen on; write for example \":10062\", \"127.0.0.1:10062\", \"[::1]:10062\" or \"unix:/run/exporter.sock\""
    )]
    Syntax(String),
    /// The system refused.
    #[error("failed to listen on \"{0}\"")]
    Bind(String, #[source] io::Error),
    /// systemd passed nothing.
    #[error("systemd passed no socket; start the exporter by a socket unit")]
    NoSocket,
    /// systemd passed something else.
    #[error("socket {0} of systemd is no stream socket that listens")]
    Foreign(usize, #[source] io::Error),
}

/// A socket that connections come from.
#[derive(Debug)]
pub struct Listener {
    /// The entry in the file system that is ours to take away. It goes before
    /// the socket does, so that nobody else can have its inode yet.
    _entry: Option<Entry>,
    socket: Either<TcpListener, UnixListener>,
}

/// What a listener gives.
pub(super) type Accepted = Either<TcpStream, UnixStream>;

/// What the system may hold of an answer that it cannot send yet. By default
/// that is megabytes, and a slow reader would not be noticed for minutes.
const UNSENT_BYTES: u32 = 64 * 1024;

impl Listener {
    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Either::Left(socket) => {
                let (wire, _) = socket.accept().await?;
                // It fails if the peer is gone already, and reading tells so.
                drop(tune(&wire));
                Ok(Either::Left(wire))
            }
            Either::Right(socket) => Ok(Either::Right(socket.accept().await?.0)),
        }
    }

    /// The address, if it is one of the network.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Either::Left(socket) => socket.local_addr().ok(),
            Either::Right(_) => None,
        }
    }
}

fn tune(wire: &TcpStream) -> io::Result<()> {
    // The parts of a body are written one by one; the last must not wait for
    // the peer to acknowledge the others.
    wire.set_nodelay(true)?;
    SockRef::from(wire).set_tcp_notsent_lowat(UNSENT_BYTES)
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self {
            socket: Either::Left(socket),
            _entry: None,
        }
    }
}

impl From<UnixListener> for Listener {
    fn from(socket: UnixListener) -> Self {
        Self {
            socket: Either::Right(socket),
            _entry: None,
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Either::Left(socket) => match socket.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("unknown"),
            },
            Either::Right(socket) => {
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                let path = path.map_or_else(|| "unnamed".into(), Path::to_string_lossy);
                write!(f, "unix:{path}")
            }
        }
    }
}

/// Listens on `address`: `host:port`, `:port` for every address of the machine,
/// or `unix:/path`. Port 0 lets the system choose.
///
/// # Errors
/// If the text is no address, or the system refuses it.
pub async fn bind(address: &str) -> Result<Listener, ListenError> {
    let refused = |error| ListenError::Bind(address.to_owned(), error);
    if let Some(path) = address.strip_prefix("unix:") {
        if !path.starts_with('/') || path.ends_with('/') {
            return Err(ListenError::Syntax(address.to_owned()));
        }
        return bind_path(Path::new(path)).map_err(refused);
    }
    let Some(port) = address.strip_prefix(':') else {
        let is_address = address.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        });
        if !is_address {
            return Err(ListenError::Syntax(address.to_owned()));
        }
        let socket = TcpListener::bind(address).await.map_err(refused)?;
        return Ok(socket.into());
    };
    let port: u16 = port
        .parse()
        .map_err(|_| ListenError::Syntax(address.to_owned()))?;
    // One socket for both families where IPv6 is there, else IPv4 alone.
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let socket = match TcpListener::bind(both).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(("0.0.0.0", port)).await
        }
        bound => bound,
    };
    socket.map(Listener::from).map_err(refused)
}

/// Whoever may connect: the owner and the group, into which a scraper is put.
const SOCKET_MODE: u32 = 0o660;

fn bind_path(path: &Path) -> io::Result<Listener> {
    clear(path)?;
    let socket = UnixListener::bind(path)?;
    // By the usual umask nobody but the owner could connect until now.
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    let inode = fs::symlink_metadata(path)?.ino();
    let path = path.to_owned();
    Ok(Listener {
        socket: Either::Right(socket),
        _entry: Some(Entry { path, inode }),
    })
}

/// Takes away what a process that was killed has left.
fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "it is there already, and no socket",
        )),
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        },
    }
}

/// The name of a socket in the file system.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    inode: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Another process may have put its own in the place meanwhile.
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| found.ino() == self.inode) {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Sockets that systemd has bound for us. They must be taken while the process
/// has one thread only.
#[derive(Debug)]
pub struct Passed(Vec<Either<std::net::TcpListener, std::os::unix::net::UnixListener>>);

impl Passed {
    /// Takes what `$LISTEN_FDS` tells of.
    ///
    /// # Errors
    /// If there is none, or one is of another kind.
    pub fn take() -> Result<Self, ListenError> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            let foreign = |error| ListenError::Foreign(index, error);
            if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
                socket.set_nonblocking(true).map_err(foreign)?;
                sockets.push(Either::Left(socket));
            } else if let Some(socket) = passed.take_unix_listener(index).map_err(foreign)? {
                socket.set_nonblocking(true).map_err(foreign)?;
                sockets.push(Either::Right(socket));
            }
        }
        if sockets.is_empty() {
            return Err(ListenError::NoSocket);
        }
        Ok(Self(sockets))
    }

    /// Listens on them.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn listen(self) -> io::Result<Vec<Listener>> {
        let listen = |socket| match socket {
            Either::Left(socket) => TcpListener::from_std(socket).map(Listener::from),
            Either::Right(socket) => UnixListener::from_std(socket).map(Listener::from),
        };
        self.0.into_iter().map(listen).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_read_as_prometheus_writes_them() {
        for address in [":0", "127.0.0.1:0", "localhost:0"] {
            assert!(bind(address).await.is_ok(), "{address}");
        }
        for address in [
            "",
            "10062",
            ":x",
            "127.0.0.1",
            ":70000",
            "unix:",
            "unix:relative",
            "unix:/",
            "vsock://:1",
        ] {
            let error = bind(address).await.unwrap_err();
            assert!(matches!(error, ListenError::Syntax(_)), "{address}");
        }
    }

    #[tokio::test]
    async fn a_stale_socket_gives_way_and_nothing_else_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let address = format!("unix:{}", path.display());
        // A socket whose process is gone.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let listener = bind(&address).await.unwrap();
        assert_eq!(listener.to_string(), address);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
        assert!(bind(&address).await.is_err(), "somebody listens");
        drop(listener);
        assert!(!path.exists(), "ours goes with us");
        fs::write(&path, "precious").unwrap();
        assert!(bind(&address).await.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
