//! Django and Django REST framework, and a 204 with content: frameworks let an application say so, and servers send it. Everybody
//! delivers it as a 204; what stands behind its head must not be read as the next response.

use std::process::Command;

use libtest_mimic::Failed;

use crate::compare::{content, denied_lines, statuses};
use crate::process::{Process, Stop};
use crate::reader::{End, Piece, value};
use crate::server::{Check, Running, Server, file, port};
use crate::setup::{Needs, OLD_PYTHON, Setup};
use crate::wire::{Endpoint, Order, Request, Transcript};

/// A 204 of the application's.
#[derive(Clone, Copy)]
struct NoContent {
    name: &'static str,
    method: &'static str,
    target: &'static str,
    /// What its head holds that it must not.
    forbidden: Option<(&'static str, &'static str)>,
    /// What stands behind its head.
    content: &'static str,
}

/// The application behind two servers.
pub(crate) fn servers() -> Vec<Server> {
    let lengths = [
        NoContent::new("delete", "DELETE", "/item", ("content-length", "0"), ""),
        NoContent::new("put_with_details", "PUT", "/item", ("content-length", "20"), r#"{"detail":"changed"}"#),
        NoContent::new("patch_of_none", "PATCH", "/item", ("content-length", "0"), ""),
        NoContent::new("json", "GET", "/json", ("content-length", "21"), r#"{"detail": "deleted"}"#),
    ];
    // gunicorn leaves the coding out.
    let coded = NoContent::new("coded", "GET", "/coded", ("transfer-encoding", "chunked"), "deleted");
    let checks = |cases: Vec<NoContent>| cases.into_iter().map(NoContent::into_check).collect();
    vec![
        Server::new("django_gunicorn_21", Needs::Python, launch_gunicorn, checks(lengths.to_vec())),
        Server::new("django_cheroot", Needs::Python, launch_cheroot, checks([lengths.as_slice(), &[coded]].concat())),
    ]
}

fn launch_gunicorn(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&OLD_PYTHON)?.join("gunicorn"), &Stop::Ask);
    let bind = format!("127.0.0.1:{}", port(at)?);
    command.current_dir(file("apps")).args(["django_app:app", "--bind", &bind, "--worker-class", "gthread"]);
    command.args(["--threads", "8"]);
    Ok(command)
}

fn launch_cheroot(setup: &Setup, at: &Endpoint) -> Result<Command, String> {
    let mut command = Process::command(setup.python_with(&OLD_PYTHON)?.join("python"), &Stop::Kill);
    command.arg(file("apps/django_app.py")).arg(port(at)?);
    Ok(command)
}

impl NoContent {
    fn new(
        name: &'static str,
        method: &'static str,
        target: &'static str,
        forbidden: (&'static str, &'static str),
        content: &'static str,
    ) -> Self {
        Self { name, method, target, forbidden: Some(forbidden), content }
    }

    fn into_check(self) -> (String, Check) {
        (format!("no_content_{}", self.name), Box::new(move |running| self.run(running)))
    }

    fn run(self, running: &Running) -> Result<(), Failed> {
        self.show_fault(&running.direct).map_err(|error| format!("directly: {error}"))?;
        for order in [Order::OneByOne, Order::Pipelined] {
            let ran = self.run_through(&running.through, order);
            ran.map_err(|error| format!("through headsnip, {order:?}: {error}"))?;
        }
        Ok(())
    }

    /// The server sends what a 204 must not have.
    fn show_fault(self, direct: &Endpoint) -> Result<(), String> {
        let wire = direct.dial()?;
        let mut reader = wire.reader()?;
        wire.write_all(&self.request().head)?;
        let head = reader.head()?;
        let shown = head.escape_ascii().to_string();
        let forbidden = self.forbidden.is_none_or(|(name, text)| value(&head, name).as_deref() == Some(text));
        let behind = reader.exactly(self.content.len())?;
        let answer = Transcript { pieces: vec![Piece::Head(head)], end: End::Open };
        if statuses(&answer)? != [204] || denied_lines(&answer) == 0 || !forbidden {
            return Err(format!("not a 204 with a denied line and {:?}: {shown:?}", self.forbidden));
        }
        if behind != self.content.as_bytes() {
            return Err(format!("behind the head stands {:?}", behind.escape_ascii().to_string()));
        }
        Ok(())
    }

    fn run_through(self, through: &Endpoint, order: Order) -> Result<(), String> {
        let get = Request::new("GET", "/item", &[]);
        let last = Request::new("GET", "/item", &["Connection: close"]);
        let answers = through.converse(&[self.request(), get, self.request(), last], order)?;
        if statuses(&answers)? != [204, 200, 204, 200] || denied_lines(&answers) != 0 {
            return Err(format!("not a 204 and a 200 twice, without denied lines: {answers:?}"));
        }
        let mut head = &[][..];
        for piece in &answers.pieces {
            match piece {
                Piece::Head(bytes) => head = bytes,
                Piece::Body(bytes) if content(head, bytes) == br#"{"item":1}"# => {}
                Piece::Body(_) | Piece::Trailers(_) | Piece::Tunnel(_) => return Err(format!("found {piece:?}")),
            }
            let framed = ["content-length", "transfer-encoding"].iter().any(|name| value(head, name).is_some());
            if framed && head.starts_with(b"HTTP/1.1 204") {
                return Err(format!("the 204 says how long it is: {:?}", head.escape_ascii().to_string()));
            }
        }
        Ok(())
    }

    fn request(self) -> Request {
        let fields: &[&str] = if self.method == "GET" { &[] } else { &["Content-Length: 0"] };
        Request::new(self.method, self.target, fields)
    }
}
