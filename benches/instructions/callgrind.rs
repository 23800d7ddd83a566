//! What callgrind counted, in total and by function.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Where instructions are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) function: String,
}

/// The command in front of a program that has its instructions counted, into a file.
pub(crate) fn command(counts: &Path) -> Vec<String> {
    let file = format!("--callgrind-out-file={}", counts.display());
    ["valgrind", "--quiet", "--tool=callgrind", &file].map(str::to_owned).to_vec()
}

/// All instructions.
pub(crate) fn total(counts: &Path) -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string(counts)?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("no total")?;
    Ok(line.trim().parse()?)
}

/// The instructions of each function, without those of the functions that it calls. Inlined code counts for the function that
/// it is in and for the file that it is from.
pub(crate) fn by_function(counts: &Path) -> Result<BTreeMap<Place, f64>, Box<dyn Error>> {
    let flags = ["--threshold=100", "--show-percs=no", "--auto=no"];
    let output = Command::new("callgrind_annotate").args(flags).arg(counts).output()?;
    let mut functions = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((number, place)) = line.trim_start().split_once(char::is_whitespace) else { continue };
        // A line of a function: the number, the file, a colon, the function, and behind some the binary.
        if let Ok(number) = number.replace(',', "").parse::<f64>()
            && let Some((file, function)) = place.trim_start().split_once(':')
        {
            let function = function.split(" [").next().unwrap_or_default().to_owned();
            *functions.entry(Place { file: shortened(file), function }).or_default() += number;
        }
    }
    Ok(functions)
}

/// From the name of the crate on, for files of others.
fn shortened(file: &str) -> String {
    let of_crate = file.split_once("/registry/src/").and_then(|(_, path)| path.split_once('/'));
    let of_standard = file.split_once("/library/").map(|(_, path)| ("", path));
    of_crate.or(of_standard).map_or(file, |(_, path)| path).to_owned()
}
