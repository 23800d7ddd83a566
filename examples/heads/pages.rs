//! What the pages say: the configurations that other proxies need, and what each leaves in place.

use std::error::Error;
use std::fs;
use std::path::Path;

use super::{CASES, Column};

/// The text of a page.
pub(crate) fn read(page: &str) -> std::io::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page))
}

/// The configuration of the page in that language.
pub(crate) fn configuration(page: &str, language: &str) -> Result<String, String> {
    let block = page.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("```").next());
    block.map(str::to_owned).ok_or_else(|| format!("deploy/moving.md has no block of {language}"))
}

/// Looks for each column in the table of a page that tells of the same version.
pub(crate) fn compare(page: &str, columns: &[Column]) -> Result<(), Box<dyn Error>> {
    let text = read(page)?;
    let cells_of =
        |row: &str| row.split(" | ").map(|cell| cell.trim_matches(['|', ' ']).to_owned()).collect::<Vec<_>>();
    let mut rows = text.lines().skip_while(|line| !line.starts_with("| head |"));
    let header = cells_of(rows.next().ok_or("no table of heads")?);
    let rows: Vec<Vec<String>> = rows.skip(1).take_while(|row| row.starts_with('|')).map(cells_of).collect();
    for Column { name, version, cells } in columns {
        if *name != "headsnip" && !text.contains(&format!("{name} {version}")) {
            eprintln!("not compared: {page} tells of another version of {name}");
            continue;
        }
        let place =
            header.iter().position(|cell| cell == name).ok_or_else(|| format!("{page} has no column {name}"))?;
        let told: Vec<(&str, &str)> = rows.iter().map(|row| (row[0].as_str(), row[place].as_str())).collect();
        let found: Vec<(&str, &str)> =
            CASES.iter().map(|case| case.name).zip(cells.iter().map(String::as_str)).collect();
        if told != found {
            return Err(format!("{page} says of {name}:\n{told:?}\nit is:\n{found:?}").into());
        }
    }
    Ok(())
}
