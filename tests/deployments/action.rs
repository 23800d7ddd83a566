//! The probe as a step of GitHub Actions: its script, run as a runner does, with what its inputs are.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use serde_json::Value;

use super::setup::{SCHEMAS, Setup};
use super::{must, path, read};

/// Reads YAML as JSON.
const READ: &str = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";

pub(super) fn probes(setup: &Setup) -> Result<(), String> {
    let python = setup.python_with(&SCHEMAS)?.join("python");
    let output = Command::new(python).args(["-c", READ, &path("probe/action.yml")]).output();
    let action: Value = serde_json::from_slice(&output.map_err(|error| error.to_string())?.stdout)
        .map_err(|error| format!("it is no YAML: {error}"))?;
    must(action["runs"]["using"] == "composite" && action["description"].is_string(), "it is a composite action")?;
    must(action["inputs"]["url"]["required"] == true, "it wants a URL")?;
    let [build, probe] = action["runs"]["steps"].as_array().map_or(&[][..], Vec::as_slice) else {
        return Err("it has two steps".to_owned());
    };
    must(build["run"].as_str().is_some_and(|run| run.contains("$GITHUB_ACTION_PATH/../../Cargo.toml")), "it is built")?;
    must(std::path::Path::new(&path("probe/../../Cargo.toml")).exists(), "of the package that is there")?;
    // What was given is not read as commands.
    for step in [build, probe] {
        must(step["shell"] == "bash" && !step["run"].to_string().contains("${{"), "no input stands in a script")?;
    }
    let script = probe["run"].as_str().ok_or("no script")?;
    let default = action["inputs"]["fail-on"]["default"].as_str().unwrap_or_default();
    let status = |server: &str, fail_on: &str| {
        let url = format!("http://{}/", answering(server)?);
        let inputs = [
            ("url", url.as_str()),
            ("fail-on", fail_on),
            ("timeout", "5s"),
            ("binary", env!("CARGO_BIN_EXE_headsnip")),
        ];
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]);
        for (name, value) in probe["env"].as_object().into_iter().flatten() {
            let input = inputs.iter().find(|(input, _)| value == &format!("${{{{ inputs.{input} }}}}"));
            bash.env(name, input.ok_or_else(|| format!("{value} is no input"))?.1);
        }
        let output = bash.output().map_err(|error| error.to_string())?;
        Ok::<_, String>(output.status.code())
    };
    must(status("Server: uvicorn\r\n", default)? == Some(1), "it fails if something is disclosed")?;
    must(status("", default)? == Some(0), "it passes if nothing is")?;
    must(status("", "@missing")? == Some(1), "it fails on what it is told to")?;
    must(read("probe/action.yml")?.contains("default: 5s"), "there is a time limit")
}

/// Where a server answers each request, with that line in its heads, for as long as the test runs.
pub(super) fn answering(line: &str) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let answer = format!("HTTP/1.1 404 Not Found\r\n{line}Content-Length: 0\r\nConnection: close\r\n\r\n");
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            // Who has asked badly, or is gone, is not told.
            let _ = client.read(&mut [0; 4096]).and_then(|_| client.write_all(answer.as_bytes()));
        }
    });
    Ok(address.to_string())
}
