//! Our own replies: the status-line, `Content-Length: 0`, `Connection: close`, and the lines that the operator adds. No name, no body.

use crate::http1::{AddedLines, Status};

/// The reply's bytes.
pub(super) fn bytes(status: Status, added: &AddedLines) -> Vec<u8> {
    [status_line(status), b"Content-Length: 0\r\nConnection: close\r\n", added.bytes(), b"\r\n"].concat()
}

fn status_line(status: Status) -> &'static [u8] {
    match status {
        Status::BadRequest => b"HTTP/1.1 400 Bad Request\r\n",
        Status::RequestTimeout => b"HTTP/1.1 408 Request Timeout\r\n",
        Status::RequestHeaderFieldsTooLarge => b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
        Status::NotImplemented => b"HTTP/1.1 501 Not Implemented\r\n",
        Status::BadGateway => b"HTTP/1.1 502 Bad Gateway\r\n",
        Status::ServiceUnavailable => b"HTTP/1.1 503 Service Unavailable\r\n",
        Status::GatewayTimeout => b"HTTP/1.1 504 Gateway Timeout\r\n",
        Status::HttpVersionNotSupported => b"HTTP/1.1 505 HTTP Version Not Supported\r\n",
    }
}
