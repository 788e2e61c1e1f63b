//! What stands between a tool and an application, to count requests alike for all tools.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::Outcome;

/// A forwarder on loopback that counts the heads of requests that go through it.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) address: SocketAddr,
    count: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Counter {
    pub(super) fn start(upstream: SocketAddr) -> Outcome<Counter> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (count, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ended) = (count.clone(), over.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let count = counted.clone();
                thread::spawn(move || {
                    let Ok(server) = TcpStream::connect(upstream) else { return };
                    let (Ok(answers), Ok(back)) = (server.try_clone(), client.try_clone()) else { return };
                    thread::spawn(move || pass(answers, back, &mut |_| {}));
                    let mut seen = Seen::default();
                    pass(client, server, &mut |bytes| {
                        count.fetch_add(seen.heads(bytes), Ordering::Relaxed);
                    });
                });
            }
        });
        Ok(Counter { address, count, over })
    }

    pub(super) fn requests(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, see: &mut dyn FnMut(&[u8])) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let bytes = buffer.get(..count).unwrap_or_default();
        see(bytes);
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Finds the ends of request lines in a stream.
#[derive(Debug, Default)]
struct Seen {
    tail: Vec<u8>,
}

impl Seen {
    const MARK: &[u8] = b" HTTP/1.1\r\n";

    fn heads(&mut self, bytes: &[u8]) -> u64 {
        self.tail.extend_from_slice(bytes);
        let found = self.tail.windows(Self::MARK.len()).filter(|window| *window == Self::MARK).count();
        let keep = self.tail.len().saturating_sub(Self::MARK.len() - 1);
        self.tail.drain(..keep);
        found as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_counted_wherever_they_are_cut() {
        let stream = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /x HTTP/1.1\r\nHost: a\r\n\r\n";
        for size in 1..stream.len() {
            let mut seen = Seen::default();
            assert_eq!(stream.chunks(size).map(|part| seen.heads(part)).sum::<u64>(), 2, "{size}");
        }
    }
}
