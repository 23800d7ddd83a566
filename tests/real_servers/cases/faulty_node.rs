//! Servers in JavaScript that read requests otherwise than RFC 9112 does: Express 4 with method-override, Node's lenient parser, Bun.

use std::process::Command;

use super::faulty_python::trailer_that_is_a_request;
use super::neighbours::{Attack, Fault, Outcome, request, smuggled_request};
use crate::process::{Process, Stop};
use crate::server::{Check, Server, file, port};
use crate::setup::{BUN, EXPRESS_4, Needs, Setup};
use crate::wire::Endpoint;

/// All servers of this family.
pub(crate) fn servers() -> Vec<Server> {
    let server = |name, launch, attacks: Vec<Attack>| {
        let checks: Vec<(String, Check)> = attacks.into_iter().map(Attack::into_check).collect();
        Server::new(name, Needs::Node, launch, checks)
    };
    vec![
        server("express_4", launch_express, express()),
        server("node_lenient", launch_node, node()),
        server("bun", launch_bun, bun()),
    ]
}

fn launch_express(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.node()?, &Stop::Kill);
    command.arg(file("apps/seen_express.js")).arg(port(at)?);
    command.env("NODE_PATH", setup.node_with(&EXPRESS_4)?).env("NODE_ENV", "production");
    Ok(command)
}

fn launch_node(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.node()?, &Stop::Kill);
    command.arg(file("apps/seen_node.js")).arg(port(at)?);
    Ok(command)
}

fn launch_bun(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let installed = setup.node_with(&BUN)?;
    let programs =
        ["bun-linux-x64-baseline", "bun-linux-aarch64"].map(|kind| installed.join("@oven").join(kind).join("bin/bun"));
    let program = programs.into_iter().find(|program| program.exists()).ok_or("Bun has no program for this machine")?;
    let mut command = Process::command(program, &Stop::Kill);
    command.arg(file("apps/seen_bun.js")).arg(port(at)?);
    Ok(command)
}

/// It answers a POST that a client says is a HEAD by a length and no body.
fn express() -> Vec<Attack> {
    let overriding = |mark: &str| request("POST", mark, "X-HTTP-Method-Override: HEAD\r\nContent-Length: 0\r\n", "");
    vec![Attack::new("method_override", "POST", overriding, Fault::SendsNoBody, Outcome::Cut)]
}

/// Forms of the framing that it takes with `insecureHTTPParser`, and what of the body it takes for a request then.
fn node() -> Vec<Attack> {
    fn both(mark: &str, lines: &str) -> Vec<u8> {
        let body = format!("0\r\n\r\n{}", smuggled_request(mark));
        request("POST", mark, &lines.replace("LENGTH", &body.len().to_string()), &body)
    }
    fn chunked(mark: &str, lines: &str) -> Vec<u8> {
        request("POST", mark, lines, &format!("0\r\n\r\n{}", smuggled_request(mark)))
    }
    let length_first = |mark: &str| both(mark, "Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n");
    let coding_first = |mark: &str| both(mark, "Transfer-Encoding: chunked\r\nContent-Length: LENGTH\r\n");
    let two_codings = |mark: &str| {
        both(mark, "Content-Length: LENGTH\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n")
    };
    let fold = |mark: &str| chunked(mark, "Transfer-Encoding:\r\n chunked\r\n");
    let space = |mark: &str| chunked(mark, "Transfer-Encoding : chunked\r\n");
    let unknown = |mark: &str| chunked(mark, "Transfer-Encoding: xchunked\r\n");
    let not_last = |mark: &str| chunked(mark, "Transfer-Encoding: chunked, identity\r\n");
    let control = |mark: &str| chunked(mark, "Transfer-Encoding: \x0bchunked\r\n");
    let zeros = |mark: &str| request("POST", mark, "Content-Length: 005\r\n", "hello");
    let length_space = |mark: &str| request("POST", mark, "Content-Length : 5\r\n", "hello");
    let chunk_space = |mark: &str| request("POST", mark, "Transfer-Encoding: chunked\r\n", "5 \r\nhello\r\n0\r\n\r\n");
    let chunk_end = |mark: &str| request("POST", mark, "Transfer-Encoding: chunked\r\n", "5\r\nhello0\r\n\r\n");
    let smuggles =
        |name, bytes: fn(&str) -> Vec<u8>| Attack::new(name, "POST", bytes, Fault::Smuggles, Outcome::Refused(400));
    let takes = |name, bytes: fn(&str) -> Vec<u8>, status| {
        Attack::new(name, "POST", bytes, Fault::Takes, Outcome::Refused(status))
    };
    vec![
        smuggles("length_and_coding", length_first),
        smuggles("coding_and_length", coding_first),
        smuggles("length_and_two_codings", two_codings),
        smuggles("coding_in_a_fold", fold),
        smuggles("space_behind_the_name_of_the_coding", space),
        takes("unknown_coding", unknown, 501),
        takes("chunked_not_last", not_last, 501),
        takes("control_byte_before_the_coding", control, 400),
        takes("length_with_zeros", zeros, 400),
        takes("space_behind_the_name_of_the_length", length_space, 400),
        takes("space_behind_a_chunk_size", chunk_space, 400),
        takes("chunk_without_an_end", chunk_end, 400),
    ]
}

fn bun() -> Vec<Attack> {
    let empty_line = |mark: &str| request("POST", mark, "Content-Length: 1\r\n", "a\r\n");
    vec![
        trailer_that_is_a_request(),
        Attack::new("empty_line_behind_a_body", "POST", empty_line, Fault::RefusesNeighbour, Outcome::Answered),
    ]
}
