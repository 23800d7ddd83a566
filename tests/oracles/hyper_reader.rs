//! Reads messages with hyper's own connections: responses as its client does, requests as its server does.
//!
//! hyper tells that a message is complete, not where it ends. So the bytes are offered one by one, each once hyper has done all it can with those before
//! it: a message ends with the byte behind which hyper says that it is complete. What hyper does not take, it leaves unread.

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::ext::{ReasonPhrase, on_informational};
use hyper::header::HeaderMap;
use hyper::rt::{self, ReadBufCursor};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};

use crate::message::{Field, Message, Read, hexadecimal};

/// More than any input has: field lines, and bytes of a head or trailer section.
const MAX_FIELDS: usize = 1 << 10;
const MAX_HEAD: usize = 1 << 24;

/// Reads the response to a request of that method, up to the first that is final.
pub(crate) fn response(asked: &str, bytes: &[u8], is_ended: bool) -> Result<Read, String> {
    let (wire, account) = (Wire::default(), Account::default());
    let mut builder = client::Builder::new();
    builder.max_headers(MAX_FIELDS).max_header_size(MAX_HEAD).max_buf_size(MAX_HEAD);
    let connected = builder.handshake(wire.clone()).now_or_never().ok_or("hyper waits before it asks")?;
    let (mut sender, connection) = connected.map_err(|error| chain(&error))?;
    let interim = account.clone();
    let mut request = request(asked)?;
    on_informational(&mut request, move |response| {
        interim.begin(status_line(response.status(), response.version(), b""), response.headers());
        interim.end();
    });
    let answered = sender.send_request(request);
    let exchange = async {
        match answered.await {
            Ok(response) => {
                let reason = response.extensions().get::<ReasonPhrase>().map(ReasonPhrase::as_bytes);
                let reason = reason.unwrap_or(response.status().canonical_reason().unwrap_or_default().as_bytes());
                account.begin(status_line(response.status(), response.version(), reason), response.headers());
                account.follow(response.into_body()).await;
            }
            Err(error) => account.fail(&chain(&error)),
        }
    };
    let connection = async { connection.await.unwrap_or_else(|error| account.fail(&chain(&error))) };
    let is_final = |last: &Message| last.end.is_some() && !last.is_interim();
    let mut both = pin!(join(exchange, connection));
    offer(bytes, is_ended, &wire, &account, both.as_mut(), |read| read.messages.last().is_some_and(is_final));
    let mut read = account.take();
    if let Some(last) = read.messages.last_mut().filter(|last| is_final(last)) {
        let is_switched = last.status() == "101";
        last.keeps = is_switched || sender.is_ready();
        read.tunnel = last.end.filter(|_| is_switched).map(|end| bytes[end..].to_vec());
    }
    Ok(read)
}

/// Reads the requests on a connection that is still open; each is answered once it is whole.
pub(crate) fn requests(bytes: &[u8]) -> Read {
    let (wire, account) = (Wire::default(), Account::default());
    let answer = |request: Request<Incoming>| {
        let account = account.clone();
        async move {
            let method = hexadecimal(request.method().as_str().as_bytes());
            let target = hexadecimal(request.uri().to_string().as_bytes());
            account.begin(format!("{method} {target} {}", version(request.version())), request.headers());
            account.follow(request.into_body()).await;
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    };
    let mut builder = server::Builder::new();
    builder.max_headers(MAX_FIELDS).max_header_size(MAX_HEAD).max_buf_size(MAX_HEAD);
    let connection = builder.serve_connection(wire.clone(), service_fn(answer));
    let connection = async { connection.await.unwrap_or_else(|error| account.fail(&chain(&error))) };
    offer(bytes, false, &wire, &account, pin!(connection), |_| false);
    account.take()
}

/// A request of that method, which offers to switch protocols if `+` is behind it.
fn request(asked: &str) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::builder().method(asked.trim_end_matches('+')).uri("/").header("Host", "a");
    if asked.ends_with('+') {
        request = request.header("Connection", "Upgrade").header("Upgrade", "any");
    }
    request.body(Empty::new()).map_err(|error| chain(&error))
}

/// Offers the bytes one by one, until one is not taken, or what was read is enough.
fn offer(
    bytes: &[u8],
    is_ended: bool,
    wire: &Wire,
    account: &Account,
    mut connection: Pin<&mut impl Future>,
    is_enough: impl Fn(&Read) -> bool,
) {
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut is_over = false;
    let mut settle = || {
        while !is_over {
            is_over = connection.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            if !woken.0.swap(false, Ordering::Relaxed) {
                break;
            }
        }
    };
    settle();
    for (at, byte) in bytes.iter().enumerate() {
        wire.0.set(Offer::Byte(*byte));
        account.lock().taken = at + 1;
        settle();
        if matches!(wire.0.get(), Offer::Byte(_)) {
            return account.fail(&format!("{} bytes are left unread", bytes.len() - at));
        }
        let so_far = account.lock();
        if so_far.read.error.is_some() || is_enough(&so_far.read) {
            return;
        }
    }
    if is_ended {
        wire.0.set(Offer::End);
        settle();
    }
}

/// What hyper reads next. What it writes is of no interest.
#[derive(Clone, Default)]
struct Wire(Rc<Cell<Offer>>);

#[derive(Clone, Copy, Default)]
enum Offer {
    #[default]
    Nothing,
    Byte(u8),
    End,
}

impl rt::Read for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.0.get() {
            // Whoever offers more polls again.
            Offer::Nothing => Poll::Pending,
            Offer::Byte(byte) => {
                self.0.set(Offer::Nothing);
                buffer.put_slice(&[byte]);
                Poll::Ready(Ok(()))
            }
            Offer::End => Poll::Ready(Ok(())),
        }
    }
}

impl rt::Write for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whether hyper has more to do without another byte.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What hyper has said so far. It wants to share it between threads, of which there is one.
#[derive(Clone, Default)]
struct Account(Arc<Mutex<SoFar>>);

#[derive(Default)]
struct SoFar {
    read: Read,
    /// How many bytes hyper has been offered.
    taken: usize,
}

impl Account {
    fn begin(&self, start: String, headers: &HeaderMap) {
        let message = Message { start, headers: fields(headers), ..Message::default() };
        self.lock().read.messages.push(message);
    }

    /// Notes a body and its trailer section, and where it ends.
    async fn follow(&self, mut body: Incoming) {
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => self.note(|message| {
                    message.body.extend(frame.data_ref().into_iter().flatten());
                    message.trailers.extend(frame.trailers_ref().into_iter().flat_map(fields));
                }),
                Err(error) => return self.fail(&chain(&error)),
            }
        }
        self.end();
    }

    fn end(&self) {
        let taken = self.lock().taken;
        self.note(|message| message.end = Some(taken));
    }

    fn note(&self, note: impl FnOnce(&mut Message)) {
        self.lock().read.messages.last_mut().map(note);
    }

    /// What is said first says most.
    fn fail(&self, error: &str) {
        self.lock().read.error.get_or_insert_with(|| error.to_owned());
    }

    fn take(&self) -> Read {
        std::mem::take(&mut self.lock().read)
    }

    fn lock(&self) -> MutexGuard<'_, SoFar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorted by name: hyper keeps the order of lines of one name alone.
fn fields(headers: &HeaderMap) -> Vec<Field> {
    let field = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    let mut fields: Vec<Field> = headers.iter().map(field).collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

fn status_line(status: StatusCode, of: Version, reason: &[u8]) -> String {
    format!("{} {} {}", status.as_str(), version(of), hexadecimal(reason))
}

fn version(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "1.0" } else { "1.1" }
}

/// An error and what caused it.
fn chain(error: &dyn Error) -> String {
    let mut causes = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes.join(": ")
}
