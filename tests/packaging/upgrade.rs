//! The Debian package, installed, upgraded, removed and purged, in a root of its own: this machine's, under a layer that takes what is
//! written (overlayfs) and is gone at the end. In place of systemctl stands a file that writes down what it is asked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{deb, folder, must, printed};

/// What is missing, if anything is.
pub(super) fn missing() -> Option<String> {
    if let Some(what) = deb::missing() {
        return Some(what);
    }
    if !Path::new("/usr/bin/deb-systemd-invoke").exists() {
        return Some("this is no Debian".to_owned());
    }
    let script = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/m && \
        mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m";
    let is_layered = printed(Command::new("unshare").args(["--mount", "sh", "-c", script])).is_ok();
    (!is_layered).then(|| "a root of its own is for root alone".to_owned())
}

/// Sets up the root, and runs what follows in it. The last step tells what was asked of systemctl, each ask behind the step that did it.
const SCRIPT: &str = r#"
set -eu
packages=$1
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
root=/mnt/root
rm -f "$root/usr/sbin/policy-rc.d" "$root/usr/bin/systemctl" "$root/bin/systemctl"
mkdir -p "$root/run/systemd/system" "$root/packages"
[ -c "$root/dev/null" ] || { rm -f "$root/dev/null"; mknod -m 666 "$root/dev/null" c 1 3; }
cp "$packages"/*.deb "$packages/systemctl" "$root/packages/"
cp "$packages/systemctl" "$root/usr/bin/systemctl"
step() {
  echo "-- $1"
  shift
  : >"$root/asked"
  DEBIAN_FRONTEND=noninteractive chroot "$root" dpkg --no-triggers "$@" >"$root/log" 2>&1 || { cat "$root/log"; exit 1; }
  cat "$root/asked"
  for file in usr/bin/headsnip usr/lib/systemd/system/headsnip.service usr/lib/systemd/system/headsnip.socket etc/default/headsnip; do
    [ ! -e "$root/$file" ] || echo "there is $file"
  done
  find "$root/etc/systemd/system" -name 'headsnip*' -printf 'enabled %f\n'
}
chroot "$root" dpkg --purge headsnip >/dev/null 2>&1 || true
step install --install /packages/old.deb
echo '# of the operator' >>"$root/etc/default/headsnip"
step upgrade --install /packages/new.deb
grep -q 'of the operator' "$root/etc/default/headsnip"
step remove --remove headsnip
step purge --purge headsnip
"#;

/// It has all the world run and be disabled.
const SYSTEMCTL: &str = "#!/bin/sh
echo \"systemctl $*\" >>/asked
case \"$*\" in *is-enabled*) echo disabled; exit 1 ;; *is-active*) echo active ;; esac
";

pub(super) fn works() -> Result<(), String> {
    let folder = folder("upgrade")?;
    let package = deb::build(&folder)?;
    fs::copy(&package, folder.join("old.deb")).map_err(|error| error.to_string())?;
    newer(&folder, &package)?;
    let systemctl = folder.join("systemctl");
    fs::write(&systemctl, SYSTEMCTL).map_err(|error| error.to_string())?;
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
    let mut all = Command::new("timeout");
    all.args(["-s", "KILL", "120", "unshare", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(&folder);
    let told = printed(&mut all)?;
    let steps: Vec<&str> = told.split("-- ").skip(1).collect();
    let [install, upgrade, remove, purge] = steps[..] else { return Err(told) };
    let asks = |step: &str, ask: &str| step.lines().any(|line| line.starts_with("systemctl ") && line.contains(ask));
    let has = |step: &str, file: &str| step.lines().any(|line| line == format!("there is {file}"));
    for step in [install, upgrade] {
        must(asks(step, "daemon-reload"), format!("the units are read: {step}"))?;
        must(!step.contains("enabled "), format!("the operator enables it: {step}"))?;
        must(!asks(step, "headsnip.socket"), format!("the socket stays as it is: {step}"))?;
        for file in ["usr/bin/headsnip", "etc/default/headsnip"] {
            must(has(step, file), format!("there is {file}: {step}"))?;
        }
        for unit in ["service", "socket"] {
            must(has(step, &format!("usr/lib/systemd/system/headsnip.{unit}")), format!("there is a {unit}: {step}"))?;
        }
    }
    must(!asks(install, "start"), format!("the operator starts it: {install}"))?;
    must(asks(upgrade, "try-restart headsnip.service"), format!("the new binary is run: {upgrade}"))?;
    must(!asks(upgrade, " stop "), format!("it serves until then: {upgrade}"))?;
    must(asks(remove, "stop headsnip.socket headsnip.service"), format!("it is stopped: {remove}"))?;
    must(asks(remove, "daemon-reload"), format!("the units are forgotten: {remove}"))?;
    must(
        !has(remove, "usr/bin/headsnip") && has(remove, "etc/default/headsnip"),
        format!("settings are kept: {remove}"),
    )?;
    must(!purge.contains("there is "), format!("nothing is left: {purge}"))
}

/// The same package, as of a later version.
fn newer(folder: &Path, package: &Path) -> Result<PathBuf, String> {
    let tree = folder.join("newer");
    printed(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(&tree))?;
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).map_err(|error| error.to_string())?;
    let version = concat!("Version: ", env!("CARGO_PKG_VERSION"));
    let later = text.replace(version, concat!("Version: ", env!("CARGO_PKG_VERSION"), "+later"));
    must(later != text, text)?;
    fs::write(&control, later).map_err(|error| error.to_string())?;
    let path = folder.join("new.deb");
    printed(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&path))?;
    Ok(path)
}
