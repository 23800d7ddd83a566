//! The endpoints for orchestrators and metrics servers: `/livez`, `/readyz`, `/metrics`, on their own thread and listener:
//! requests here cost clients nothing, and clients cannot reach it. A silent connection gives way to a new one.

mod places;

use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Builder;
use tokio::sync::{Mutex, oneshot};
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout};

use self::places::{Seat, Seats, Standing};
use super::health::{Check, DRAINING, UNREACHABLE};
use super::metrics::{Counts, MEDIA_TYPE};
use super::observer::Observer;
use super::trouble::Trouble;
use crate::net::address::Address;
use crate::net::dial::{Dial, Upstream};
use crate::net::listener::{Accepting, Listener};
use crate::net::stream::Stream;

/// For a whole connection, which is for one question.
const LIMIT: Duration = Duration::from_secs(5);

/// For the head of the question.
const HEAD_LIMIT: Duration = Duration::from_secs(1);

/// How long an answer about the origin is given again.
const KEPT: Duration = Duration::from_secs(1);

/// How long the origin is dialled: orchestrators wait for a second as a rule.
const DIAL_LIMIT: Duration = Duration::from_millis(900);

/// What the admin listener serves.
pub(crate) struct Sources {
    pub(crate) counts: &'static Counts,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) upstream: &'static Address,
    /// Where this process listens.
    pub(crate) listening: Arc<[Address]>,
    pub(crate) connect_timeout: Duration,
    pub(crate) is_draining: Box<dyn Fn() -> bool + Send>,
}

/// The admin listener at work; it ends when this is dropped.
pub(crate) struct Admin {
    end: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Answers on a thread of its own.
    pub(crate) fn start(listener: Listener, sources: Sources) -> io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let accepting = {
            let _within = runtime.enter();
            listener.accepting()?
        };
        let serve = move || {
            let answers = Rc::new(Answers {
                upstream: Upstream::new(sources.upstream, &sources.listening),
                sources,
                known: Mutex::default(),
            });
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    _ = ended => {}
                    never = accept(&accepting, &answers) => match never {},
                }
            });
        };
        let thread = std::thread::Builder::new().name("admin".into()).spawn(serve)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // Its panic was told by the thread itself.
            let _ = thread.join();
        }
    }
}

async fn accept(accepting: &Accepting, answers: &Rc<Answers>) -> Infallible {
    let places = Rc::<Seats>::default();
    let mut trouble = Trouble::default();
    loop {
        match accepting.accept().await {
            Ok((stream, _)) => {
                trouble.is_over();
                places.free().await;
                let answers = Rc::clone(answers);
                places.serve(|place| async move {
                    // A client that is too slow gets no answer.
                    let _ = timeout(LIMIT, serve(stream, &place, &answers)).await;
                });
            }
            Err(error) => trouble.pause(&error, &*answers.sources.observer).await,
        }
    }
}

async fn serve(stream: Stream, place: &Seat, answers: &Answers) {
    let service = service_fn(|request: Request<Incoming>| async move {
        place.reach(Standing::Awaiting);
        let answer = answers.answer(&request).await;
        place.reach(Standing::Answered);
        Ok::<_, Infallible>(answer)
    });
    let mut server = http1::Builder::new();
    // Who ends behind its request may wait for the answer all the same.
    server.keep_alive(false).half_close(true).auto_date_header(false);
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    // Who asked badly, or is gone, was told or cannot be.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

struct Answers {
    sources: Sources,
    upstream: Upstream,
    /// Whether the origin can be dialled, and when that was found. Who asks meanwhile waits for the same answer.
    known: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Answers {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n".into());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            path if path == Check::Alive.path() => well(Check::Alive),
            path if path == Check::Ready.path() => match self.readiness().await {
                Ok(()) => well(Check::Ready),
                Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
            },
            "/metrics" => {
                let mut response = text(StatusCode::OK, self.sources.counts.exposition());
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
                response
            }
            _ => text(StatusCode::NOT_FOUND, "try /livez, /readyz or /metrics\n".into()),
        }
    }

    async fn readiness(&self) -> Result<(), String> {
        if (self.sources.is_draining)() {
            return Err(DRAINING.into());
        }
        let mut known = self.known.lock().await;
        if let Some((since, answer)) = &*known
            && since.elapsed() < KEPT
        {
            return answer.clone();
        }
        let limit = self.sources.connect_timeout.min(DIAL_LIMIT);
        let answer = match timeout(limit, self.upstream.dial(limit)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("{UNREACHABLE}{error}")),
            Err(_) => Err(format!("{UNREACHABLE}no answer in {limit:?}")),
        };
        *known = Some((Instant::now(), answer.clone()));
        answer
    }
}

fn well(check: Check) -> Response<Full<Bytes>> {
    text(StatusCode::OK, format!("{}\n", check.good()))
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
