//! How much of what was written to a connection the other side has not acknowledged.
//!
//! The kernel is asked as `ss(8)` asks it, by `sock_diag(7)`, since the ioctl for it, SIOCOUTQ, has no safe wrapper. Two system calls, so only
//! ends ask, and the access log.

use std::cell::OnceCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

/// The longest answer. 88 bytes tell of the connection, some 50 more are attributes for which nobody asked.
const LONGEST: usize = 512;

/// A connection of which no more is known than its addresses.
const ANY: [u8; 8] = [0xff; 8];

thread_local! {
    /// A worker's line to the kernel; `None`: there is none here, as in a sandbox.
    static LINE: OnceCell<Option<OwnedFd>> = const { OnceCell::new() };
}

/// Bytes of a TCP connection that were written and not acknowledged; a FIN counts as one. `None`: the kernel does not tell.
pub(super) fn unsent(local: SocketAddr, peer: SocketAddr) -> Option<usize> {
    LINE.with(|line| ask(line.get_or_init(|| open().ok()).as_ref()?, local, peer).ok())
}

/// Opens the line of this thread, so that there is a descriptor for it. Returns whether there is one.
pub(crate) fn open_line() -> bool {
    LINE.with(|line| line.get_or_init(|| open().ok()).is_some())
}

fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG))?)
}

fn ask(line: &OwnedFd, local: SocketAddr, peer: SocketAddr) -> io::Result<usize> {
    let socket_id = SocketId {
        source_port: local.port(),
        destination_port: peer.port(),
        source_address: local.ip(),
        destination_address: peer.ip(),
        // A link-local address is one of an interface.
        interface_id: if let SocketAddr::V6(local) = local { local.scope_id() } else { 0 },
        cookie: ANY,
    };
    let request = InetRequest {
        family: if matches!(local.ip(), IpAddr::V4(_)) { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id,
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut question = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    question.finalize();
    let mut bytes = vec![0; question.buffer_len()];
    question.serialize(&mut bytes);
    send(line, &bytes, SendFlags::empty())?;
    // The answer is there when the question has been asked.
    let mut answer = [0; LONGEST];
    let (count, _) = recv(line, &mut answer, RecvFlags::empty())?;
    let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&answer[..count]).map_err(io::Error::other)?;
    let NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) = answer.payload else {
        return Err(io::ErrorKind::NotFound.into());
    };
    Ok(usize::try_from(response.header.send_queue).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use super::*;

    /// A connection whose other side reads nothing, both ends of it, and how many bytes it took.
    fn full(address: &str) -> (TcpStream, TcpStream, usize) {
        let listener = TcpListener::bind(address).expect("a free port");
        let mut near = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
        let (far, _) = listener.accept().expect("a client");
        near.set_nonblocking(true).expect("a socket option");
        let mut written = 0;
        while let Ok(count) = near.write(&[0; 8192]) {
            written += count;
        }
        (near, far, written)
    }

    #[test]
    fn what_is_not_acknowledged_is_told_until_it_is() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (near, mut far, written) = full(address);
            let ends = (near.local_addr().expect("an address"), near.peer_addr().expect("an address"));
            let before = unsent(ends.0, ends.1).expect("the kernel tells");
            assert!(0 < before && before <= written, "{before} of {written}");
            near.shutdown(Shutdown::Write).expect("it is open");
            assert_eq!(unsent(ends.0, ends.1), Some(before + 1), "the FIN counts");
            far.read_to_end(&mut Vec::new()).expect("bytes and an end");
            let begun = Instant::now();
            while unsent(ends.0, ends.1) != Some(0) {
                assert!(begun.elapsed() < Duration::from_secs(10), "it is never acknowledged");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn of_a_connection_that_is_none_nothing_is_told() {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(unsent(nowhere, nowhere), None);
    }
}
