//! headsnip: an HTTP/1.1 proxy beside one application server that removes denied field lines from every response head.
//!
//! # Theory of operation
//!
//! The only edits are to withhold bytes, and to add whole lines: `Connection: close` where the connection closes and nothing else says so, and what the
//! operator asks for. The core is therefore a *judge of bytes*: shown the pending bytes of one direction, it says keep n, pass n unseen, need more, wait for
//! the other direction, or: the first n bytes are a head, and these are its edits. The owner of the sockets does what it says.
//!
//! It is strict toward the origin: a request that two servers could parse differently is refused, and after one that servers are known to disagree
//! about, no other uses the same origin connection. It is lenient toward the client: what other proxies deliver is delivered, mended where clients
//! could read it in two ways. And it is correct whatever the origin does, since one request is under way at a time.
//!
//! # Within another program
//!
//! A proxy is a [`Config`](config::Config), an [`Observer`](ops::Observer) and a [`Proxy`](proxy::Proxy), which serves on the thread that runs it:
//!
//! ```
//! use headsnip::config::Config;
//! use headsnip::http1::Denylist;
//! use headsnip::ops::Event;
//! use headsnip::proxy::Proxy;
//! use std::sync::Arc;
//!
//! let mut config = Config::new("127.0.0.1:0".parse()?, "127.0.0.1:3000".parse()?);
//! config.policy.denylist = Denylist::new(["x-aspnet-*"], ["x-powered-by"])?;
//! // Told of what happens: a closure here; a `Log` writes lines as the binary does; `()` lets it be.
//! let observer = Arc::new(|event: Event<'_>| println!("{event}"));
//! let proxy = Proxy::bind(config, observer)?;
//! println!("listening on {}", proxy.address());
//! let (handle, counts) = (proxy.handle(), proxy.counts());
//! let serving = std::thread::spawn(move || proxy.run(std::future::pending()));
//! // Closes idle connections, waits for the others; `drain` also waits for the load balancer, `cut` for nobody.
//! handle.dismiss();
//! let drained = serving.join().expect("a proxy does not panic")?;
//! assert_eq!((drained.finished, drained.cut), (0, 0));
//! // What `/metrics` would show, at any time.
//! assert!(counts.exposition().contains("headsnip_requests_total 0\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It writes nothing to standard error or output: all that it has to say goes to its observer, and one process may run several proxies, each
//! with its own. Each takes the process's open-file limit and memory to be its own, unless `max_connections` and `max_memory` say less.
//! `examples/embedded.rs` runs two. A program that has sockets and a runtime already needs only [`http1`]; its documentation shows a loop around it.
//!
//! Features: `cli`, which is on by default, is for the binary; `proxy` has [`proxy`], [`config`], [`net`] and [`ops`]; without either there is [`http1`],
//! which brings httparse, memchr, strum and thiserror.
//!
//! Versions follow `SemVer`; while the first number is 0, the second one counts breaking changes. Structs to which a setting, and enums to
//! which a rule, may be added are `#[non_exhaustive]`; enums that a caller must handle in full, [`Verdict`](http1::Verdict) and
//! [`Ending`](http1::Ending) above all, are not. Modules that are not documented here are for the binary and the tests.
//!
//! # The modules, in reading order
//!
//! - [`http1`]: the core. Pure: no socket, clock, runtime or lock.
//! - [`config`]: checked values.
//! - [`net`]: addresses, listeners, connections. Knows no HTTP.
//! - [`proxy`]: joins the two; a worker accepts, a session serves one client, a relay moves one direction's bytes.
//! - [`ops`]: what an operator sees, and the observer who is told of it; `cli`: flags and variables.
//! - `testing`: the invariants as functions over bytes, a slow, plain model that shares no code with the core, and
//!   connections in memory for the session.
//!
//! # The invariants
//!
//! Comments, tests and fuzz targets cite the numbers.
//!
//! 1. **Once, in order.** Every byte read is kept, withheld or passed exactly once, in order. Nothing is invented but the line that
//!    says `Connection: close`, and what the operator asks for; what is read of a request on a connection that has served before may be sent again.
//! 2. **Only what docs/protocol.md names is withheld**, and nothing else changes: denied lines, whole; what is mended; upgrade offers
//!    that must not be accepted; empty lines before a start-line.
//! 3. **Cuts do not matter.** Output and error are the same however the input was split, unless the origin speaks out of turn.
//! 4. **Idempotent.** Judging our own output withholds nothing and adds nothing, but what an operator has added at each pass.
//! 5. **Bounded.** No buffer, count or loop without a named limit; a partial head is not scanned again from its start.
//! 6. **Method first.** A request is known before a byte of its head is forwarded.
//! 7. **Order of sides does not matter.** For an origin that answers each request once, any interleaving of reads on the two
//!    sockets gives the same two outputs, whichever connections carry them.
//! 8. **Splice equals copy.** Same bytes, same end; only an empty pipe is filled.
//! 9. **No panic** on any input.
//! 10. **In doubt, close.**
//! 11. **One at a time.** No byte of a request goes to an origin that owes a response, and none after an exchange that was not plain.
//! 12. **Whatever the origin does**, no head that a client could read holds a denied line.
//! 13. **Fair.** A direction reads a bounded number of times in a turn.

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "proxy")]
pub mod config;
pub mod http1;
#[cfg(feature = "proxy")]
pub mod net;
#[cfg(feature = "proxy")]
pub mod ops;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
