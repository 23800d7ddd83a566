//! The systemd unit and its settings.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use headsnip::net::address::Listen;

use super::{configured, drain, must, read};

/// The exposure that systemd-analyze may find, times ten: "OK" ends at 50, and 12 is what is left of 100 here. Of the rest, most is that
/// it uses the network.
const EXPOSURE: &str = "15";

/// What is missing, if anything is.
pub(super) fn missing() -> Option<String> {
    let is_there = Command::new("systemd-analyze").arg("--version").output().is_ok();
    (!is_there).then(|| "systemd is missing".to_owned())
}

fn analyze(arguments: &[&str], unit: &PathBuf) -> Result<(), String> {
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    let output = output.map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    // Of other units of this machine it may complain too.
    let is_ours = |line: &&str| line.contains("headsnip.service:") || line.contains("headsnip.socket:");
    let complaints: Vec<&str> = told.lines().filter(is_ours).collect();
    let is_sound = output.status.success() && (arguments[0] != "verify" || complaints.is_empty());
    if is_sound { Ok(()) } else { Err(told) }
}

/// A unit that starts the binary of this build, changed by an edit.
fn unit(name: &str, edit: (&str, &str)) -> Result<PathBuf, String> {
    let text = read("headsnip.service")?;
    let text = text.replace("/usr/bin/headsnip", env!("CARGO_BIN_EXE_headsnip"));
    let edited = text.replacen(edit.0, edit.1, 1);
    must(edit.0 == edit.1 || edited != text, edit.0)?;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let path = folder.join("headsnip.service");
    fs::write(&path, edited).map_err(|error| error.to_string())?;
    Ok(path)
}

pub(super) fn is_sound() -> Result<(), String> {
    analyze(&["verify", "--man=no"], &unit("unit", ("", ""))?)?;
    let mistaken = unit("unit-mistaken", ("Type=notify", "Tpye=notify"))?;
    must(analyze(&["verify", "--man=no"], &mistaken).is_err(), "systemd sees a mistake")?;
    let stop = read("headsnip.service")?;
    let stop = stop.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.parse::<u64>().ok());
    must(stop.is_some_and(|seconds| seconds > drain().as_secs()), "systemd waits for the drain")
}

/// The socket is of the service beside it; and what the service says of ports below 1024 is so: it has no capability for them.
pub(super) fn socket_is_sound() -> Result<(), String> {
    let socket = read("headsnip.socket")?;
    let written = |name: &str, text: &str| {
        let path = unit(name, ("", ""))?.with_file_name("headsnip.socket");
        fs::write(&path, text).map_err(|error| error.to_string())?;
        Ok::<_, String>(path)
    };
    analyze(&["verify", "--man=no"], &written("unit-socket", &socket)?)?;
    let mistaken = socket.replace("ListenStream=80", "ListenStream=nowhere");
    must(analyze(&["verify", "--man=no"], &written("unit-socket-mistaken", &mistaken)?).is_err(), "a mistake is seen")?;
    let service = read("headsnip.service")?;
    let has = |line: &str| service.lines().any(|said| said == line);
    must(has("CapabilityBoundingSet=") && has("AmbientCapabilities=") && has("PrivateUsers=yes"), "no capabilities")?;
    let settings = ["listen", "admin"].map(|flag| (format!("HEADSNIP_{}", flag.to_uppercase()), "systemd".to_owned()));
    let config = configured(&[], &settings)?;
    must(config.listen == Listen::Passed && config.admin == Some(Listen::Passed), "it takes what systemd passes")
}

pub(super) fn exposes_little() -> Result<(), String> {
    let security = ["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE];
    analyze(&security, &unit("unit-exposure", ("", ""))?)?;
    let open = unit("unit-exposed", ("DynamicUser=yes\n", ""))?;
    must(analyze(&security, &open).is_err(), "the threshold can be crossed")
}

/// All settings in the file, and those that are commented out, mean something to headsnip.
pub(super) fn settings_are_known() -> Result<(), String> {
    let text = read("headsnip.default")?;
    let setting = |line: &str| {
        let (name, value) = line.trim_start_matches('#').split_once('=')?;
        name.starts_with("HEADSNIP_").then(|| (name.to_owned(), value.to_owned()))
    };
    let settings: Vec<_> = text.lines().filter_map(setting).collect();
    must(settings.len() > 3, "there are settings")?;
    configured(&[], &settings).map(drop)
}
