//! Who an application takes the client to be: one that reads `X_Forwarded_For` for `X-Forwarded-For`, and one that reads the first line only. Both
//! trust who is on the same machine, so that directly a client may say what it likes.

use std::process::Command;

use libtest_mimic::Failed;

use super::special;
use crate::process::{Process, Stop};
use crate::reader::{Piece, value};
use crate::server::{Check, Running, Server, file, port};
use crate::setup::{Needs, Setup};
use crate::wire::{Endpoint, Order, Request};

/// What the operator says where headsnip is the only hop.
const ALONE: &[&str] = &[
    "--deny-request",
    "x-forwarded-*",
    "--forwarded-for",
    "--add",
    "X-Content-Type-Options: nosniff",
    "--add",
    "Server: mine",
];

/// The same where a hop before it is to be heard.
const BEHIND: &[&str] = &["--forwarded-for"];

/// Where a balancer says by a preamble who the client is.
const INTRODUCED: &[&str] = &["--accept-proxy", "127.0.0.1", "--deny-request", "x-forwarded-*", "--forwarded-for"];

/// Each application, told what.
pub(crate) fn servers() -> Vec<Server> {
    let alone = || -> Vec<(String, Check)> { vec![special("only_the_address_is_told", only_the_address)] };
    let behind = || -> Vec<(String, Check)> { vec![special("the_address_is_told_last", the_address_last)] };
    let introduced = || -> Vec<(String, Check)> { vec![special("the_preambles_address_is_told", the_preambles)] };
    let server = |name, needs, launch, flags, checks| Server { flags, ..Server::new(name, needs, launch, checks) };
    vec![
        server("client_of_wsgiref", Needs::Python, launch_wsgiref, ALONE, alone()),
        server("client_of_node", Needs::Node, launch_node, ALONE, alone()),
        server("client_of_wsgiref_behind_another", Needs::Python, launch_wsgiref, BEHIND, behind()),
        server("client_of_node_behind_another", Needs::Node, launch_node, BEHIND, behind()),
        server("client_of_node_behind_a_balancer", Needs::Node, launch_node, INTRODUCED, introduced()),
    ]
}

fn launch_wsgiref(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python()?, &Stop::Kill);
    command.arg(file("apps/client_wsgiref.py")).arg(port(at)?);
    Ok(command)
}

fn launch_node(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.node()?, &Stop::Kill);
    command.arg(file("apps/client_node.js")).arg(port(at)?);
    Ok(command)
}

/// What an application says of a request with these lines, and the head of that.
fn told(at: &Endpoint, lines: &[&str]) -> Result<(String, Vec<u8>), String> {
    let transcript = at.converse(&[Request::new("GET", "/", lines)], Order::OneByOne)?;
    let head = transcript.pieces.iter().find_map(|piece| if let Piece::Head(head) = piece { Some(head) } else { None });
    Ok((text(&transcript.pieces), head.cloned().unwrap_or_default()))
}

/// The bodies, as text.
pub(super) fn text(pieces: &[Piece]) -> String {
    let bodies = pieces.iter().filter_map(|piece| if let Piece::Body(body) = piece { Some(body) } else { None });
    bodies.map(|body| String::from_utf8_lossy(body).into_owned()).collect()
}

pub(super) fn same(what: &str, found: &str, expected: &str) -> Result<(), Failed> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, not {expected:?}").into()) }
}

const SPOOFED: [&str; 2] = ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil"];
const UNDERSCORED: [&str; 2] = ["X_Forwarded_For: 6.6.6.6", "X_Forwarded_Host: evil"];

fn only_the_address(running: &Running) -> Result<(), Failed> {
    same("directly", &told(&running.direct, &SPOOFED)?.0, "6.6.6.6|evil")?;
    for lines in [&SPOOFED[..], &UNDERSCORED, &[]] {
        let (body, head) = told(&running.through, lines)?;
        same("through headsnip", &body, "127.0.0.1|none")?;
        same("the line that is added", &value(&head, "x-content-type-options").unwrap_or_default(), "nosniff")?;
        same("the line that is replaced", &value(&head, "server").unwrap_or_default(), "mine")?;
    }
    Ok(())
}

fn the_address_last(running: &Running) -> Result<(), Failed> {
    for lines in [&SPOOFED[..1], &UNDERSCORED[..1]] {
        same("through headsnip", &told(&running.through, lines)?.0, "6.6.6.6, 127.0.0.1|none")?;
    }
    let both = ["X-Forwarded-For: 5.5.5.5", "X_Forwarded-For: 6.6.6.6"];
    same("through headsnip", &told(&running.through, &both)?.0, "5.5.5.5, 6.6.6.6, 127.0.0.1|none")
}

fn the_preambles(running: &Running) -> Result<(), Failed> {
    let wire = running.through.dial()?;
    let mut reader = wire.reader()?;
    wire.write_all(b"PROXY TCP4 203.0.113.7 127.0.0.1 5000 80\r\n")?;
    for lines in [&SPOOFED[..], &UNDERSCORED, &[]] {
        let response = wire.exchange(&mut reader, &Request::new("GET", "/", lines))?;
        same("through headsnip", &text(&response.pieces), "203.0.113.7|none")?;
    }
    Ok(())
}
