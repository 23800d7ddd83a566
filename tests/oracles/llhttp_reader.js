// Reads messages with llhttp, as it is in Node, and says what it made of them; see reader.rs for the form of both.
"use strict";

process.removeAllListeners("warning");
process.on("warning", () => {});
const { HTTPParser, allMethods, methods } = process.binding("http_parser");
const lines = require("readline").createInterface({ input: process.stdin });

const UNLIMITED = 1 << 24;
const methodNames = allMethods ?? methods;
const hex = (text) => Buffer.from(text, "latin1").toString("hex");

function read(kind, asked, data, ended) {
  const isResponse = kind === "response";
  const said = [];
  const pairs = (word, list) => {
    for (let i = 0; i < list.length; i += 2) said.push(`${word} ${hex(list[i].toLowerCase())} ${hex(list[i + 1])}`);
  };
  const parser = new HTTPParser();
  parser.initialize(isResponse ? HTTPParser.RESPONSE : HTTPParser.REQUEST, {}, UNLIMITED, 0);
  let begun = false;
  let isFinal = false;
  let isSwitched = false;
  let isComplete = false;
  let target = "";
  let names = [];
  parser[HTTPParser.kOnHeaders] = (list, url) => {
    // Many field lines come in parts, and so do trailers.
    if (begun) pairs("trailer", list);
    else names.push(...list), (target += url);
  };
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, headers, method, url, status, reason, upgrade) => {
    begun = true;
    const version = `${major}.${minor}`;
    if (isResponse) {
      isFinal = status >= 200;
      isSwitched = status === 101;
      said.push(`message ${status} ${version} ${hex(reason)}`);
    } else {
      isSwitched = upgrade;
      said.push(`message ${hex(methodNames[method])} ${hex(url ?? target)} ${version}`);
    }
    pairs("header", headers ?? names);
    if (isResponse && isSwitched) return 2;
    return isResponse && /^HEAD(\+|$)/.test(asked) ? 1 : 0;
  };
  parser[HTTPParser.kOnBody] = (part) => said.push(`body ${part.toString("hex")}`);
  parser[HTTPParser.kOnMessageComplete] = () => {
    isComplete = true;
    begun = false;
    names = [];
    target = "";
  };
  const failed = (result) => {
    if (result instanceof Error) said.push(`error ${result.code} ${result.reason ?? ""}`);
    return result instanceof Error;
  };
  // A byte at a time, to see where each message ends.
  for (let at = 0; at < data.length; at += 1) {
    if (failed(parser.execute(data.subarray(at, at + 1)))) return said;
    if (!isComplete) continue;
    isComplete = false;
    if (isSwitched) {
      said.push(`complete ${at + 1} keeps`, `tunnel ${data.subarray(at + 1).toString("hex")}`);
      return said;
    }
    if (isResponse && isFinal) {
      // Whether another may follow: llhttp tells when it comes.
      const next = parser.execute(Buffer.from("H"));
      said.push(`complete ${at + 1} ${next instanceof Error ? "closes" : "keeps"}`);
      return said;
    }
    said.push(`complete ${at + 1} keeps`);
  }
  if (ended && !failed(parser.finish()) && isComplete) said.push(`complete ${data.length} closes`);
  return said;
}

lines.on("line", (line) => {
  const [kind, asked, data, ended] = line.split("\t");
  const said = read(kind, asked, Buffer.from(data, "hex"), ended === "ended");
  process.stdout.write(said.concat(".").join("\n") + "\n");
});
