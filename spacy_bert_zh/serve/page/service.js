// Requests to the service that this page comes from, with patience for what passes.

const BUSY = [429, 502, 503];

let key = "";

export const setKey = (text) => {
  // Headers hold bytes; those of a key are its UTF-8.
  key = String.fromCharCode(...new TextEncoder().encode(text));
};

/** An answer that is not what was asked for; status 0 where there is none at all. */
export class Problem extends Error {
  constructor(status, detail) {
    super(status ? readable(detail) : "");
    this.status = status;
    this.detail = detail;
  }
}

/**
 * Ask until there is an answer.
 *
 * Hooks: `signal` ends it; `onWait` is told why it takes longer ("" once it doesn't);
 * `needKey(wrong)` promises that a key was given to `setKey`. Where nobody answers, it tries again
 * as often as `patience` says.
 */
export async function ask(path, question, { signal, onWait, needKey, patience = 6 }) {
  let silent = 0;
  for (let tries = 0; ; tries += 1) {
    const used = key;
    const reply = await send(path, question, signal);
    if (reply?.ok) {
      onWait("");
      return read(reply, signal);
    }
    if (reply?.status === 401) {
      // Another request may have been given a key in the meantime.
      if (used === key) await needKey(used !== "");
      continue;
    }
    silent = reply ? 0 : silent + 1;
    if (silent > patience) throw new Problem(0, "");
    const told = reply && (await detail(reply));
    signal.throwIfAborted();
    if (reply && !BUSY.includes(reply.status)) throw new Problem(reply.status, told);
    onWait(reason(told));
    await sleep(pause(reply, tries), signal);
  }
}

async function send(path, question, signal) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers["X-API-Key"] = key;
  const options = question ? { method: "POST", body: JSON.stringify(question), headers } : {};
  try {
    return await fetch(path, { ...options, signal, cache: "no-store" });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TypeError) return null;
    throw error;
  }
}

async function read(reply, signal) {
  try {
    return await reply.json();
  } catch {
    signal.throwIfAborted();
    throw new Problem(reply.status, "no JSON");
  }
}

async function detail(reply) {
  try {
    return (await reply.json()).detail ?? reply.statusText;
  } catch {
    return `${reply.status} ${reply.statusText}`;
  }
}

function reason(told) {
  if (told === null) return "unreachable";
  return told === "loading" ? "loading" : "busy";
}

/** Milliseconds: what the service asks for, more with every try, never in step with others. */
function pause(reply, tries) {
  const wanted = Number(reply?.headers.get("Retry-After")) || 0;
  const seconds = Math.max(wanted, Math.min(0.5 * 2 ** tries, 8));
  return 1000 * seconds * (1 + 0.2 * Math.random());
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const end = () => reject(signal.reason);
    if (signal.aborted) return end();
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", end);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", () => clearTimeout(timer) ?? end(), { once: true });
  });
}

function readable(detail) {
  if (!Array.isArray(detail)) return String(detail);
  return detail.map(({ loc, msg }) => `${loc.slice(1).join(".")}: ${msg}`).join("; ");
}
