//! Other proxies, for the table of what they make of the same faults.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use headsnip::net::address::Address;

use super::support::headsnip::until;
use super::{SILENCE, support};

/// A proxy as a child process; killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        // By the usual signal, so that it ends its own children.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Starts the proxy of that name, with defaults but for the time limits.
pub(crate) fn start(name: &str, origin: &Address) -> Running {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a free port").port();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{name}"));
    std::fs::create_dir_all(&folder).expect("a folder for its files");
    let (text, flags) = match name {
        "nginx" => (nginx(port, origin, &folder), ["-p", ".", "-c"]),
        "haproxy" => (haproxy(port, origin), ["-db", "-q", "-f"]),
        other => unreachable!("FAULTS_OF is nginx or haproxy, not {other:?}"),
    };
    let file = folder.join("configuration");
    std::fs::write(&file, text).expect("its configuration");
    let mut command = Command::new(name);
    command.args(flags).arg(&file).current_dir(&folder).stdout(Stdio::null());
    let child = command.spawn().unwrap_or_else(|error| unreachable!("{name} cannot be started: {error}"));
    let running = Running { child, port };
    until(support::LIMIT, name, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    running
}

fn nginx(port: u16, origin: &Address, folder: &Path) -> String {
    format!(
        "daemon off; worker_processes 1; pid nginx.pid; error_log error.log;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
            upstream origin {{ server {origin}; keepalive 16; }}
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    proxy_pass http://origin;
                    proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection $connection_upgrade;
                    proxy_read_timeout {silence}ms;
                }}
            }}
        }}",
        folder = folder.display(),
        silence = SILENCE.as_millis()
    )
}

fn haproxy(port: u16, origin: &Address) -> String {
    format!(
        "global
        defaults
            mode http
            timeout connect 1s
            timeout client 5s
            timeout server {silence}ms
            timeout tunnel {silence}ms
        listen all
            bind 127.0.0.1:{port}
            server origin {origin}\n",
        silence = SILENCE.as_millis()
    )
}
