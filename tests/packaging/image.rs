//! The image: one file, run as a numeric user without a shell, a name service or anything else around it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Process, Stop, run_to_end};
use super::support::headsnip::until;
use super::support::{LIMIT, Origin, Peer};
use super::{BUILD_LIMIT, folder, is_there, must, printed, top};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// What is missing, if anything is.
pub(super) fn missing() -> Option<String> {
    if !is_there("buildah", &["--version"]) {
        return Some("buildah is missing".to_owned());
    }
    let is_root = printed(Command::new("id").arg("-u")).is_ok_and(|user| user == "0");
    (!is_root).then(|| "buildah builds without a user namespace for root alone".to_owned())
}

/// buildah with a store of its own, which is removed at the end.
struct Store(PathBuf);

impl Store {
    fn command(&self) -> Command {
        let mut command = Command::new("buildah");
        self.configure(&mut command);
        command
    }

    fn configure(&self, command: &mut Command) {
        command.args(["--storage-driver", "vfs", "--root"]).arg(self.0.join("root"));
        command.arg("--runroot").arg(self.0.join("run"));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What is mounted must go first.
        let _ = self.command().args(["rm", "--all"]).output();
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// "A static binary that works in an empty image", built as the first stage does, from what `.dockerignore` leaves of the repository. Not optimized:
/// the gate builds the files of a release, with a static binary too.
fn static_binary(store: &Store) -> Result<PathBuf, String> {
    let log = store.0.join("build.log");
    let copy = store.0.join("Dockerfile");
    fs::write(&copy, "FROM scratch\nCOPY . /\n").map_err(|error| error.to_string())?;
    let mut build = store.command();
    build.args(["bud", "--isolation", "chroot", "--tag", "context", "--file"]).arg(copy).arg(".").current_dir(top());
    printed(&mut build)?;
    let container = printed(store.command().args(["from", "context"]))?;
    let context = printed(store.command().args(["mount", &container]))?;
    let told = printed(Command::new(env!("CARGO")).args(["-vV"]))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("cargo names no host")?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--bin", "headsnip", "--target", host, "--target-dir"]).arg(&target);
    build.env("RUSTFLAGS", "-C target-feature=+crt-static").current_dir(context);
    run_to_end(build, &log, BUILD_LIMIT)?;
    Ok(target.join(host).join("debug/headsnip"))
}

pub(super) fn works() -> Result<(), String> {
    let store = Store(folder("image")?);
    let binary = static_binary(&store)?;
    let stage = store.0.join("stage/build/target/packaged");
    fs::create_dir_all(&stage).map_err(|error| error.to_string())?;
    fs::copy(&binary, stage.join("headsnip")).map_err(|error| error.to_string())?;
    let mut build = store.command();
    build.args(["bud", "--isolation", "chroot", "--tag", "headsnip", "--file", "deploy/Dockerfile"]);
    build.arg(format!("--build-context=build={}", store.0.join("stage").display())).arg(".").current_dir(top());
    printed(&mut build)?;

    let container = printed(store.command().args(["from", "headsnip"]))?;
    let mounted = printed(store.command().args(["mount", &container]))?;
    let files: Vec<_> = fs::read_dir(&mounted).map_err(|error| error.to_string())?.map_while(Result::ok).collect();
    must(files.len() == 1 && files[0].file_name() == "headsnip", format!("there is one file: {files:?}"))?;
    let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default();
    must(size(&files[0].path()) == size(&binary), "it is the binary")?;
    let user = printed(store.command().args(["inspect", "--format", "{{.OCIv1.Config.User}}", &container]))?;
    must(user.split(':').all(|number| number.parse::<u32>().is_ok_and(|number| number > 0)), &user)?;

    serves(&store, &container)
}

/// It relays, as nobody, to an upstream that it knows by name, and tells how it is.
fn serves(store: &Store, container: &str) -> Result<(), String> {
    let origin = Origin::new();
    // Both are bound at once, so that they differ.
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").and_then(|free| Ok((free.local_addr()?, free))));
    let [listen, admin] = free.map(|bound| bound.map(|(address, _)| address.to_string()).unwrap_or_default());
    let upstream = origin.address().to_string().replace("127.0.0.1", "localhost");
    let mut command = Process::command("buildah", &Stop::Ask);
    store.configure(&mut command);
    command.args(["run", "--isolation", "chroot", container, "/headsnip", "--listen", &listen]);
    command.args(["--upstream", &upstream, "--admin", &admin, "--drain-delay", "0s"]);
    let mut process = Process::start(command, store.0.join("run.log"))?;
    process.until(LIMIT, |log| log.contains("admin on ").then_some(()))?;
    let mut client = Peer::new(std::net::TcpStream::connect(&listen).map_err(|error| error.to_string())?);
    client.send(GET);
    let mut server = origin.accept();
    server.expect(GET);
    server.send("HTTP/1.1 200 OK\r\nServer: uvicorn\r\nContent-Length: 2\r\n\r\nok");
    client.expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    drop((client, server));
    let mut healthcheck = store.command();
    healthcheck.args(["run", "--isolation", "chroot", container, "/headsnip", "healthcheck", "--admin", &admin]);
    must(printed(&mut healthcheck)? == "alive", "healthcheck says that it is alive")?;
    let pid = pid_of(&listen).ok_or("there is no such process")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| error.to_string())?;
    must(status.contains("\nUid:\t65532\t65532\t65532\t65532\n"), "it runs as nobody")?;
    printed(Command::new("kill").args(["-s", "TERM", &pid]))?;
    until(LIMIT, "the end of the drain", || {
        let log = fs::read_to_string(store.0.join("run.log")).unwrap_or_default();
        log.contains("headsnip: drained: ").then_some(())
    });
    Ok(())
}

/// The process within the container that listens there.
fn pid_of(listen: &str) -> Option<String> {
    let processes = fs::read_dir("/proc").ok()?.map_while(Result::ok);
    let mut named = processes.map(|process| (process.file_name().to_string_lossy().into_owned(), process.path()));
    named.find_map(|(pid, path)| {
        let line = fs::read(path.join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        line.starts_with(&format!("/headsnip\0--listen\0{listen}\0")).then_some(pid)
    })
}
