"use strict";
// The WebSocket protocol of a client: JSON messages in both directions, as python-repl speaks it.
//
// From the client: {"type":"evaluate","id":int,"code":str}, {"type":"interrupt"}, {"type":"ping"}.
// To the client, for an evaluation: "output" as it happens, then "result" or "error", last "done"; "pong" for a ping;
// "refused" with a reason for a message that cannot be carried out.

const { Evaluation } = require("./evaluator-process.js");
const { Opcode, Receiver, Violation, acceptance, closeFrame, frame } = require("./websocket.js");

/** What may wait for a client that does not read. More ends its connection. */
const PENDING_LIMIT_BYTES = 16 * 1024 * 1024;
/** Output is sent in messages of at most so many characters, however it was written. */
const OUTPUT_PIECE = 64 * 1024;
/** How long a client has to read what waits for it, and to close, after the close frame. */
const CLOSE_MILLISECONDS = 5000;

/** Turns an upgrade request into a WebSocket and serves it to its end. */
function open(request, socket, head, evaluator) {
  socket.on("error", () => socket.destroy());
  const accept = request.url.split("?", 1)[0] === "/ws" ? acceptance(request) : null;
  if (accept === null) {
    const sentence = "There is no WebSocket here that this request opens; it is /ws, version 13.\n";
    socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n" +
      `content-length: ${sentence.length}\r\n\r\n${sentence}`);
    return;
  }
  socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n" +
    `sec-websocket-accept: ${accept}\r\n\r\n`);
  socket.setNoDelay(true);
  const session = new Session(socket, evaluator);
  if (head.length > 0) session.received(head);
  socket.on("data", data => session.received(data));
  socket.on("end", () => socket.destroy());
}

class Session {
  #socket;
  #evaluator;
  #receiver = new Receiver();
  #isOpen = true;

  constructor(socket, evaluator) {
    this.#socket = socket;
    this.#evaluator = evaluator;
  }

  received(data) {
    if (!this.#isOpen) return;
    try {
      for (const { text, reply, close } of this.#receiver.receive(data)) {
        if (text !== undefined) this.#handle(text);
        else if (reply) this.#write(reply);
        else this.#close(close);
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#close(closeFrame(error.code, error.message));
    }
  }

  #handle(text) {
    let message = null;
    try { message = JSON.parse(text); } catch { /* refused below */ }
    switch (message?.type) {
      case "evaluate": return this.#evaluate(message);
      case "interrupt": return this.#evaluator.interrupt();
      case "ping": return this.#post({ type: "pong" });
      default: this.#post({ type: "refused", reason: "A message is JSON of type evaluate, interrupt or ping." });
    }
  }

  #evaluate({ id, code }) {
    if (!Number.isSafeInteger(id) || typeof code !== "string") {
      return this.#post({ type: "refused", reason: "evaluate needs an integer id and a string code." });
    }
    if (!this.#evaluator.submit(new Evaluation(id, code, message => this.#post(message)))) {
      this.#post({ type: "refused", id, reason: "Too many evaluations wait; try again later." });
    }
  }

  #post(message) {
    if (message.type !== "output" || message.text.length <= OUTPUT_PIECE) return this.#send(message);
    const { truncated, ...rest } = message;
    for (let start = 0; start < message.text.length; start += OUTPUT_PIECE) {
      this.#send({ ...rest, text: message.text.slice(start, start + OUTPUT_PIECE) });
    }
    if (truncated) this.#send({ ...message, text: "" });
  }

  #send(message) { this.#write(frame(Opcode.TEXT, Buffer.from(JSON.stringify(message)))); }

  #write(bytes) {
    if (!this.#isOpen || this.#socket.destroyed) return;
    this.#socket.write(bytes);
    if (this.#socket.writableLength > PENDING_LIMIT_BYTES) this.#socket.destroy();
  }

  #close(bytes) {
    this.#write(bytes);
    this.#isOpen = false;
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), CLOSE_MILLISECONDS).unref();
  }
}

module.exports = { open };
