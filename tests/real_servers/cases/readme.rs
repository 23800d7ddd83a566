//! The README's two minutes with a server of one's own: what the probe prints of uvicorn, and of headsnip in front of it.

use std::process::Command;

use libtest_mimic::Failed;

use crate::server::{Running, binary};
use crate::wire::Endpoint;

/// Where the README has uvicorn and headsnip, and what the probe's exit code is.
const PROBED: [(&str, i32); 2] = [("127.0.0.1:3000", 1), ("127.0.0.1:8080", 0)];

pub(crate) fn two_minutes(running: &Running) -> Result<(), Failed> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))?;
    for ((shown, code), at) in PROBED.into_iter().zip([&running.direct, &running.through]) {
        let url = format!("http://{shown}/hello");
        if !readme.contains(&format!("\nheadsnip probe {url}\n")) {
            return Err(format!("the README does not probe {url}").into());
        }
        let output = Command::new(binary()?).args(["probe", &of(at)?]).output()?;
        let printed = String::from_utf8_lossy(&output.stdout).replace(&of(at)?, &url);
        // The README says in words what comes then.
        let (printed, missing) = printed
            .split_once("\n\n")
            .and_then(|(url, rest)| {
                let (table, rest) = rest.split_once("\n\n")?;
                let (advice, missing) = rest.split_once("\n\n")?;
                Some((format!("{url}\n\n{table}\n\n{advice}\n"), missing.to_owned()))
            })
            .ok_or_else(|| format!("other paragraphs:\n{printed}"))?;
        if !missing.contains("\n  --add 'X-Content-Type-Options: nosniff'\n") {
            return Err(format!("the README says that flags are listed, and there are:\n{missing}").into());
        }
        if output.status.code() != Some(code) || !readme.contains(&format!("```\n{printed}```\n")) {
            return Err(format!("the README shows something else; {} and\n{printed}", output.status).into());
        }
    }
    Ok(())
}

fn of(at: &Endpoint) -> Result<String, String> {
    Ok(format!("http://127.0.0.1:{}/hello", crate::server::port(at)?))
}
