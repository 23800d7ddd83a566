//! On a network that breaks: nobody is told by a FIN or a reset.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use headsnip::net::address::Address;

use super::support::exchange_on_unix;
use super::support::headsnip::Headsnip;
use super::{BINARY, path};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A network of its own with an address that is not of the loopback, on which silence is noticed after 3 s.
const NETWORK: &str = "ip link set lo up && ip address add 10.99.0.1/32 dev lo && cd /proc/sys/net/ipv4 &&
    echo 1 >tcp_keepalive_time && echo 1 >tcp_keepalive_intvl && echo 2 >tcp_keepalive_probes";

/// Two headsnips, one behind the other: one has the client that is gone, the other the application that is. In a tunnel nothing else would end
/// that, for as long as `--tunnel-timeout`.
#[test]
fn who_is_gone_without_a_word_is_gone_for_the_other_side_of_an_idle_tunnel() {
    let apart = |script: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sh", "-c", &format!("{NETWORK} && {script}"), "sh", BINARY]);
        unshare
    };
    if !apart("true").status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "there is no network to be had");
        println!("skipped: there is no network to be had");
        return;
    }
    let [near, far] = ["near", "far"].map(path);
    let of = |path: &std::path::Path| Address::Unix(path.to_owned());
    let between: Address = "10.99.0.1:81".parse().expect("an address");
    let application = UnixListener::bind(&far).expect("a free path");
    let first = Headsnip::start_at(&of(&near).to_string(), &mut apart("exec \"$@\""), &between, &[]);
    let process = first.id().to_string();
    let within = |program: &str| {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &process, "--net", program]);
        nsenter
    };
    let _second = Headsnip::start_at(&between.to_string(), &mut within(BINARY), &of(&far), &[]);
    let mut client = UnixStream::connect(&near).expect("it listens");
    let mut origin = exchange_on_unix(&mut client, &application, UPGRADE, SWITCHED);
    assert!(within("ip").args(["link", "set", "lo", "down"]).status().is_ok_and(|status| status.success()));
    for stream in [&mut client, &mut origin] {
        let rest = stream.read(&mut [0; 1]);
        assert!(rest.is_ok_and(|count| count == 0), "it is told");
    }
    std::fs::remove_file(far).expect("the path is ours");
}
