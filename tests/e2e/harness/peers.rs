//! Real upstreams that others wrote, with generated configs in temporary folders.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use portcullis_dev::server::{self, Server};
use tempfile::TempDir;

/// A running server with its files; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    _server: Server,
    folder: TempDir,
}

impl Peer {
    /// Starts `command` in a new folder, with what it prints kept there, and waits until `address` takes
    /// connections.
    pub(crate) fn start(mut command: Command, folder: TempDir, address: SocketAddr) -> Self {
        command.current_dir(folder.path());
        let server = Server::start(command, &folder.path().join("peer.log"), address);
        Self { address, _server: server.unwrap_or_else(|error| panic!("{error}")), folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// An address on loopback that is free now, for programs that cannot choose one themselves.
pub(crate) fn free_address() -> SocketAddr {
    server::free_address().unwrap()
}

/// The demo shop; its weak twin, unless `fixed`.
pub(crate) fn shop(fixed: bool) -> Peer {
    let address = free_address();
    let mut command = Command::new(super::gateway::built("portcullis-demo"));
    command.args(["--listen", &address.to_string()]).args(fixed.then_some("--fixed"));
    Peer::start(command, tempfile::tempdir().unwrap(), address)
}

/// c-icap with the service `scan`, which blocks what has `EVIL-MARKER` in it; `None` where its filter is not installed.
pub(crate) fn icap(program: &Path) -> Option<Peer> {
    // The folder of libraries bears the name of the machine's architecture.
    let libraries = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("c_icap"));
    let modules = libraries.into_iter().find(|path| path.join("srv_content_filtering.so").is_file())?;
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let (path, modules) = (folder.path().display(), modules.display());
    let config = format!(
        "PidFile {path}/pid\nCommandsSocket {path}/control\nPort {address}\nStartServers 1\nMaxServers 1\n\
         ThreadsPerChild 4\nServerLog {path}/server.log\nTmpDir {path}\nModulesDir {modules}\n\
         ServicesDir {modules}\nTemplateDir /usr/share/c_icap/templates/\n\
         Service scan srv_content_filtering.so\nacl everyone src 0.0.0.0/0.0.0.0\n\
         srv_content_filtering.Match evil body /EVIL-MARKER/ score=10\n\
         srv_content_filtering.Profile files block score{{evil>5}}\n\
         srv_content_filtering.ProfileOption files AnyContentType\n\
         srv_content_filtering.ProfileAccess files everyone\n"
    );
    let file = folder.path().join("c-icap.conf");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(program);
    command.args(["-N", "-D", "-f"]).arg(file);
    Some(Peer::start(command, folder, address))
}

/// nginx with these lines in its `server` block.
pub(crate) fn nginx(program: &Path, server: &str) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let path = folder.path().display();
    let config = format!(
        "daemon off; worker_processes 1; error_log stderr warn; pid {path}/pid;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; keepalive_requests 100000; large_client_header_buffers 8 64k;\n\
         client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;\n\
         uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
         server {{ listen {address}; {server} }} }}\n"
    );
    fs::write(folder.path().join("nginx.conf"), config).unwrap();
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(folder.path())
        .arg("-c")
        .arg(folder.path().join("nginx.conf"))
        .args(["-e", "stderr"]);
    Peer::start(command, folder, address)
}

/// nginx that answers every request with its method and target.
pub(crate) fn nginx_echo(program: &Path) -> Peer {
    nginx(
        program,
        "merge_slashes off; location / { default_type text/plain; return 200 \"$request_method $request_uri\"; }",
    )
}

/// HAProxy that answers every request with its method and target.
pub(crate) fn haproxy_echo(program: &Path) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let config = format!(
        "global\n  tune.bufsize 65536\ndefaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n  \
         timeout connect 5s\nfrontend echo\n  bind {address}\n  http-request return status 200 content-type \
         text/plain lf-string \"%[method] %[url]\"\n"
    );
    fs::write(folder.path().join("haproxy.cfg"), config).unwrap();
    let mut command = Command::new(program);
    command.args(["-db", "-f"]).arg(folder.path().join("haproxy.cfg"));
    Peer::start(command, folder, address)
}

/// HAProxy that passes connections on to `to` with what `server` says, such as `send-proxy`.
pub(crate) fn haproxy_tcp(program: &Path, to: SocketAddr, server: &str) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let config = format!(
        "defaults\n  mode tcp\n  timeout client 30s\n  timeout server 30s\n  timeout connect 5s\n\
         listen balancer\n  bind {address}\n  server gateway {to} {server}\n"
    );
    fs::write(folder.path().join("haproxy.cfg"), config).unwrap();
    let mut command = Command::new(program);
    command.args(["-db", "-f"]).arg(folder.path().join("haproxy.cfg"));
    Peer::start(command, folder, address)
}

/// Node's HTTP server that answers every request, once it is complete, with its method and target.
pub(crate) fn node_echo(program: &Path) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let script = "const [, , port] = process.argv;\n\
        require('http').createServer({ maxHeaderSize: 65536, keepAliveTimeout: 60000 }, (request, response) => {\n\
          request.on('data', () => {});\n\
          request.on('end', () => response.end(`${request.method} ${request.url}`));\n\
        }).listen(port, '127.0.0.1');\n";
    fs::write(folder.path().join("echo.js"), script).unwrap();
    let mut command = Command::new(program);
    command.arg("echo.js").arg(address.port().to_string());
    Peer::start(command, folder, address)
}

/// A certificate for localhost that nobody signed but itself.
#[derive(Debug)]
pub(crate) struct Certificate {
    folder: TempDir,
}

impl Certificate {
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        server::certificate(folder.path()).unwrap();
        Self { folder }
    }

    /// The file that a client trusts.
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The gateway's `listen` section with this certificate, on a free port.
    pub(crate) fn listener(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "listen: {{ address: \"127.0.0.1:0\", tls: {{ certificate: {folder}/cert.pem, key: {folder}/key.pem }} }}"
        )
    }
}
