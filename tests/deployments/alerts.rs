//! The alerts: promtool plays good and bad days to them, and they name metrics that are exported.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{must, path, read};

const FILE: &str = "prometheus-rules.yaml";

/// What is missing, if anything is.
pub(super) fn missing() -> Option<String> {
    let told = Command::new("promtool").arg("--version").output();
    (!told.is_ok_and(|output| output.status.success())).then(|| "promtool is missing (Debian's prometheus)".to_owned())
}

pub(super) fn fire_where_they_should() -> Result<(), String> {
    played(&read(FILE)?)?;
    let never = read(FILE)?.replace("[5m])) > 5", "[5m])) > 500");
    must(never != read(FILE)?, "the mistake can be made")?;
    must(played(&never).is_err(), "an alert that never fires is seen")
}

pub(super) fn name_what_is_exported() -> Result<(), String> {
    let page = fs::read_to_string(path("../docs/operating.md")).map_err(|error| error.to_string())?;
    let rules = read(FILE)?;
    let is_of_name = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let names = rules.split(|letter| !is_of_name(letter)).filter(|word| word.starts_with("headsnip_"));
    let names: Vec<&str> = names.collect();
    must(names.len() > 7, "the rules name metrics")?;
    names.iter().try_for_each(|name| must(page.contains(&format!("| `{name}")), name))
}

/// What `alerts.yaml` says of these rules.
fn played(rules: &str) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alerts");
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map(|()| path).map_err(|error| error.to_string())
    };
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let rules = file("rules.yaml", rules)?;
    let days = include_str!("alerts.yaml").replace("RULES", &rules.display().to_string());
    let days = file("days.yaml", &days)?;
    for arguments in [["check", "rules"], ["test", "rules"]] {
        let file = if arguments[0] == "check" { &rules } else { &days };
        let output = Command::new("promtool").args(arguments).arg(file).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
        }
    }
    Ok(())
}
