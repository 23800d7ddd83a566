//! What the shipped manifests give a container, in a real cgroup.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::support::answering::Answering;
use super::support::headsnip::until;
use super::support::watched::Watched;
use super::{alone, as_many, exchange, half_heads};

const CLIENTS: usize = 3000;

/// A group that is removed when dropped; its processes must have ended.
struct Group(PathBuf);

impl Group {
    /// `None`: this process may make none.
    fn make(limit: u64) -> Option<Self> {
        let name = format!("headsnip-test-{}", std::process::id());
        let places = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        places.into_iter().find_map(|(place, file)| {
            let folder = Path::new(place).join(&name);
            fs::create_dir(&folder).ok()?;
            let group = Self(folder);
            // The controller is not there, perhaps.
            fs::metadata(group.0.join(file)).ok()?;
            fs::write(group.0.join(file), limit.to_string()).ok()?;
            // What has no room must not go elsewhere.
            let _ = fs::write(group.0.join("memory.swap.max"), "0");
            Some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        until(Duration::from_secs(5), "the group to be empty", || fs::remove_dir(&self.0).ok());
    }
}

/// The limit that a manifest gives the sidecar, in bytes.
fn shipped(file: &str) -> u64 {
    let path = format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).expect("the manifest is there");
    let limits = text.lines().filter_map(|line| line.split("limits: { memory: ").nth(1)?.split("Mi").next());
    let limits: Vec<u64> = limits.map(|limit| limit.parse().expect("a number")).collect();
    assert_eq!(limits.len(), 1, "{file} limits one container in this way");
    limits[0] * 1024 * 1024
}

#[test]
fn a_sidecar_as_shipped_outlives_three_thousand_half_heads() {
    let _alone = alone();
    let limit = shipped("kubernetes-sidecar.yaml");
    assert_eq!(limit, shipped("kubernetes-container.yaml"));
    let Some(group) = Group::make(limit) else {
        println!("skipped: no cgroup can be made here");
        return;
    };
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$0\"/cgroup.procs && exec \"$@\""]).arg(&group.0);
    command.arg(env!("CARGO_BIN_EXE_headsnip"));
    let origin = Answering::start();
    let proxy = Watched::start_by(command, "127.0.0.1:0", &origin.address, &[]);
    proxy.await_line(&format!("memory: {} MiB for clients", limit / 4 / 1024 / 1024));
    let mut client = proxy.dial();
    exchange(&mut client);
    let clients = half_heads(&proxy, as_many(CLIENTS), 60_000);
    for _ in 0..20 {
        exchange(&mut client);
        exchange(&mut proxy.dial());
    }
    assert!(proxy.gave_way("memory") > 0);
    println!("{} bytes were resident of {limit}, with {} half heads", proxy.peak_resident(), clients.len());
    drop((client, clients));
    proxy.await_metric("headsnip_open_connections", |count| count == 0);
    drop(proxy);
    drop(group);
}
