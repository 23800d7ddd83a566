//! headsnip: an HTTP/1.1 proxy beside one application server that removes denied field lines from every response head.
//!
//! # Theory of operation
//!
//! The only edit is to withhold whole field lines, so what goes out is a subsequence of what came in. The core is therefore
//! a *judge of bytes*: shown what was read of a direction and not yet disposed of, it says keep n, drop n, pass n unseen,
//! need more, or wait for the other direction. The owner of the sockets does as it is told. Framing a response takes the
//! method of its request and whether that asked to upgrade, so requests are followed too, and never changed.
//!
//! # Within another program
//!
//! A proxy is a [`Config`](config::Config) and a [`Proxy`](proxy::Proxy), which serves on the thread that runs it:
//!
//! ```
//! use headsnip::config::Config;
//! use headsnip::http1::Denylist;
//! use headsnip::proxy::Proxy;
//!
//! let mut config = Config::new("127.0.0.1:0".parse()?, "127.0.0.1:3000".parse()?);
//! config.policy.denylist = Denylist::new(["x-aspnet-*"], ["x-powered-by"])?;
//! let proxy = Proxy::bind(config)?;
//! println!("listening on {}", proxy.address());
//! let handle = proxy.handle();
//! let serving = std::thread::spawn(move || proxy.run(std::future::pending()));
//! // Closes idle connections, waits for the others; `drain` also waits for the load balancer, `cut` for nobody.
//! handle.dismiss();
//! let drained = serving.join().expect("a proxy does not panic")?;
//! assert_eq!((drained.finished, drained.cut), (0, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It logs as the program does, as text on standard error, and exchanges, if wanted, on standard output. Whoever has sockets and a
//! runtime already needs [`http1`] alone; its documentation has a loop around it.
//!
//! Versions follow `SemVer`; while they begin with 0, the second number counts changes that break. Structs to which a setting, and enums to
//! which a rule, may be added are `#[non_exhaustive]`; those that must be acted on, [`Verdict`](http1::Verdict) and
//! [`Ending`](http1::Ending) above all, are not. Modules that are not in this documentation are for the binary and the tests.
//!
//! # The modules, in reading order
//!
//! - [`http1`]: the core. Pure: no socket, clock, runtime or lock.
//! - [`config`]: checked values.
//! - [`net`]: addresses, listeners, connections. Knows no HTTP.
//! - [`proxy`]: joins the two; a worker accepts, a session serves one client, a relay moves one direction's bytes.
//! - `ops`: what an operator sees; `cli`: flags and variables.
//! - `testing`: the invariants as functions over bytes, a slow, plain model that shares no code with the core, and
//!   connections in memory for the session.
//!
//! # The invariants
//!
//! Comments, tests and fuzz targets cite the numbers.
//!
//! 1. **Once, in order.** Every byte read is kept, dropped or passed exactly once, in order. Nothing is invented, but for the line by
//!    which a draining proxy says `Connection: close`; what is read of a request on a connection that has served before may
//!    be sent once more.
//! 2. **Only denied lines go**, whole, from the header and trailer sections of responses, and while draining a
//!    `Connection: keep-alive` that would belie the line added. Requests are never changed.
//! 3. **Cuts do not matter.** Output and error are the same however the input was split.
//! 4. **Idempotent.** Rewriting our own output changes nothing, unless the line that says `Connection: close` has a head outgrow
//!    its limit.
//! 5. **Bounded.** No buffer, count or loop without a named limit; a partial head is not scanned again from its start.
//! 6. **Method first.** A request is in the queue before a byte of its head goes on.
//! 7. **Order of sides does not matter.** Any interleaving of reads on the two sockets gives the same two outputs, unless the
//!    origin speaks before it is asked or says that it closes.
//! 8. **Splice equals copy.** Same bytes, same end; only an empty pipe is filled.
//! 9. **No panic** on any input.
//! 10. **In doubt, close.**

#[doc(hidden)]
pub mod cli;
pub mod config;
pub mod http1;
pub mod net;
#[doc(hidden)]
pub mod ops;
pub mod proxy;
#[doc(hidden)]
pub mod testing;
