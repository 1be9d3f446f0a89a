"use strict";
// WebSocket, the server's side (RFC 6455; section numbers below are its). No extensions, text messages only.

const { createHash } = require("node:crypto");

const MESSAGE_LIMIT_BYTES = 1024 * 1024;
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // section 1.3
const Opcode = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };  // section 5.2
const CloseCode = { NORMAL: 1000, PROTOCOL_ERROR: 1002, UNSUPPORTED_DATA: 1003, INVALID_DATA: 1007, TOO_BIG: 1009 };

/** The client broke the protocol: the connection is closed with this code and reason. */
class Violation extends Error {
  constructor(code, reason) {
    super(reason);
    this.code = code;
  }
}

/** The value of Sec-WebSocket-Accept (section 4.2.2), or null when the request opens no WebSocket. */
function acceptance(request) {
  const { upgrade, "sec-websocket-version": version, "sec-websocket-key": key } = request.headers;
  if (request.method !== "GET" || upgrade?.toLowerCase() !== "websocket" || version !== "13") return null;
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key ?? "")) return null;
  return createHash("sha1").update(key + ACCEPT_SUFFIX).digest("base64");
}

/** One unmasked, final frame (section 5.2). */
function frame(opcode, payload) {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  if (length < 126) head[1] = length;
  else if (length < 65536) { head[1] = 126; head.writeUInt16BE(length, 2); }
  else { head[1] = 127; head.writeBigUInt64BE(BigInt(length), 2); }
  return Buffer.concat([head, payload]);
}

function closeFrame(code, reason = "") {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code);
  payload.write(reason, 2);
  return frame(Opcode.CLOSE, payload);
}

function decode(payload) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
  } catch {
    throw new Violation(CloseCode.INVALID_DATA, "a text is not UTF-8");  // section 8.1
  }
}

/** Takes the bytes of one client and gives what they say. */
class Receiver {
  #pieces = [];
  #size = 0;
  #message = null;

  /** What comes of these bytes: {text}, {reply} with a frame to send, or {close} with the last. Throws Violation. */
  *receive(data) {
    this.#pieces.push(data);
    this.#size += data.length;
    for (let next; (next = this.#nextFrame());) {
      const { opcode, final, payload } = next;
      switch (opcode) {
        case Opcode.PING: yield { reply: frame(Opcode.PONG, payload) }; continue;
        case Opcode.PONG: continue;
        case Opcode.CLOSE: yield { close: closeFrame(closeCode(payload)) }; return;
        case Opcode.BINARY: throw new Violation(CloseCode.UNSUPPORTED_DATA, "messages here are text");
        case Opcode.TEXT:
          if (this.#message) throw new Violation(CloseCode.PROTOCOL_ERROR, "a message began inside another");
          this.#message = [];
          break;
        case Opcode.CONTINUATION:
          if (!this.#message) throw new Violation(CloseCode.PROTOCOL_ERROR, "a continuation has no beginning");
      }
      this.#message.push(payload);
      if (!final) continue;
      const complete = Buffer.concat(this.#message);
      this.#message = null;
      yield { text: decode(complete) };
    }
  }

  /** Makes the first bytes one piece; null when there are not as many yet. */
  #peek(count) {
    if (this.#size < count) return null;
    if (this.#pieces[0].length < count) this.#pieces = [Buffer.concat(this.#pieces)];
    return this.#pieces[0];
  }

  #nextFrame() {
    let head = this.#peek(2);
    if (!head) return null;
    const [first, second] = head;
    const opcode = first & 0x0f, final = (first & 0x80) !== 0;
    if (first & 0x70) throw new Violation(CloseCode.PROTOCOL_ERROR, "a reserved bit is set without an extension");
    if (!Object.values(Opcode).includes(opcode)) throw new Violation(CloseCode.PROTOCOL_ERROR, "unknown opcode");
    if (!(second & 0x80)) throw new Violation(CloseCode.PROTOCOL_ERROR, "a client has to mask its frames");
    let length = second & 0x7f, start = 2;
    if (opcode >= Opcode.CLOSE && (length > 125 || !final)) {
      throw new Violation(CloseCode.PROTOCOL_ERROR, "a control frame is short and in one piece");
    }
    if (length >= 126) {
      start = length === 126 ? 4 : 10;
      const shortest = length === 126 ? 126n : 65536n;
      if (!(head = this.#peek(start))) return null;
      const written = length === 126 ? BigInt(head.readUInt16BE(2)) : head.readBigUInt64BE(2);
      if (written < shortest || written >> 63n) {
        throw new Violation(CloseCode.PROTOCOL_ERROR, "a length is not in its shortest form");
      }
      length = Number(written);
    }
    const before = (this.#message ?? []).reduce((sum, piece) => sum + piece.length, 0);
    if (opcode < Opcode.CLOSE && before + length > MESSAGE_LIMIT_BYTES) {
      throw new Violation(CloseCode.TOO_BIG, `a message has at most ${MESSAGE_LIMIT_BYTES} bytes`);
    }
    const end = start + 4 + length;
    if (!(head = this.#peek(end))) return null;
    const mask = head.subarray(start, start + 4);
    const payload = Buffer.from(head.subarray(start + 4, end));
    for (let index = 0; index < length; index++) payload[index] ^= mask[index & 3];
    this.#pieces[0] = head.subarray(end);
    this.#size -= end;
    return { opcode, final, payload };
  }
}

/** The code to answer a close frame with (section 5.5.1). */
function closeCode(payload) {
  if (payload.length === 0) return CloseCode.NORMAL;
  const code = payload.length >= 2 ? payload.readUInt16BE() : 0;
  // 1004 to 1006 and 1015 never travel; below 3000 the rest is not assigned (section 7.4).
  const travels = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code < 5000);
  if (!travels) throw new Violation(CloseCode.PROTOCOL_ERROR, "this close code is not one that is sent");
  decode(payload.subarray(2));
  return code;
}

module.exports = { CloseCode, Opcode, Receiver, Violation, acceptance, closeFrame, frame };
