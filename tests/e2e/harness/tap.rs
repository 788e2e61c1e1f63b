//! A wire between two peers: passes every byte on and notes each request's first line.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running tap.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    pub(crate) address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Tap {
    /// Before `to`, which speaks HTTP/1.1.
    pub(crate) fn start(to: SocketAddr) -> Tap {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tap = Tap { address: listener.local_addr().unwrap(), lines: Arc::default() };
        let lines = Arc::clone(&tap.lines);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(to) else { continue };
                let (mut back, mut out) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut back, &mut out);
                    let _ = out.shutdown(Shutdown::Both);
                });
                let lines = Arc::clone(&lines);
                thread::spawn(move || pass(client, server, &lines));
            }
        });
        tap
    }

    /// `METHOD target` of the requests that came since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, lines: &Mutex<Vec<String>>) {
    let mut chunk = [0; 16 * 1024];
    let mut line = Vec::new();
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        for &byte in &chunk[..read] {
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            // A body without a line break may stand before it on its line.
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if let Some((head, target)) =
                text.strip_suffix(" HTTP/1.1").and_then(|head| head.rsplit_once(' '))
            {
                let method: String = head.chars().rev().take_while(char::is_ascii_uppercase).collect();
                let method: String = method.chars().rev().collect();
                lines.lock().unwrap().push(format!("{method} {target}"));
            }
            line.clear();
        }
        if to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
