//! A proxy in this process, upstreams that follow a script, and clients that speak in raw bytes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use portcullis_engine::{End, Engine, EngineHandle, Observer, Record, Settings, State};
use portcullis_proxy::{Listen, OriginConfig, Proxy, ProxyConfig, ProxyHandle};

/// What a record said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) end: End,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) code: Option<&'static str>,
}

#[derive(Debug, Default)]
pub(crate) struct Records(Mutex<Vec<Seen>>);

impl Observer for Records {
    fn observe(&self, record: &Record) {
        self.0.lock().unwrap().push(Seen {
            status: record.status.as_u16(),
            end: record.end,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            code: record.decision.refusal().map(|(code, ..)| code.name),
        });
    }
}

/// A running proxy; drained when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) handle: ProxyHandle,
    records: Arc<Records>,
    thread: Option<JoinHandle<()>>,
}

pub(crate) fn engine() -> EngineHandle {
    let settings = Settings { websocket_unmatched: true, ..Settings::default() };
    EngineHandle::new(Engine::builder(Arc::new(State::new(64))).settings(settings).build())
}

pub(crate) fn config(upstreams: &[SocketAddr]) -> ProxyConfig {
    let mut config = ProxyConfig { workers: 1, ..ProxyConfig::default() };
    config.listen.push(Listen { address: "127.0.0.1:0".parse().unwrap(), tls: false, proxy_protocol: false });
    config.upstream.origins =
        upstreams.iter().map(|a| OriginConfig { url: format!("http://{a}"), weight: 1 }).collect();
    config
}

pub(crate) fn start(config: ProxyConfig) -> Running {
    let records = Arc::new(Records::default());
    let proxy = Proxy::bind(config, engine(), Arc::clone(&records) as Arc<dyn Observer>).unwrap();
    let (address, handle) = (proxy.local_addrs()[0], proxy.handle());
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(proxy.run_until(std::future::pending())).unwrap();
    });
    Running { address, handle, records, thread: Some(thread) }
}

impl Running {
    pub(crate) fn before(upstream: &Upstream) -> Self {
        start(config(&[upstream.address]))
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Waits until there are `n` records.
    pub(crate) fn records(&self, n: usize) -> Vec<Seen> {
        for _ in 0..500 {
            let seen = self.records.0.lock().unwrap().clone();
            if seen.len() >= n {
                return seen;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("fewer than {n} records: {:?}", self.records.0.lock().unwrap());
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.handle.stats().read().into_iter().find(|r| r.name == name).unwrap().value
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.drain(Duration::from_millis(300));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An upstream: each connection is handed to a script on a thread of its own.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
}

pub(crate) fn upstream(script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let (count, script) = (Arc::clone(&connections), Arc::new(script));
    thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            let (stream, script) = (stream.unwrap(), Arc::clone(&script));
            thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
                let _ = script(&mut Peer { reader: BufReader::new(stream) });
            });
        }
    });
    Upstream { address, connections }
}

/// An upstream that answers every request with its head and body.
pub(crate) fn echo() -> Upstream {
    upstream(|peer| {
        loop {
            let (head, body) = peer.request()?;
            let content = format!("{head}{}", String::from_utf8_lossy(&body));
            peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len()))?;
        }
    })
}

/// A connection seen from the upstream.
pub(crate) struct Peer {
    pub(crate) reader: BufReader<TcpStream>,
}

impl Peer {
    pub(crate) fn send(&mut self, text: &str) -> io::Result<()> {
        self.reader.get_mut().write_all(text.as_bytes())
    }

    pub(crate) fn head(&mut self) -> io::Result<String> {
        read_head(&mut self.reader)
    }

    pub(crate) fn request(&mut self) -> io::Result<(String, Vec<u8>)> {
        let head = self.head()?;
        let body = read_body(&mut self.reader, &head, false)?;
        Ok((head, body))
    }
}

fn read_head(reader: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head.len() - before == 2 {
            return Ok(head);
        }
    }
}

pub(crate) fn field(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (n, v) = line.split_once(':')?;
        n.eq_ignore_ascii_case(name).then(|| v.trim().to_owned())
    })
}

fn read_body(reader: &mut impl BufRead, head: &str, until_close: bool) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = field(head, "content-length") {
        body.resize(length.parse().unwrap(), 0);
        reader.read_exact(&mut body)?;
    } else if field(head, "transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
            if size == 0 {
                break;
            }
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk)?;
            body.extend_from_slice(&chunk[..size]);
        }
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    } else if until_close {
        reader.read_to_end(&mut body)?;
    }
    Ok(body)
}

/// A client in raw bytes.
pub(crate) struct Client {
    pub(crate) reader: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn head(&mut self) -> (u16, String) {
        let head = read_head(&mut self.reader).unwrap();
        (head[9..12].parse().unwrap(), head)
    }

    pub(crate) fn response(&mut self) -> Response {
        let (status, head) = self.head();
        let body = read_body(&mut self.reader, &head, true).unwrap();
        Response { status, head, body: String::from_utf8_lossy(&body).into_owned() }
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        self.response()
    }

    /// Whether the other side has closed, with nothing more to read.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.reader.read(&mut [0u8; 1]), Ok(0) | Err(_))
    }
}
