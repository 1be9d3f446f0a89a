"use strict";
// Evaluates code in the global scope of this process, as node's own prompt does: `await` works at the top, const and
// let stay, `_` is the value before. Commands come on descriptor 4, messages leave on descriptor 3.
//
// Messages are written synchronously: what code prints before it loops for ever arrives, and in its order.

const fs = require("node:fs");
const net = require("node:net");
const repl = require("node:repl");
const { Console } = require("node:console");
const { PassThrough, Writable } = require("node:stream");
const { StringDecoder } = require("node:string_decoder");
const { inspect } = require("node:util");

/** What one evaluation may print, both streams together; the rest is dropped and the client told so. */
const OUTPUT_LIMIT_BYTES = 1024 * 1024;
/** The longest value or error that is sent, in characters. */
const TEXT_LIMIT = 256 * 1024;
const OUTPUT = 3, COMMANDS = 4;

let outputBytes = 0;
let count = 0;

function post(message) {
  const data = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let sent = 0; sent < data.length;) sent += fs.writeSync(OUTPUT, data, sent);
}

/** What typed code finds as process.stdout or process.stderr. */
class OutputStream extends Writable {
  #name;
  #decoder = new StringDecoder("utf8");

  constructor(name) {
    super({ decodeStrings: true });
    this.#name = name;
  }

  // Not _write: a stream keeps what is written in a tick after the first, and a loop never gives it the tick.
  write(data, encoding, callback) {
    if (typeof encoding === "function") [encoding, callback] = [undefined, encoding];
    this.#print(typeof data === "string" ? Buffer.from(data, encoding) : Buffer.from(data));
    if (callback) process.nextTick(callback);
    return true;
  }

  #print(data) {
    if (outputBytes > OUTPUT_LIMIT_BYTES) return;
    const room = OUTPUT_LIMIT_BYTES - outputBytes;
    outputBytes += data.length;
    const message = { type: "output", stream: this.#name, text: this.#decoder.write(data.subarray(0, room)) };
    if (data.length > room) message.truncated = true;
    if (message.text || message.truncated) post(message);
  }
}

const streams = { stdout: new OutputStream("stdout"), stderr: new OutputStream("stderr") };
for (const [name, stream] of Object.entries(streams)) {
  Object.defineProperty(process, name, { value: stream, configurable: true, enumerable: true, writable: true });
}
globalThis.console = new Console({ ...streams, colorMode: false });

// node's own prompt without a terminal: only its way to evaluate is used.
const prompt = repl.start({
  input: new PassThrough(), output: new PassThrough().resume(), prompt: "", terminal: false, useGlobal: true,
  breakEvalOnSigint: true,
});
// Its domain would take what typed code throws, and show it on the prompt's output instead of handing it over.
prompt._domain.enter = () => {};
// A second SIGINT at the prompt closes it; here it is only another interrupt that came too late.
prompt.close = () => {};

// SIGINT ends what computes, by way of breakEvalOnSigint, which listens to it just as long as code runs. Between, it
// would end the process; so this listens always. No public interface does that, hence --expose-internals.
const { emitWarning } = process;
process.emitWarning = () => {};
require("internal/test/binding").internalBinding("contextify").startSigintWatchdog();
process.emitWarning = emitWarning;

function describe(value) {
  const text = inspect(value, { depth: 4, maxArrayLength: 1000, maxStringLength: TEXT_LIMIT });
  return text.length > TEXT_LIMIT ? { value: text.slice(0, TEXT_LIMIT), truncated: true } : { value: text };
}

function explain(error) {
  if (error?.code === "ERR_SCRIPT_EXECUTION_INTERRUPTED") return { name: "Interrupted", traceback: "Interrupted\n" };
  let name = "Error", text;
  try {
    name = String(error?.name ?? typeof error);
    text = error?.stack ? withoutServerFrames(String(error.stack)) : `Uncaught ${inspect(error)}`;
  } catch (second) {
    text = `${name}: (its text cannot be shown: ${typeof second})`;
  }
  if (text.length > TEXT_LIMIT) text = `${text.slice(0, TEXT_LIMIT / 2)}\n[…]\n${text.slice(-TEXT_LIMIT / 2)}`;
  return { name, traceback: `${text}\n` };
}

function withoutServerFrames(stack) {
  return stack.split("\n").filter(line => !/^ +at .*(node:|\/evaluator\.js)/.test(line)).join("\n");
}

function evaluate(code) {
  outputBytes = 0;
  count += 1;
  const end = (failure, value) => {
    let ok = failure === null;
    try {
      if (ok && value !== undefined) {
        prompt.last = value;
        post({ type: "result", ...describe(value) });
      }
    } catch (error) {  // the value's own way to describe itself
      [ok, failure] = [false, error];
    }
    if (!ok) post({ type: "error", ...explain(failure) });
    post({ type: "done", ok });
  };
  try {
    prompt.eval(code.endsWith("\n") ? code : `${code}\n`, prompt.context, `<input ${count}>`, (failure, value) => {
      // The prompt asks for more where code is not finished; here it is what it is.
      end(failure instanceof repl.Recoverable ? failure.err : failure, value);
    });
  } catch (error) {
    end(error);
  }
}

// What fails later, in timers and promises that nobody awaits, is shown and changes nothing.
for (const event of ["uncaughtException", "unhandledRejection"]) {
  process.on(event, error => streams.stderr.write(explain(error).traceback));
}

let text = "";
const commands = new net.Socket({ fd: COMMANDS, readable: true, writable: false });
commands.setEncoding("utf8").on("data", piece => {
  const lines = (text + piece).split("\n");
  text = lines.pop();
  for (const line of lines) {
    const message = JSON.parse(line);
    if (message.type === "interrupt") prompt.emit("SIGINT");
    else evaluate(message.code);
  }
});
commands.on("end", () => process.kill(process.pid, "SIGKILL"));
