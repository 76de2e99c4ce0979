// Rows become requests within the limits of the service, and their answers rows again.

import { Problem, ask } from "./service.js";

const AT_ONCE = 2;
// As many as the service computes at once; longer requests would only show less progress.
const TEXTS = 64;

const bytes = (value) => new TextEncoder().encode(JSON.stringify(value)).length;

/**
 * Classify rows: each gets `scores` (in the order of `run.labels`), the names of the labels that it
 * is `given`, and `reading`, or an `error`; of a calibrated pipeline also the key of its `doubt`,
 * if it has one, and the `set` of labels that it can't rule out.
 *
 * A run has the `name` of a pipeline, `labels` (a copy, for more may turn up), `limits`, and the
 * hooks of `ask` and `onRows`, which is told of the rows that are done.
 */
export async function classify(rows, run) {
  const sendable = rows.filter((row) => {
    row.error ??= refuse(row.text, run);
    return !row.error;
  });
  run.onRows(rows.filter((row) => row.error));
  run.waiting = sendable.reverse();
  const { max_texts: texts, max_scores: scores } = run.limits;
  run.size = Math.max(1, Math.min(TEXTS, texts, Math.floor(scores / run.labels.length)));
  await Promise.all(Array.from({ length: AT_ONCE }, () => work(run)));
}

/** Why a text can't be sent: a sentence and its values. */
function refuse(text, { name, limits }) {
  if (!text.trim()) return ["empty"];
  if (text.length > limits.max_length) {
    // The service counts characters, not halves of them.
    const n = Array.from(text).length;
    if (n > limits.max_length) return ["tooLong", { n, max: limits.max_length }];
  }
  return bytes(question(name, [text])) > limits.max_body ? ["tooLarge"] : null;
}

const question = (name, texts) => ({ texts, pipeline: name, explain: true });

async function work(run) {
  while (run.waiting.length) {
    const part = take(run);
    try {
      const texts = part.map((row) => row.text);
      const reply = await ask("classify", question(run.name, texts), run);
      part.forEach((row, i) => fill(row, reply.results[i], run.labels));
      run.onRows(part);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      settle(part, problem, run);
    }
  }
}

function take({ name, waiting, size, limits }) {
  const part = [];
  let used = bytes(question(name, []));
  while (part.length < size && waiting.length) {
    used += bytes(waiting.at(-1).text) + 1;
    if (part.length && used > limits.max_body) break;
    part.push(waiting.pop());
  }
  return part;
}

function fill(row, { labels, given, pieces, pieces_read: read, windows, why, set }, order) {
  row.scores = [];
  row.given = given;
  for (const { label, score } of labels) {
    if (!order.includes(label)) order.push(label);
    row.scores[order.indexOf(label)] = score;
  }
  if (pieces !== undefined) row.reading = { pieces, read, windows };
  row.doubt = { unsure: "unsure", "unlike the training texts": "unlike" }[why];
  row.set = set;
}

/** Give the rows of a failed request an error, or another try in smaller or better company. */
function settle(part, { status, detail, message }, run) {
  const again = (rows) => run.waiting.push(...rows.reverse());
  if ([408, 413, 504].includes(status) && part.length > 1) {
    run.size = Math.ceil(part.length / 2);
    return again(part);
  }
  // Nobody is there: the others needn't find that out one after the other.
  if (!status) part.push(...run.waiting.splice(0));
  for (const { loc, msg } of status === 422 && Array.isArray(detail) ? detail : []) {
    const row = loc[1] === "texts" && part[loc[2]];
    if (row) row.error = ["server", { detail: msg }];
  }
  const good = part.filter((row) => !row.error);
  if (good.length < part.length) again(good);
  else for (const row of part) row.error = status ? ["server", { detail: message }] : ["gone"];
  run.onRows(part.filter((row) => row.error));
}

/** Places of a row's labels, the highest score first. */
export const ranked = ({ scores }) =>
  [...scores.keys()].sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));

/** Whether the network has seen only a part of a row's text. */
export const isPartial = ({ reading }) => Boolean(reading) && reading.read < reading.pieces;
