// Reads messages with llhttp, as it is in Node, and says what it made of them; see main.rs for the form of both.
"use strict";

process.removeAllListeners("warning");
process.on("warning", () => {});
const { HTTPParser } = process.binding("http_parser");
const lines = require("readline").createInterface({ input: process.stdin });

const hex = (text) => Buffer.from(text, "latin1").toString("hex");

function read(kind, methods, data, ended) {
  const said = [];
  const pairs = (word, list) => {
    for (let i = 0; i < list.length; i += 2) said.push(`${word} ${hex(list[i].toLowerCase())} ${hex(list[i + 1])}`);
  };
  const parser = new HTTPParser();
  parser.initialize(kind === "responses" ? HTTPParser.RESPONSE : HTTPParser.REQUEST, {}, 1 << 20, 0);
  let answered = 0;
  let begun = false;
  let enough = Infinity;
  let target = "";
  let names = [];
  const flush = (list, url) => {
    // Many field lines come in parts, and so do trailers.
    if (begun) pairs("trailer", list);
    else names.push(...list), (target += url);
  };
  parser[HTTPParser.kOnHeaders] = flush;
  parser[HTTPParser.kOnHeadersComplete] = (major, minor, headers, method, url, status) => {
    begun = true;
    if (kind === "responses") {
      const asked = methods[answered];
      // What nobody asked for is no message: nothing more is said.
      if (asked === undefined) enough = said.length;
      if (status >= 200 || status === 101) answered += 1;
      said.push(`message ${status}`);
      pairs("header", headers ?? names);
      if (status === 101) return 2;
      return asked === "HEAD" ? 1 : 0;
    }
    said.push(`message ${hex(methodNames[method])} ${hex(url ?? target)}`);
    pairs("header", headers ?? names);
    return 0;
  };
  parser[HTTPParser.kOnBody] = (part) => said.push(`body ${part.toString("hex")}`);
  parser[HTTPParser.kOnMessageComplete] = () => {
    said.push("complete");
    begun = false;
    names = [];
    target = "";
  };
  const taken = parser.execute(data);
  if (taken instanceof Error) said.push(`error ${taken.code} ${taken.reason ?? ""}`);
  else if (taken < data.length) said.push(`tunnel ${data.subarray(taken).toString("hex")}`);
  else if (ended) {
    const end = parser.finish();
    if (end instanceof Error) said.push(`error ${end.code} ${end.reason ?? ""}`);
  }
  return said.slice(0, enough);
}

const methodNames = process.binding("http_parser").allMethods ?? process.binding("http_parser").methods;

lines.on("line", (line) => {
  const [kind, methods, data, ended] = line.split("\t");
  const said = read(kind, methods.split(","), Buffer.from(data, "hex"), ended === "ended");
  process.stdout.write(said.concat(".").join("\n") + "\n");
});
