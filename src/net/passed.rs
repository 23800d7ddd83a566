//! Sockets that systemd has made and passes on with the process's start (`sd_listen_fds(3)`): they stay open while one process ends and the
//! next begins, and may have ports below 1024. This module checks that they listen; names tell whose they are.

use std::io;
use std::num::NonZeroU32;

use listenfd::ListenFd;
use socket2::Socket;

use super::stream::keep_alive;

/// The name (`FileDescriptorName=`) of the socket for the admin listener. All others are for clients.
const ADMIN: &str = "admin";

/// The sockets passed, each of which listens.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) clients: Vec<Socket>,
    pub(crate) admin: Vec<Socket>,
}

impl Passed {
    /// Returns whether there are any for this process.
    pub(crate) fn is_there() -> bool {
        let is_own = |pid: String| pid.parse::<NonZeroU32>().is_ok_and(|pid| pid.get() == std::process::id());
        std::env::var("LISTEN_PID").is_ok_and(is_own) && std::env::var("LISTEN_FDS").is_ok_and(|count| count != "0")
    }

    /// Takes them; a second call finds none.
    pub(crate) fn take() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut passed = Self::default();
        for index in 0..descriptors.len() {
            let name = names.next().unwrap_or_default();
            let socket = listening(&mut descriptors, index)
                .map_err(|error| io::Error::new(error.kind(), format!("socket {} ({name:?}): {error}", index + 1)))?;
            if name == ADMIN { passed.admin.push(socket) } else { passed.clients.push(socket) }
        }
        Ok(passed)
    }
}

fn listening(descriptors: &mut ListenFd, index: usize) -> io::Result<Socket> {
    let unfit = |problem: &str| io::Error::new(io::ErrorKind::InvalidInput, problem);
    let socket = match descriptors.take_tcp_listener(index) {
        Ok(listener) => listener.map(Socket::from),
        Err(_) => descriptors.take_unix_listener(index)?.map(Socket::from),
    };
    let socket = socket.ok_or_else(|| unfit("already taken"))?;
    if !socket.is_listener()? {
        return Err(unfit("it does not listen; its unit needs ListenStream= and Accept=no"));
    }
    socket.set_nonblocking(true)?;
    if socket.local_addr()?.is_ipv4() || socket.local_addr()?.is_ipv6() {
        // As for one that we make.
        socket.set_tcp_nodelay(true)?;
        keep_alive(&socket)?;
    }
    Ok(socket)
}
