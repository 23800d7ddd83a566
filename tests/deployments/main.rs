//! The files of `deploy/`, and the workflows: each holds to its schema, as a validator that others wrote reads it, and what it says to headsnip and
//! of headsnip is so.
//!
//! The first run installs the validators, of pinned versions, under the build folder. Where Python, Node or systemd is missing, the tests
//! that need it are skipped, which is said; with `CI=true` in the environment they fail instead.

mod action;
mod alerts;
mod dashboard;
mod kustomize;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "only what installs packages is needed of it")]
mod process;
mod reports;
mod sbom;
#[path = "../support/setup.rs"]
#[expect(dead_code, reason = "only the schemas are needed of it")]
mod setup;
mod unit;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use headsnip::cli;
use headsnip::config::{Config, Drain};
use headsnip::net::address::{Address, Listen};
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use setup::{MORE_SCHEMAS, Needs, SCHEMAS, Setup};

/// A file, the validator's name for what it is, an edit that must be refused, and what must be so besides.
struct Deployment {
    file: &'static str,
    kind: &'static str,
    needs: Needs,
    mistake: (&'static str, &'static str),
    check: fn(&[Value]) -> Result<(), String>,
}

const DEPLOYMENTS: [Deployment; 8] = [
    Deployment {
        file: "ecs-task-definition.yaml",
        kind: "ecs",
        needs: Needs::Python,
        mistake: ("stopTimeout: 30", "stopTimeout: 30s"),
        check: ecs,
    },
    Deployment {
        file: "kubernetes-container.yaml",
        kind: "kubernetes",
        needs: Needs::Python,
        mistake: ("readinessProbe:", "readyProbe:"),
        check: |documents| kubernetes(documents, "containers"),
    },
    Deployment {
        file: "kubernetes-sidecar.yaml",
        kind: "kubernetes",
        needs: Needs::Python,
        mistake: ("startupProbe:", "startProbe:"),
        check: |documents| kubernetes(documents, "initContainers"),
    },
    Deployment {
        file: "kubernetes-servicemonitor.yaml",
        kind: "servicemonitor",
        needs: Needs::Node,
        mistake: ("selector:", "select:"),
        check: servicemonitor,
    },
    Deployment {
        file: "../.github/workflows/gate.yml",
        kind: "workflow",
        needs: Needs::Node,
        mistake: ("steps:", "step:"),
        check: |_| Ok(()),
    },
    Deployment {
        file: "../.github/workflows/release.yml",
        kind: "workflow",
        needs: Needs::Node,
        mistake: ("matrix.runner", "matrix.runners"),
        check: |_| Ok(()),
    },
    Deployment {
        file: "grafana-dashboard.json",
        kind: "grafana",
        needs: Needs::Node,
        mistake: ("\"drawStyle\": \"line\"", "\"drawStyle\": \"lines\""),
        check: |_| Ok(()),
    },
    Deployment {
        file: "compose.yaml",
        kind: "compose",
        needs: Needs::Node,
        mistake: ("ports:", "port:"),
        check: compose,
    },
];

fn main() -> ExitCode {
    let must_run = std::env::var("CI").is_ok_and(|value| value == "true");
    let setup = match Setup::new() {
        Ok(setup) => Arc::new(setup),
        Err(error) => {
            eprintln!("deployments: {error}");
            return ExitCode::FAILURE;
        }
    };
    let trials = DEPLOYMENTS.iter().map(|deployment| {
        let missing = setup.missing(deployment.needs).map(str::to_owned);
        let setup = Arc::clone(&setup);
        trial(deployment.file, must_run, missing, move || deployment.hold(&setup))
    });
    let mut trials: Vec<_> = trials.collect();
    let missing = unit::missing();
    trials.push(trial("headsnip.service", must_run, missing.clone(), unit::is_sound));
    trials.push(trial("headsnip.socket", must_run, missing.clone(), unit::socket_is_sound));
    trials.push(trial("headsnip.service exposes little", must_run, missing, unit::exposes_little));
    let missing = alerts::missing();
    trials.push(trial("prometheus-rules.yaml", must_run, missing.clone(), alerts::fire_where_they_should));
    trials.push(trial("prometheus-rules.yaml names", must_run, None, alerts::name_what_is_exported));
    trials.push(trial("grafana-dashboard.json shows", must_run, None, dashboard::shows_what_is_exported));
    trials.push(trial("grafana-dashboard.json asks", must_run, missing, dashboard::asks_what_promtool_reads));
    let (missing, known) = (setup.missing(Needs::Python).map(str::to_owned), Arc::clone(&setup));
    trials.push(trial("kustomize", must_run, missing.clone(), move || kustomize::adds_the_sidecar(&known)));
    let known = Arc::clone(&setup);
    trials.push(trial("probe/action.yml", must_run, missing.clone(), move || action::probes(&known)));
    let known = Arc::clone(&setup);
    let no_node = setup.missing(Needs::Node).map(str::to_owned).or_else(reports::no_validator);
    trials.push(trial("the probe's SARIF", must_run, no_node, move || reports::are_taken_by_code_scanning(&known)));
    let known = Arc::clone(&setup);
    trials.push(trial("build-sbom", must_run, missing.clone(), move || sbom::lists_what_is_linked(&known)));
    trials.push(trial("the probe's JUnit", must_run, missing, move || reports::are_read_as_test_results(&setup)));
    trials.push(trial("headsnip.default", must_run, None, unit::settings_are_known));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A test that is skipped where something is missing, unless it must run.
fn trial(
    name: &str,
    must_run: bool,
    missing: Option<String>,
    test: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Trial {
    let is_skipped = missing.is_some() && !must_run;
    if let Some(what) = &missing {
        eprintln!("deployments: {what}; {name} {}", if must_run { "fails, as CI=true wants it" } else { "is skipped" });
    }
    let test = move || missing.map_or_else(test, Err).map_err(Into::into);
    Trial::test(name, test).with_ignored_flag(is_skipped)
}

/// Where a file of `deploy/` is.
fn path(file: &str) -> String {
    format!("{}/deploy/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> Result<String, String> {
    fs::read_to_string(path(file)).map_err(|error| format!("{file}: {error}"))
}

impl Deployment {
    fn hold(&self, setup: &Setup) -> Result<(), String> {
        let text = read(self.file)?;
        let output = validate(setup, self.needs, self.kind, &text)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let documents: Vec<Value> = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        (self.check)(&documents)?;
        let (right, wrong) = self.mistake;
        let mistaken = text.replacen(right, wrong, 1);
        must(mistaken != text, "the mistake can be made")?;
        must(!validate(setup, self.needs, self.kind, &mistaken)?.status.success(), "the validator sees the mistake")
    }
}

/// What the validator says of a text.
fn validate(setup: &Setup, needs: Needs, kind: &str, text: &str) -> Result<Output, String> {
    let script = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deployments").join(name);
    let mut command = match needs {
        Needs::Python => Command::new(setup.python_with(&SCHEMAS)?.join("python")),
        Needs::Node => Command::new(setup.node()?),
    };
    match needs {
        Needs::Python => command.arg(script("validate.py")).arg(kind),
        Needs::Node => command.arg(script("validate.mjs")).arg(kind).arg(setup.node_with(&MORE_SCHEMAS)?),
    };
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| format!("{command:?}: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes()).map_err(|error| format!("{command:?}: {error}"))?;
    }
    child.wait_with_output().map_err(|error| format!("{command:?}: {error}"))
}

fn must(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("it does not hold: {what}")) }
}

/// What these arguments and variables make headsnip do.
fn configured(arguments: &[String], variables: &[(String, String)]) -> Result<Config, String> {
    for (name, _) in variables {
        must(cli::variables().any(|known| known == *name), name)?;
    }
    let variable = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    match cli::parse(arguments, variable) {
        Ok(cli::Command::Run(config, _)) => Ok(*config),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

fn port_of(address: &Address) -> Option<u16> {
    if let Address::Tcp { port, .. } = address { Some(*port) } else { None }
}

fn port_to_listen(listen: &Listen) -> Option<u16> {
    if let Listen::At(address) = listen { port_of(address) } else { None }
}

/// How long headsnip may take to end; what stops it must wait longer.
fn drain() -> Duration {
    let Drain { delay, timeout, .. } = Drain::default();
    delay + timeout
}

fn outlasts_the_drain(seconds: &Value) -> Result<(), String> {
    must(seconds.as_u64().is_some_and(|seconds| seconds > drain().as_secs()), "what stops it waits for the drain")
}

fn named<'a>(list: &'a Value, name: &str) -> Result<&'a Value, String> {
    let mut items = list.as_array().into_iter().flatten();
    items.find(|item| item["name"] == name).ok_or_else(|| format!("nothing is named {name}"))
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// "The sidecar depends on the application, so that it stops first; stopTimeout above the drain; healthcheck; only the sidecar's
/// port mapped."
fn ecs(documents: &[Value]) -> Result<(), String> {
    let containers = &documents.first().ok_or("no document")?["containerDefinitions"];
    let (model, headsnip) = (named(containers, "model")?, named(containers, "headsnip")?);
    must(headsnip["dependsOn"][0]["containerName"] == "model", "headsnip starts after the model")?;
    must(model["healthCheck"].is_object(), "the model can be seen to be healthy")?;
    must(model["portMappings"].is_null(), "the model has no port")?;
    for container in [model, headsnip] {
        must(container["logConfiguration"]["logDriver"] == "awslogs", "what it says is kept")?;
    }
    let platform = &documents[0]["runtimePlatform"];
    must(
        platform["cpuArchitecture"].is_string() && platform["operatingSystemFamily"] == "LINUX",
        "the platform is named",
    )?;
    let memory = headsnip["memory"].as_u64().ok_or("no limit")?;
    outlasts_the_drain(&headsnip["stopTimeout"])?;
    must(strings(&headsnip["healthCheck"]["command"]) == ["CMD", "/headsnip", "healthcheck"], "its health is asked")?;
    let environment = headsnip["environment"].as_array().into_iter().flatten();
    let pair = |item: &Value| Some((item["name"].as_str()?.to_owned(), item["value"].as_str()?.to_owned()));
    let config = configured(&[], &environment.filter_map(pair).collect::<Vec<_>>())?;
    let mapped = headsnip["portMappings"][0]["containerPort"].as_u64();
    must(port_to_listen(&config.listen).map(u64::from) == mapped, "it listens on the port that is mapped")?;
    must(port_of(&config.upstream).map(|port| port.to_string()) == model_port(model, "command"), "it finds the model")?;
    fits(&config, memory)?;
    must(config.admin.is_some(), "healthcheck has whom to ask")
}

/// The memory that clients have at most, and half of it more, is within a limit in MiB: docs/operating.md says what it needs.
fn fits(config: &Config, limit: u64) -> Result<(), String> {
    let memory = config.max_memory.and_then(|memory| u64::try_from(memory).ok()).ok_or("no --max-memory")?;
    must(memory / 2 * 3 < limit << 20, "the limit leaves room for what headsnip holds")
}

/// What a namespace wants whose pods are "restricted".
fn is_restricted(container: &Value) -> Result<(), String> {
    let context = &container["securityContext"];
    must(context["runAsNonRoot"] == true && context["allowPrivilegeEscalation"] == false, "it has few rights")?;
    must(context["capabilities"]["drop"][0] == "ALL", "it has no capabilities")?;
    must(context["seccompProfile"]["type"] == "RuntimeDefault", "it has few system calls")
}

/// What stands behind `--port` in the command of the model.
fn model_port(model: &Value, command: &str) -> Option<String> {
    let arguments = strings(&model[command]);
    let flag = arguments.iter().position(|argument| argument == "--port")?;
    arguments.get(flag + 1).cloned()
}

/// "As a plain container and as a native sidecar: probes, securityContext, resource requests."
fn kubernetes(documents: &[Value], list: &str) -> Result<(), String> {
    let spec = &documents.first().ok_or("no document")?["spec"]["template"]["spec"];
    let (model, headsnip) = (named(&spec["containers"], "model")?, named(&spec[list], "headsnip")?);
    must(headsnip["restartPolicy"].as_str() == (list == "initContainers").then_some("Always"), "it runs all along")?;
    outlasts_the_drain(&spec["terminationGracePeriodSeconds"])?;
    let config = configured(&strings(&headsnip["args"]), &[])?;
    for (name, address) in [("http", Some(&config.listen)), ("admin", config.admin.as_ref())] {
        let port = named(&headsnip["ports"], name)?["containerPort"].as_u64();
        must(address.and_then(port_to_listen).map(u64::from) == port && port.is_some(), name)?;
    }
    must(port_of(&config.upstream).map(|port| port.to_string()) == model_port(model, "args"), "it finds the model")?;
    must(model["ports"].is_null(), "the model has no port")?;
    for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/livez")] {
        let asked = &headsnip[probe]["httpGet"];
        must(asked["path"] == path && asked["port"] == "admin", probe)?;
    }
    [model, headsnip].into_iter().try_for_each(is_restricted)?;
    must(headsnip["securityContext"]["readOnlyRootFilesystem"] == true, "it has few rights")?;
    let resources = &headsnip["resources"];
    must(resources["requests"].is_object(), "it asks for resources")?;
    let limit = resources["limits"]["memory"].as_str().and_then(|limit| limit.strip_suffix("Mi")?.parse().ok());
    fits(&config, limit.ok_or("no limit")?)?;
    for listen in [Some(&config.listen), config.admin.as_ref()] {
        must(
            listen.is_some_and(|listen| listen.to_string().starts_with("[::]:")),
            "it is reached by either kind of address",
        )?;
    }
    let others = |kind: &'static str| documents.iter().filter(move |document| document["kind"] == kind);
    let mut policies = others("NetworkPolicy");
    let is_kept = |policy: &Value| policy["spec"]["ingress"].to_string().contains("monitoring");
    must(
        policies.any(|policy| policy["spec"]["podSelector"]["matchLabels"]["app"] == "model" && is_kept(policy)),
        "others do not reach the admin listener",
    )?;
    let mut budgets = others("PodDisruptionBudget");
    must(
        budgets.any(|budget| budget["spec"]["selector"]["matchLabels"]["app"] == "model"),
        "some serve while others are moved",
    )?;
    let services = documents.iter().filter(|document| document["kind"] == "Service");
    let ports = services.map(|service| (service["metadata"]["name"].as_str(), &service["spec"]["ports"]));
    let open = ports.filter(|(name, ports)| *name == Some("model") && ports.to_string().contains("admin"));
    must(open.count() == 0, "clients do not reach the admin listener")
}

/// It selects the service that has the port.
fn servicemonitor(documents: &[Value]) -> Result<(), String> {
    let spec = &documents.first().ok_or("no document")?["spec"];
    must(spec["endpoints"][0]["path"] == "/metrics", "it asks for the metrics")?;
    let labels = spec["selector"]["matchLabels"].as_object().ok_or("no labels")?;
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}: {}", unquoted(value))).collect();
    let service = read("kubernetes-container.yaml")?;
    let service = service.split("name: model-admin").nth(1).ok_or("no such service")?;
    must(labels.iter().all(|label| service.lines().nth(1).is_some_and(|line| line.contains(label))), "the labels")?;
    let port = format!("name: {}, port:", unquoted(&spec["endpoints"][0]["port"]));
    must(service.split("---").next().is_some_and(|service| service.contains(&port)), "the port")
}

fn unquoted(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// "Docker Compose with `BentoML`."
fn compose(documents: &[Value]) -> Result<(), String> {
    let services = &documents.first().ok_or("no document")?["services"];
    let (model, headsnip) = (&services["model"], &services["headsnip"]);
    must(model["ports"].is_null() && model["healthcheck"].is_object(), "the model has no port, and a health")?;
    must(headsnip["depends_on"]["model"]["condition"] == "service_healthy", "headsnip starts after the model")?;
    let stop = headsnip["stop_grace_period"].as_str().and_then(|text| text.strip_suffix('s')?.parse::<u64>().ok());
    outlasts_the_drain(&stop.into())?;
    let environment = headsnip["environment"].as_object().into_iter().flatten();
    let variables: Vec<_> = environment.map(|(name, value)| (name.clone(), unquoted(value).to_owned())).collect();
    let config = configured(&[], &variables)?;
    must(config.upstream.to_string() == "model:3000", "it finds the model by its name")?;
    let dockerfile = headsnip["build"]["dockerfile"].as_str().ok_or("no Dockerfile")?;
    must(Path::new(&path("..")).join(dockerfile).exists(), "the Dockerfile is there")
}
