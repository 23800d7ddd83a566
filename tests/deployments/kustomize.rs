//! The Kustomize component, built as an operator does: a Deployment and a Service that are labelled get the sidecar, others stay as they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::setup::{KUSTOMIZE, Needs, Setup};
use super::{configured, is_restricted, must, named, path, port_to_listen, strings, validate};

/// What an operator has.
const MANIFESTS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: model, labels: { headsnip: sidecar } }
spec:
  selector: { matchLabels: { app: model } }
  template:
    metadata: { labels: { app: model }, annotations: { headsnip-upstream: '127.0.0.1:8000' } }
    spec:
      initContainers: [{ name: migrate, image: 'model:1' }]
      containers: [{ name: model, image: 'model:1' }]
---
apiVersion: v1
kind: Service
metadata: { name: model, labels: { headsnip: sidecar } }
spec: { selector: { app: model }, ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: other }
spec:
  selector: { matchLabels: { app: other } }
  template:
    metadata: { labels: { app: other } }
    spec: { containers: [{ name: other, image: 'other:1' }] }
---
apiVersion: v1
kind: Service
metadata: { name: other }
spec: { selector: { app: other }, ports: [{ port: 80, targetPort: 8000 }] }
";

/// What an operator writes.
const OVERLAY: &str = "
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [manifests.yaml]
components: [../component]
images: [{ name: headsnip, newName: registry.example/headsnip, newTag: 0.1.0 }]
";

pub(super) fn adds_the_sidecar(setup: &Setup) -> Result<(), String> {
    let built = built(setup, "").and_then(|text| documents(setup, &text))?;
    let document = |kind: &str, name: &str| {
        let is_it = |document: &&Value| document["kind"] == kind && document["metadata"]["name"] == name;
        built.iter().find(is_it).ok_or_else(|| format!("there is no {kind} {name}"))
    };
    let spec = &document("Deployment", "model")?["spec"]["template"]["spec"];
    let headsnip = named(&spec["initContainers"], "headsnip")?;
    must(
        named(&spec["initContainers"], "migrate").is_ok() && named(&spec["containers"], "model").is_ok(),
        "others stay",
    )?;
    must(headsnip["image"] == "registry.example/headsnip:0.1.0", "the image is the operator's")?;
    must(headsnip["restartPolicy"] == "Always", "it is a sidecar")?;
    is_restricted(headsnip)?;
    let upstream = named(&headsnip["env"], "HEADSNIP_UPSTREAM")?["valueFrom"]["fieldRef"]["fieldPath"].as_str();
    must(upstream == Some("metadata.annotations['headsnip-upstream']"), "the upstream is known by the annotation")?;
    // The annotation's value, and what stands for none.
    for (annotation, address) in [("127.0.0.1:8000", "127.0.0.1:8000"), ("", "127.0.0.1:3000")] {
        let variables = [("HEADSNIP_UPSTREAM".to_owned(), annotation.to_owned())];
        let config = configured(&strings(&headsnip["args"]), &variables)?;
        must(config.upstream.to_string() == address, address)?;
        let port = |name: &str| Some(named(&headsnip["ports"], name).ok()?["containerPort"].clone());
        let listens = [("headsnip", Some(&config.listen)), ("headsnip-admin", config.admin.as_ref())];
        for (name, listen) in listens {
            must(listen.and_then(port_to_listen).map(Value::from) == port(name), name)?;
        }
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        must(headsnip[probe]["httpGet"]["port"] == "headsnip-admin", probe)?;
    }
    must(document("Service", "model")?["spec"]["ports"][0]["targetPort"] == "headsnip", "clients come to it")?;
    let other = document("Deployment", "other")?;
    must(other["spec"]["template"]["spec"]["initContainers"].is_null(), "one without the label stays as it is")?;
    must(document("Service", "other")?["spec"]["ports"][0]["targetPort"] == 8000, "and its Service")?;
    must(built_is_refused(setup), "the validator sees a mistake")
}

fn built_is_refused(setup: &Setup) -> bool {
    built(setup, "readinessProbe").and_then(|text| documents(setup, &text)).is_err()
}

/// What Kustomize makes of it, with a word of the sidecar misspelt.
fn built(setup: &Setup, misspelt: &str) -> Result<String, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kustomize");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| error.to_string())?;
        fs::write(path, text).map_err(|error| error.to_string())
    };
    for name in ["kustomization.yaml", "sidecar.yaml"] {
        let text = fs::read_to_string(path(&format!("kustomize/{name}"))).map_err(|error| error.to_string())?;
        let text = if misspelt.is_empty() { text } else { text.replace(misspelt, &format!("{misspelt}s")) };
        write(&format!("component/{name}"), &text)?;
    }
    write("overlay/manifests.yaml", MANIFESTS)?;
    write("overlay/kustomization.yaml", OVERLAY)?;
    let kubectl = setup.python_with(&KUSTOMIZE)?.join("kubectl");
    let output = Command::new(kubectl).arg("kustomize").arg(folder.join("overlay")).output();
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The documents, as they hold to the schema.
fn documents(setup: &Setup, text: &str) -> Result<Vec<Value>, String> {
    let output = validate(setup, Needs::Python, "kubernetes", text)?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}
