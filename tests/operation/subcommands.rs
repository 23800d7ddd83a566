//! `healthcheck`, `man`, `completions`, and what is wrong with a command line.

use std::ffi::OsStr;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use headsnip::net::address::Address;
use socket2::{Domain, SockAddr, Socket, Type};

use super::support::Origin;
use super::support::headsnip::Headsnip;
use super::{run, said, with_admin};

/// "Asks the admin listener named by flag or environment; exit 0 or 1 and one line."
#[test]
fn healthcheck_asks_the_admin_listener() {
    let origin = Origin::new();
    let (_proxy, admin) = with_admin(&origin, &[]);
    let mut by_variable = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    by_variable.arg("healthcheck").env("HEADSNIP_ADMIN", &admin);
    for (output, line) in [
        (run(&["healthcheck", "--admin", &admin]), "alive\n"),
        (run(&["healthcheck", "--ready", "--admin", &admin]), "ready\n"),
        (run(&["healthcheck", "--admin", &admin.replace("127.0.0.1", "0.0.0.0")]), "alive\n"),
        (by_variable.output().expect("the binary runs"), "alive\n"),
    ] {
        assert_eq!((output.status.code(), &*said(&output)), (Some(0), line));
    }
}

#[test]
fn healthcheck_says_what_is_wrong() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let proxy = Headsnip::start(&free.to_string().parse().expect("an address"), &["--admin", "127.0.0.1:0"]);
    let admin = super::admin_of(&proxy);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_address = silent.local_addr().expect("an address").to_string();
    let other = page_of_another("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nalive!");
    let down = page_of_another("HTTP/1.1 503 Down\r\nConnection: close\r\n\r\n<html>\nheadsnip: fake\n</html>\n");
    let busy = page_of_another("HTTP/1.1 503 Down\r\nConnection: close\r\n\r\nbusy\n");
    let coloured = page_of_another("HTTP/1.1 500 \x1b[31mRed\r\nConnection: close\r\n\r\n");
    let path = std::env::temp_dir().join(format!("headsnip-{}-full", std::process::id()));
    let full = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    full.bind(&SockAddr::unix(&path).expect("a path")).expect("a free path");
    full.listen(0).expect("it listens");
    let _waiting = std::os::unix::net::UnixStream::connect(&path).expect("there is one place");
    let full = format!("unix:{}", path.display());
    for (arguments, code, words) in [
        (vec!["healthcheck", "--ready", "--admin", &admin], 1, "the upstream cannot be reached"),
        (vec!["healthcheck", "--admin", &free.to_string()], 1, "is headsnip running there"),
        (vec!["healthcheck", "--timeout", "200ms", "--admin", &silent_address], 1, "no answer from"),
        (vec!["healthcheck", "--admin", &other], 1, "another server's address"),
        (vec!["healthcheck", "--admin", &down], 1, "another server's address"),
        (vec!["healthcheck", "--admin", &busy], 1, "another server's address"),
        (vec!["healthcheck", "--admin", &coloured], 1, "\"HTTP/1.1 500 [31mRed\""),
        (vec!["healthcheck", "--timeout", "200ms", "--admin", &full], 1, "no answer from"),
        (vec!["healthcheck"], 2, "HEADSNIP_ADMIN"),
        (vec!["--admin", &admin, "healthcheck"], 2, "after its name"),
    ] {
        let output = run(&arguments);
        let line = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {line}");
        assert!(line.contains(words) && (code == 2 || line.lines().count() == 1), "{arguments:?}: {line}");
    }
}

/// Only a kernel that knows no IPv6 has the admin listener of `[::]` elsewhere.
#[test]
fn healthcheck_asks_nobody_at_another_address() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: there is no IPv6");
        return;
    }
    let (_proxy, admin) = with_admin(&Origin::new(), &[]);
    let (_, port) = admin.rsplit_once(':').expect("a port");
    for host in ["[::1]", "[::]"] {
        let output = run(&["healthcheck", "--admin", &format!("{host}:{port}")]);
        let line = said(&output);
        assert!(output.status.code() == Some(1) && line.contains("is headsnip running there"), "{host}: {line}");
    }
}

/// Where each request is answered by these bytes, for as long as this process lives.
fn page_of_another(answer: &'static str) -> String {
    super::probe::server(move |peer| {
        peer.read_head();
        peer.send(answer);
        peer.finish();
    })
}

#[test]
fn short_flags_and_switches_with_a_value_are_understood() {
    for (arguments, code, words) in [
        (vec!["-h"], 0, "--drain-timeout"),
        (vec!["-V"], 0, concat!("headsnip ", env!("CARGO_PKG_VERSION"), "\n")),
        (vec!["-v"], 2, "-v; did you mean --version?\n"),
        (vec!["--pid", "a"], 2, "Unrecognized argument: --pid\nRun headsnip --help"),
        (vec!["--listn", "a:1"], 2, "--listn; did you mean --listen?\n"),
        (vec!["probe", "--json", "http://a/"], 2, "Unrecognized argument: --json\n"),
        (vec!["probe", "--formt", "json"], 2, "--formt; did you mean --format?\n"),
        (vec!["--allow-upgrade", "*"], 2, "--allow-upgrade: \"*\" is not a protocol name"),
        (vec!["--dry-run=perhaps"], 2, "--dry-run \"perhaps\": expected true or false"),
        (vec!["--listen", "0.0.0.0:81", "--upstream", "localhost:81"], 2, "relay to itself"),
    ] {
        let output = run(&arguments);
        let told = said(&output);
        assert!(output.status.code() == Some(code) && told.contains(words), "{arguments:?}: {told}");
    }
    let origin = Origin::new();
    for (flag, words) in [("--dry-run=false", "removing server"), ("--dry-run=True", "a dry run")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
        command.env("HEADSNIP_DRY_RUN", "true");
        let proxy = Headsnip::start_by(&mut command, &origin.address(), &["--access-log", flag]);
        proxy.await_line(words);
    }
    let proxy = Headsnip::start(&origin.address(), &["--deny", "@owasp"]);
    let line = proxy.await_line("removing server, x-powered-by, ");
    assert!(line.contains(" more; memory: ") && line.len() < 300, "{line}");
    // RFC 6761 §6.4: a name that never resolves.
    let nowhere = Headsnip::start(&Address::Tcp { host: "nowhere.invalid".into(), port: 1 }, &[]);
    nowhere.await_line("cannot resolve nowhere.invalid of --upstream yet: ");
    let flags = ["--deny-request", "proxy,x-forwarded-*", "--add", "A: b", "--add", "C: d"];
    let proxy = Headsnip::start(&origin.address(), &flags);
    proxy.await_line("x-powered-by; from requests: proxy, x-forwarded-*; adding 2 lines; memory: ");
}

/// "A wrong one is refused before anything is bound": passed over, it would leave in place what it says to remove.
#[test]
fn what_is_not_text_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    let output = command.env("HEADSNIP_DENY", OsStr::from_bytes(b"via,x-\xff")).output().expect("the binary runs");
    assert!(output.status.code() == Some(2) && said(&output).contains("HEADSNIP_DENY"), "{}", said(&output));
    let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
    let output = command.arg(OsStr::from_bytes(b"--deny=\xff")).output().expect("the binary runs");
    assert!(output.status.code() == Some(2) && said(&output).contains("the argument \"--deny="), "{}", said(&output));
}

#[test]
fn the_man_page_tells_of_each_flag_and_subcommand() {
    let page = said(&run(&["man"]));
    let help = said(&run(&["--help"]));
    let words = help.lines().filter_map(|line| line.split_whitespace().next());
    let flags: Vec<&str> = words.filter(|word| word.starts_with("--")).collect();
    assert!(flags.len() > 18, "{help}");
    for flag in flags {
        let word = flag.trim_end_matches(',').replace('-', "\\-");
        assert!(page.contains(&word), "{word} in {page}");
    }
    for word in ["healthcheck", "probe", "completions", "HEADSNIP_DRAIN_TIMEOUT"] {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish", "nushell"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success() && said(&output).contains("upstream"), "{shell}");
    }
    let script = run(&["completions", "bash"]).stdout;
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("completions-{}", std::process::id()));
    std::fs::write(&path, script).expect("the folder is there");
    let status = Command::new("bash").arg("-n").arg(&path).status().expect("bash runs");
    std::fs::remove_file(path).expect("it was written");
    assert!(status.success(), "bash cannot read its completions");
    let output = run(&["completions", "tcsh"]);
    assert!(
        output.status.code() == Some(2) && said(&output).contains("bash, zsh, fish or nushell"),
        "{}",
        said(&output)
    );
}

/// As bash asks for them when the tab key is pressed behind that line; a colon and an equals sign begin a word, as they do by default.
#[test]
fn bash_completes_commands_flags_and_values() {
    let script = said(&run(&["completions", "bash"]));
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sockets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the folder is there");
    File::create(folder.join("app.sock")).expect("the folder is there");
    let asked = "COMP_LINE=$1 COMP_POINT=${#1}; _headsnip; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let path = format!("unix:{}/", folder.display());
    for (line, expected) in [
        ("headsnip pro", vec!["probe"]),
        ("headsnip --log-format ", vec!["text", "json"]),
        ("headsnip --dry-run --log-format=j", vec!["json"]),
        ("headsnip --reuse-origin b", vec!["bodyless"]),
        ("headsnip --send-proxy ", vec!["v1", "v2"]),
        ("headsnip --upstream u", vec!["unix:"]),
        ("headsnip --access-log --forw", vec!["--forwarded-for"]),
        ("headsnip completions z", vec!["zsh"]),
        ("headsnip probe --format s", vec!["sarif"]),
        ("headsnip probe unix", vec!["unix:"]),
        ("headsnip healthcheck --adm", vec!["--admin"]),
        ("headsnip --deny ", vec![""]),
        (&format!("headsnip --upstream {path}a"), vec![&format!("{}/app.sock", folder.display())[..]]),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &format!("COMP_WORDBREAKS=$' \\t\\n=:'\n{script}\n{asked}"), "bash", line]);
        let output = bash.output().expect("bash runs");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{line:?}: {}", said(&output));
    }
    std::fs::remove_dir_all(folder).expect("it was made");
}

/// A line of the help text fits a terminal of 100 columns.
#[test]
fn help_names_values_and_fits_a_terminal() {
    for (arguments, words) in [
        (vec!["--help"], "--log-format text|json "),
        (vec!["probe", "--help"], "Usage: headsnip probe [FLAG ...] URL\n"),
        (vec!["healthcheck", "--help"], "--admin ADDR"),
        (vec!["--upstream", "probe", "--help"], "--log-format text|json "),
    ] {
        let output = run(&arguments);
        let told = said(&output);
        assert!(output.status.success() && told.contains(words), "{arguments:?}: {told}");
        assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
    }
    let page = said(&run(&["man"]));
    for heading in ["EXIT STATUS", "ENVIRONMENT", "FILES", "SIGNALS"] {
        assert!(
            page.contains(&format!(".SH {heading}\n")) || page.contains(&format!(".SH \"{heading}\"\n")),
            "{heading}"
        );
    }
}

/// Whoever builds a package from what is printed must see that it is not whole.
#[test]
fn what_cannot_be_written_is_a_failure() {
    let origin = Origin::new();
    let (_proxy, admin) = with_admin(&origin, &[]);
    let url = format!("http://{admin}/livez");
    let commands: [&[&str]; 9] = [
        &["--help"],
        &["--version"],
        &["man"],
        &["completions", "bash"],
        &["healthcheck", "--admin", &admin],
        &["probe", "--fail-on", "@nothing", &url],
        &["probe", "--fail-on", "@nothing", "--format", "json", &url],
        &["probe", "--fail-on", "@nothing", "--format", "sarif", &url],
        &["probe", "--fail-on", "@nothing", "--format", "junit", &url],
    ];
    for arguments in commands {
        let run = |output: Stdio| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_headsnip"));
            let output = command.args(arguments).stdout(output).stderr(Stdio::piped()).output();
            let output = output.expect("the binary runs");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        assert_eq!(run(Stdio::null()), (Some(0), String::new()), "{arguments:?}");
        let full = File::options().write(true).open("/dev/full").expect("the device is there");
        let (code, told) = run(full.into());
        assert_eq!((code, told.lines().count()), (Some(1), 1), "{arguments:?}: {told}");
        assert!(told.starts_with("headsnip: cannot write to standard output: "), "{told}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_eq!(run(writer.into()), (Some(1), String::new()), "{arguments:?}");
    }
}
