//! The core by itself: what judging a head and a chunked body costs, beside a naive baseline.

use std::hint::black_box;
use std::mem::MaybeUninit;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use headsnip::http1::{Direction, Edits, Exchange, Policy, Run, Verdict};

/// As many places for field lines as the heads here need.
const MAX_FIELD_LINES: usize = 64;

const REQUEST: &[u8] =
    b"GET /v1/items/4711 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n";

/// A response head of so many lines, one of them `Server` if it is to have one that is denied.
fn head(lines: usize, denied: bool) -> Vec<u8> {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    for line in 2..lines {
        head.extend(format!("x-field-{line}: a value of ordinary length, {line}\r\n").bytes());
        if line == 2 {
            head.extend_from_slice(if denied { b"server: uvicorn\r\n" } else { b"vary: encoding!\r\n" });
        }
    }
    head.extend_from_slice(b"content-length: 0\r\n\r\n");
    head
}

/// A body of so many bytes in chunks of that size.
fn chunked(length: usize, chunk: usize) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..length / chunk {
        bytes.extend(format!("{chunk:x}\r\n").bytes());
        bytes.extend(std::iter::repeat_n(b'a', chunk));
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Has all of it judged; gives how much was kept and passed.
fn judge(exchange: &mut Exchange<'_>, direction: Direction, mut shown: &[u8], edits: &mut Edits) -> usize {
    let mut kept = 0;
    while !shown.is_empty() {
        let count = match exchange.judge(direction, shown, edits).expect("it is sound") {
            Verdict::Keep(count) => {
                kept += count.get();
                count.get()
            }
            Verdict::Head(count) => {
                kept += edits.going_on(count.get());
                count.get()
            }
            Verdict::Withhold(count) => count.get(),
            Verdict::Pass(Run::Exactly(most)) => {
                let count = usize::try_from(most.get()).unwrap_or(usize::MAX).min(shown.len());
                exchange.passed(direction, u64::try_from(count).expect("64 bits are enough"));
                kept += count;
                count
            }
            other @ (Verdict::NeedMore | Verdict::Wait | Verdict::Pass(_)) => {
                unreachable!("{other:?} of whole messages")
            }
        };
        shown = &shown[count..];
    }
    kept
}

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    for (name, lines, denied) in [
        ("small", 3, false),
        ("typical", 8, false),
        ("typical, denied", 8, true),
        ("60 lines", 60, false),
        ("60 lines, denied", 60, true),
    ] {
        let head = head(lines, denied);
        let policy = Policy::default();
        let wanted = head.len() - if denied { "server: uvicorn\r\n".len() } else { 0 };
        group.throughput(Throughput::Bytes(u64::try_from(REQUEST.len() + head.len()).expect("64 bits are enough")));
        group.bench_function(BenchmarkId::new("judged", name), |bencher| {
            let (mut exchange, mut edits) = (Exchange::new(&policy), Edits::default());
            bencher.iter(|| {
                let kept = judge(&mut exchange, Direction::Inbound, black_box(REQUEST), &mut edits);
                assert_eq!(kept, REQUEST.len());
                let kept = judge(&mut exchange, Direction::Outbound, black_box(&head), &mut edits);
                assert_eq!(kept, wanted);
            });
        });
        group.bench_function(BenchmarkId::new("httparse alone", name), |bencher| {
            bencher.iter(|| {
                let mut room = [const { MaybeUninit::uninit() }; MAX_FIELD_LINES];
                let mut request = httparse::Request::new(&mut []);
                let parsed = request.parse_with_uninit_headers(black_box(REQUEST), &mut room);
                assert_eq!(parsed, Ok(httparse::Status::Complete(REQUEST.len())));
                let mut room = [const { MaybeUninit::uninit() }; MAX_FIELD_LINES];
                let mut response = httparse::Response::new(&mut []);
                let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
                    &mut response,
                    black_box(&head),
                    &mut room,
                );
                assert_eq!(parsed, Ok(httparse::Status::Complete(head.len())));
            });
        });
    }
    group.finish();
}

fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked");
    for (name, chunk) in [("16 B", 16), ("1 KiB", 1024), ("64 KiB", 65536)] {
        let body = chunked(1 << 20, chunk);
        let policy = Policy::default();
        group.throughput(Throughput::Bytes(u64::try_from(body.len()).expect("64 bits are enough")));
        group.bench_function(BenchmarkId::new("judged", name), |bencher| {
            let asked = || {
                let mut exchange = Exchange::new(&policy);
                judge(&mut exchange, Direction::Inbound, REQUEST, &mut Edits::default());
                exchange
            };
            let mut edits = Edits::default();
            bencher.iter_batched_ref(
                asked,
                |exchange| assert_eq!(judge(exchange, Direction::Outbound, black_box(&body), &mut edits), body.len()),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("memcpy", name), |bencher| {
            let mut room = vec![0; body.len()];
            bencher.iter(|| {
                room.copy_from_slice(black_box(&body));
                assert_eq!(black_box(&room).last(), body.last());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, heads, bodies);
criterion_main!(benches);
