//! `headsnip probe https://…`: servers that speak TLS, with certificates that openssl makes here.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, LazyLock};
use std::thread;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::said;
use super::support::LIMIT;

/// An authority of our own, one that signed nothing, and two servers' certificates.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/probe-https"));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("openssl.cnf"), "[req]\ndistinguished_name = name\n[name]\n").expect("it can be written");
    let ours = ["-CA", "ca.pem", "-CAkey", "ca.key"];
    for (name, extension, signed_by) in [
        ("ca", "basicConstraints=critical,CA:TRUE", &[][..]),
        ("other-ca", "basicConstraints=critical,CA:TRUE", &[]),
        ("server", "subjectAltName=DNS:localhost,IP:127.0.0.1", &ours),
        ("elsewhere", "subjectAltName=DNS:elsewhere.example", &ours),
        ("self-signed", "subjectAltName=IP:127.0.0.1", &[]),
    ] {
        let (key, certificate, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
        let status = Command::new("openssl")
            .current_dir(&folder)
            .args([
                "req",
                "-x509",
                "-config",
                "openssl.cnf",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
            ])
            .args([
                "-nodes",
                "-days",
                "2",
                "-subj",
                &subject,
                "-addext",
                extension,
                "-keyout",
                &key,
                "-out",
                &certificate,
            ])
            .args(signed_by)
            .output()
            .expect("openssl is there");
        assert!(status.status.success(), "{}", said(&status));
    }
    // Signed by the authority, one day before it was made.
    let days = ["-CAcreateserial", "-days", "-1"];
    let signed = ["x509", "-in", "self-signed.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "expired.pem"];
    let status = Command::new("openssl").current_dir(&folder).args(signed).args(days).output();
    let status = status.expect("openssl is there");
    assert!(status.status.success(), "{}", said(&status));
    fs::copy(folder.join("self-signed.key"), folder.join("expired.key")).expect("it was made");
    folder
});

/// What a server is like.
#[derive(Clone)]
struct Server {
    certificate: &'static str,
    protocols: &'static [&'static str],
    is_closing_well: bool,
}

const USUAL: Server = Server { certificate: "server", protocols: &["h2", "http/1.1"], is_closing_well: true };

/// It answers each request so that its name is seen, if HTTP/1.1 was agreed on; on threads that end with the process.
fn serving(server: &Server) -> String {
    let file = |kind: &str| FOLDER.join(format!("{}.{kind}", server.certificate));
    let certificate = CertificateDer::from_pem_file(file("pem")).expect("openssl wrote it");
    let key = PrivateKeyDer::from_pem_file(file("key")).expect("openssl wrote it");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them");
    let mut config = config.with_no_client_auth().with_single_cert(vec![certificate], key).expect("they fit");
    config.alpn_protocols = server.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let (config, is_closing_well) = (Arc::new(config), server.is_closing_well);
    listening(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).expect("a sound configuration");
        let mut stream = StreamOwned::new(session, stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            // Who did not like the certificate is gone.
            let Ok(1) = stream.read(&mut byte) else { return };
            head.push(byte[0]);
        }
        let agreed = stream.conn.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        let body = "nginx ".repeat(20_000);
        let answer = format!(
            "HTTP/1.1 404 Not Found\r\nServer: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            agreed.unwrap_or_default(),
            body.len()
        );
        stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).expect("the probe reads");
        if is_closing_well {
            stream.conn.send_close_notify();
            // It may have read enough.
            let _ = stream.flush();
        }
        let mut stream = stream.sock;
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

fn listening(speak: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(LIMIT)).expect("a limit");
            let speak = speak.clone();
            thread::spawn(move || speak(stream));
        }
    });
    address
}

/// Trusting the authorities of that file alone.
fn probed(address: &str, authorities: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    command.env("SSL_CERT_FILE", authorities).env_remove("SSL_CERT_DIR");
    command.arg("probe").args(flags).arg(format!("https://{address}/")).output().expect("the binary runs")
}

/// "`https://`, since the public address is what a tester sees": in HTTP/1.1, to the last byte, however the server closes.
#[test]
fn what_is_said_inside_tls_is_told() {
    for is_closing_well in [true, false] {
        let address = serving(&Server { is_closing_well, ..USUAL });
        let output = probed(&address, &FOLDER.join("ca.pem"), &["--format", "json"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
        assert_eq!((output.status.code(), &found["url"]), (Some(1), &json!(format!("https://{address}/"))), "{found}");
        let answers = found["answers"].as_array().expect("a list");
        assert_eq!(answers.len(), 9, "{found}");
        for answer in answers {
            assert_eq!(answer["lines"], json!([{"status": 404, "line": "Server: http/1.1"}]), "{answer}");
            assert_eq!((&answer["body"], &answer["missed"]), (&json!(["nginx"]), &Value::Null), "{answer}");
        }
    }
}

/// In one line, with what would be right; and as if there were no server.
#[test]
fn what_is_wrong_with_tls_is_told_in_a_line() {
    let plain = listening(|mut stream| {
        // It may have read enough.
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let silent = listening(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let closing = listening(drop);
    for (address, authorities, words) in [
        (serving(&USUAL), "other-ca.pem", "set SSL_CERT_FILE to a file with the right ones"),
        (serving(&USUAL), "none.pem", "no CA certificates were found"),
        (serving(&Server { certificate: "elsewhere", ..USUAL }), "ca.pem", "not valid for name \"127.0.0.1\""),
        (
            serving(&Server { certificate: "other-ca", ..USUAL }),
            "other-ca.pem",
            "its certificate is that of an authority",
        ),
        (serving(&Server { certificate: "expired", ..USUAL }), "ca.pem", "its certificate has expired"),
        (serving(&Server { protocols: &["h2"], ..USUAL }), "ca.pem", "no HTTP/1.1 over TLS, but HTTP/2"),
        (plain, "ca.pem", "it does not speak TLS; did you mean http://?"),
        (closing, "ca.pem", "cannot reach"),
        (silent, "ca.pem", "--timeout gives it more time"),
    ] {
        let output = probed(&address, &FOLDER.join(authorities), &["--timeout", "2s"]);
        let told = said(&output);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{words}: {told}");
        assert!(told.lines().count() == 1 && told.contains(words), "{words}: {told}");
    }
}
