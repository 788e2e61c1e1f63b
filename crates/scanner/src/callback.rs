//! The call-back listener: a path of its own for every probe, so that a request that arrives there proves who
//! sent it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Listens on a thread of its own until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    advertised: String,
    hits: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What it answers: a body that is found again wherever the target shows what it fetched.
pub(crate) const CONTENT: &str = "portcullis-callback-content-c41d";

impl Listener {
    /// Starts to listen on `advertised` (`HOST:PORT`), or on loopback: where it was `before`, if that is free, or on a port of
    /// the system's choice.
    pub(crate) fn start(advertised: Option<&str>, before: Option<&str>) -> std::io::Result<Self> {
        let port = |text: Option<&str>| text?.rsplit_once(':')?.1.parse::<u16>().ok();
        let listener = match port(advertised) {
            Some(port) => TcpListener::bind(("0.0.0.0", port))?,
            None => TcpListener::bind(("127.0.0.1", port(before).unwrap_or(0)))
                .or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?,
        };
        let address = listener.local_addr()?;
        let advertised = advertised.map_or_else(|| address.to_string(), str::to_owned);
        let hits = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, ended) = (hits.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Acquire) {
                    break;
                }
                if let Ok(stream) = stream {
                    answer(stream, &seen);
                }
            }
        });
        Ok(Self { address, advertised, hits, stop, thread: Some(thread) })
    }

    /// The URL of a probe.
    pub(crate) fn url(&self, probe: &str) -> String {
        format!("http://{}/{probe}", self.advertised)
    }

    /// `HOST:PORT` as a target sees it.
    pub(crate) fn authority(&self) -> &str {
        &self.advertised
    }

    /// The calls that arrived, from one on.
    pub(crate) fn since(&self, first: usize) -> Vec<String> {
        let hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
        hits.get(first..).unwrap_or_default().to_vec()
    }

    /// Takes a call for arrived that did so in an earlier part of the same scan.
    pub(crate) fn recall(&self, line: String) {
        self.hits.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Whether the probe was called, waited for a little.
    pub(crate) fn was_hit(&self, probe: &str, wait: Duration) -> Option<String> {
        let steps = (wait.as_millis() / 20).max(1);
        for _ in 0..steps {
            let hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(hit) = hits.iter().find(|line| line.contains(probe)) {
                return Some(hit.clone());
            }
            drop(hits);
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // The accept call waits for somebody: that is us.
        let port = self.address.port();
        let _ = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, hits: &Mutex<Vec<String>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
    let mut head = vec![0; 4096];
    let read = stream.read(&mut head).unwrap_or(0);
    let text = String::from_utf8_lossy(head.get(..read).unwrap_or_default()).into_owned();
    let line = text.lines().next().unwrap_or_default().to_owned();
    let mut hits = hits.lock().unwrap_or_else(PoisonError::into_inner);
    if hits.len() < 10_000 {
        hits.push(line);
    }
    drop(hits);
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{CONTENT}",
        CONTENT.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_is_known_by_its_path() {
        let listener = Listener::start(None, None).unwrap();
        let mut stream = TcpStream::connect(listener.authority()).unwrap();
        stream.write_all(b"GET /pcabc HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert_eq!(listener.was_hit("pcabc", Duration::from_secs(5)).as_deref(), Some("GET /pcabc HTTP/1.1"));
        assert!(listener.was_hit("pcother", Duration::ZERO).is_none());
        // The next part of the scan listens at the same place, and knows what arrived.
        let (place, seen) = (listener.authority().to_owned(), listener.since(0));
        drop(listener);
        let next = Listener::start(None, Some(&place)).unwrap();
        assert_eq!(next.authority(), place);
        seen.into_iter().for_each(|line| next.recall(line));
        assert!(next.was_hit("pcabc", Duration::ZERO).is_some());
    }
}
