//! The origin: it names itself in every head.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// Answers one client until it ends.
pub(crate) fn answer(mut client: TcpStream) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut unread = Vec::new();
    let mut room = [0; 4096];
    loop {
        while !unread.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            let count = client.read(&mut room)?;
            if count == 0 {
                return Ok(());
            }
            unread.extend_from_slice(&room[..count]);
        }
        let end = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(unread.len(), |at| at + 4);
        let head = String::from_utf8_lossy(&unread.drain(..end).collect::<Vec<_>>()).to_ascii_lowercase();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let last = "Server: leak-final\r\nContent-Length: 2\r\n\r\n";
        let body = if head.starts_with("head ") { "" } else { "ok" };
        let told = match path {
            "/drop" => return Ok(()),
            "/missing" => format!("HTTP/1.1 404 Not Found\r\n{last}{body}"),
            "/hints" => {
                format!(
                    "HTTP/1.1 103 Early Hints\r\nServer: leak-103\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n{last}{body}"
                )
            }
            "/ws" => {
                "HTTP/1.1 101 Switching Protocols\r\nServer: leak-101\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: 4kNmW+5ifZGKxPmsaMo8BWCEDMU=\r\n\r\n"
                    .into()
            }
            "/trailers" => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Server, X-Kept\r\n\r\n2\r\nok\r\n0\r\n\
                            Server: leak-trailer\r\nX-Kept: a\r\n\r\n"
                    .into()
            }
            _ => format!("HTTP/1.1 200 OK\r\n{last}{body}"),
        };
        if head.contains("expect: 100-continue") {
            client.write_all(b"HTTP/1.1 100 Continue\r\nServer: leak-100\r\n\r\n")?;
        }
        if head.starts_with("post ") {
            while unread.len() < 2 {
                let count = client.read(&mut room)?;
                if count == 0 {
                    return Ok(());
                }
                unread.extend_from_slice(&room[..count]);
            }
            unread.drain(..2);
        }
        client.write_all(told.as_bytes())?;
    }
}
