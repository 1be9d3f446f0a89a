"use strict";
// The process that evaluates, as the server sees it: one piece of code after the other, in one global scope.
//
// Two pipes join them, one JSON message a line. When the process ends, by process.exit() or because it used up its
// memory, what ran is told so and the next code begins in a fresh one: nothing that is typed ends the server.

const { spawn } = require("node:child_process");
const path = require("node:path");

const WAITING_LIMIT = 64;
/** Between the signals of one interrupt, until the evaluation has ended: one may come just before a loop begins. */
const INSIST_MILLISECONDS = 20;
/** How long interrupted code may go on (it can catch what is thrown) before its process is ended. */
const INTERRUPT_PATIENCE_MILLISECONDS = 5000;

/** A piece of code, and the function that takes its messages. */
class Evaluation {
  constructor(id, code, post) {
    this.id = id;
    this.code = code;
    this.post = message => post({ id, ...message });
  }
}

class EvaluatorProcess {
  #child = null;
  #waiting = [];
  #running = null;
  /** Whose output is shown that comes when nothing runs: timers print later. */
  #latest = null;
  #insisting = null;

  /** Starts the process, so that it is there when the first code comes. */
  start() {
    const program = path.join(__dirname, "evaluator.js");
    const child = spawn(process.execPath, ["--expose-internals", program], {
      stdio: ["pipe", "inherit", "inherit", "pipe", "pipe"],
    });
    child.stdin.end();
    this.#child = child;
    let text = "";
    child.stdio[3].setEncoding("utf8").on("data", piece => {
      const lines = (text + piece).split("\n");
      text = lines.pop();
      for (const line of lines) this.#received(JSON.parse(line));
    });
    for (const stream of [child.stdio[3], child.stdio[4]]) stream.on("error", () => {});
    child.on("error", error => this.#ended(child, `cannot be started: ${error.message}`));
    // "close" and not "exit": what it said last is read by then.
    child.on("close", (status, signal) => {
      this.#ended(child, signal ? `was ended by ${signal}` : `exited with ${status}`);
    });
  }

  kill() { this.#child?.kill("SIGKILL"); }

  /** Queues code; false when too much waits. */
  submit(evaluation) {
    if (this.#waiting.length >= WAITING_LIMIT) return false;
    this.#waiting.push(evaluation);
    this.#next();
    return true;
  }

  /** Interrupts what runs now; does nothing when nothing does. */
  interrupt() {
    if (!this.#running || this.#insisting) return;
    const deadline = Date.now() + INTERRUPT_PATIENCE_MILLISECONDS;
    const insist = () => {
      if (Date.now() > deadline) return this.kill();
      this.#tell({ type: "interrupt" });  // for code that awaits
      this.#child.kill("SIGINT");         // for code that computes
    };
    this.#insisting = setInterval(insist, INSIST_MILLISECONDS);
    insist();
  }

  #tell(message) { this.#child.stdio[4].write(`${JSON.stringify(message)}\n`); }

  #next() {
    if (this.#running || this.#waiting.length === 0) return;
    if (!this.#child) this.start();
    this.#running = this.#latest = this.#waiting.shift();
    this.#running.started = process.hrtime.bigint();
    this.#tell({ type: "evaluate", code: this.#running.code });
  }

  #received(message) {
    if (message.type !== "done") return this.#latest?.post(message);
    this.#done(message.ok);
  }

  #done(ok) {
    clearInterval(this.#insisting);
    this.#insisting = null;
    const { started } = this.#running;
    this.#running.post({ type: "done", ok, seconds: Number(process.hrtime.bigint() - started) / 1e9 });
    this.#running = null;
    this.#next();
  }

  #ended(child, how) {
    if (this.#child !== child) return;
    this.#child = null;
    process.stderr.write(`node-repl: the evaluating process ${how}\n`);
    if (!this.#running) return;
    const text = `The process that evaluates ${how}: every variable is gone, the next code begins anew.\n`;
    this.#running.post({ type: "error", name: "ProcessEnded", traceback: text });
    this.#done(false);
  }
}

module.exports = { Evaluation, EvaluatorProcess };
