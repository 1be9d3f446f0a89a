"use strict";
// The node-repl server: `node server.js` listens on 127.0.0.1:$PORT (8080 without one).
//
//   GET /            the page to type in
//   GET /ws          the WebSocket of session.js, the same protocol as python-repl's
//   POST /evaluate   the body is code; the answer is JSON: {ok, value?, output, error?, truncated?}
//
// Code is evaluated in a process of its own (evaluator.js), so that an endless loop there holds nobody up here.
// SIGTERM ends the server with status 0. `server.js --check` proves that everything is there, by evaluating.

const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { Evaluation, EvaluatorProcess } = require("./evaluator-process.js");
const session = require("./session.js");

const CODE_LIMIT_BYTES = 1024 * 1024;
// Everything the page needs is in it; 'self' does not cover ws: in every browser.
const PAGE_POLICY =
  "default-src 'none'; img-src data:; script-src 'unsafe-inline'; style-src 'unsafe-inline'; " +
  "connect-src 'self' ws: wss:";

const evaluator = new EvaluatorProcess();
const page = fs.readFileSync(pageFile());

/** The page stands beside this file in the image, and beside python-repl's server in the sources. */
function pageFile() {
  const own = path.join(__dirname, "index.html");
  return fs.existsSync(own) ? own : path.join(__dirname, "../python-repl/index.html");
}

/** Answers with a whole body; a failed request closes its connection, whose body may not have been read. */
function answer(response, status, type, body, headers = {}) {
  const ending = status < 400 ? {} : { connection: "close" };
  const length = Buffer.byteLength(body);
  const fields = { "content-type": type, "content-length": length, "cache-control": "no-store" };
  response.writeHead(status, { ...fields, ...ending, ...headers });
  response.end(body);
}

function refuse(response, status, sentence, headers) {
  answer(response, status, "text/plain; charset=utf-8", `${sentence}\n`, headers);
}

function route(request, response) {
  const target = request.url.split("?", 1)[0];
  const allow = (...methods) => {
    if (methods.includes(request.method)) return true;
    refuse(response, 405, `This path takes ${methods.join(", ")} only.`, { allow: methods.join(", ") });
    return false;
  };
  switch (target) {
    case "/":
      if (!allow("GET", "HEAD")) return;
      answer(response, 200, "text/html; charset=utf-8", page,
        { "content-security-policy": PAGE_POLICY, "x-content-type-options": "nosniff" });
      break;
    case "/evaluate":
      if (allow("POST")) evaluateBody(request, response);
      break;
    case "/ws":
      refuse(response, 426, "This is a WebSocket; open it with Upgrade: websocket.",
        { upgrade: "websocket", "sec-websocket-version": "13" });
      break;
    default:
      refuse(response, 404, "There is nothing here. The page is at /, the WebSocket at /ws.");
  }
}

/** Evaluates a request's body and answers when that is done. A client that leaves does not stop it. */
function evaluateBody(request, response) {
  const pieces = [];
  let size = 0;
  request.on("data", piece => {
    size += piece.length;
    if (size <= CODE_LIMIT_BYTES) pieces.push(piece);
    else if (!response.headersSent) refuse(response, 413, `Code has at most ${CODE_LIMIT_BYTES} bytes.`);
  });
  request.on("error", () => {});
  request.on("end", () => {
    if (response.headersSent) return;
    const result = { ok: false, output: "" };
    const take = message => {
      switch (message.type) {
        case "output": result.output += message.text; break;
        case "result": result.value = message.value; break;
        case "error": result.error = message.traceback; break;
        case "done":
          result.ok = message.ok;
          answer(response, 200, "application/json", `${JSON.stringify(result)}\n`);
          break;
      }
      if (message.truncated) result.truncated = true;
    };
    if (!evaluator.submit(new Evaluation(0, Buffer.concat(pieces).toString(), take))) {
      refuse(response, 503, "Too many evaluations wait; try again later.");
    }
  });
}

function readPort() {
  const text = process.env.PORT ?? "8080";
  if (/^[0-9]{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65535) return Number(text);
  const advice = "Set a number from 1 to 65535, or leave it out for 8080.";
  process.stderr.write(`node-repl: PORT=${text} is not a port. ${advice}\n`);
  process.exit(1);
}

function listen() {
  const port = readPort();
  const server = http.createServer({ keepAliveTimeout: 300_000 }, route);
  server.on("upgrade", (request, socket, head) => session.open(request, socket, head, evaluator));
  server.on("error", error => {
    process.stderr.write(`node-repl: cannot listen on 127.0.0.1:${port}: ${error.code}. Set PORT to another port.\n`);
    process.exit(1);
  });
  server.listen(port, "127.0.0.1", 128, () => process.stderr.write(`node-repl: listening on 127.0.0.1:${port}\n`));
}

function check() {
  const end = message => {
    if (message.type === "result" && message.value === "42") process.exit(0);
    if (message.type !== "done" && message.type !== "error") return;
    process.stderr.write(`node-repl: 6 * 7 was not evaluated: ${JSON.stringify(message)}\n`);
    process.exit(1);
  };
  evaluator.submit(new Evaluation(1, "6 * 7", end));
}

process.on("SIGTERM", () => process.exit(0));
process.on("exit", () => evaluator.kill());
evaluator.start();
if (process.argv[2] === "--check") check();
else listen();
