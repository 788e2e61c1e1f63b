//! What the engine itself costs a call, without guards: nanoseconds and allocations, begin to record.
//!
//! `cargo run --release -p portcullis-engine --example cost`

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use portcullis_engine::*;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[expect(
    unsafe_code,
    reason = "forwards every call unchanged to the system allocator, which upholds the contract"
)]
// SAFETY: both methods pass their arguments on to `System` as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's obligations are `System`'s.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` through `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CALLS: u32 = 500_000;

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() {
    let engine = Engine::builder(Arc::new(State::default())).build();
    let connection = Connection {
        peer: std::net::SocketAddr::from(([192, 0, 2, 7], 4711)),
        local: std::net::SocketAddr::from(([192, 0, 2, 1], 80)),
        scheme: Scheme::Http,
        sni: None,
    };
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(HOST, HeaderValue::from_static("api.example.com"));
    headers.insert(USER_AGENT, HeaderValue::from_static("bench/1"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    let mut response = HeaderMap::new();
    response.insert("content-type", HeaderValue::from_static("application/json"));
    response.insert("content-length", HeaderValue::from_static("1024"));
    let target = Bytes::from_static(b"/v1/orders/4711?expand=items");
    let clones = measure(|_| {
        std::hint::black_box((headers.clone(), response.clone()));
    });
    let whole = measure(|i| {
        let head = RequestHead {
            method: Method::GET,
            target: target.clone(),
            authority: None,
            version: Version::HTTP_11,
            headers: headers.clone(),
            body: BodyLength::None,
        };
        let now = Now::recorded(u64::from(i));
        let mut inspection = Arc::clone(&engine).begin(head, &connection, ExchangeId(u128::from(i)), now);
        let Step::Forward(permit) = inspection.request_head() else { return };
        std::hint::black_box(&permit);
        let answer =
            ResponseHead { status: StatusCode::OK, headers: response.clone(), body: BodyLength::Exact(1024) };
        std::hint::black_box(inspection.response_head(answer, now));
        let outcome = Outcome {
            status: StatusCode::OK,
            end: End::Complete,
            bytes_in: 0,
            bytes_out: 1024,
            upstream: None,
            upstream_ns: None,
            now,
        };
        std::hint::black_box(inspection.finish(outcome));
    });
    println!("cloning the test's fields: {:.0} ns, {:.1} allocations", clones.0, clones.1);
    println!(
        "engine, no guards:         {:.0} ns, {:.1} allocations",
        whole.0 - clones.0,
        whole.1 - clones.1
    );
}

fn measure(mut call: impl FnMut(u32)) -> (f64, f64) {
    (0..1000).for_each(&mut call);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let start = Instant::now();
    (0..CALLS).for_each(&mut call);
    let elapsed = start.elapsed();
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    (elapsed.as_nanos() as f64 / f64::from(CALLS), allocations as f64 / f64::from(CALLS))
}
