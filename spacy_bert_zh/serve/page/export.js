// Results become files again: every row in its place, with everything that it came with.

import { phrase } from "./say.js";
import { unique } from "./table.js";

const CHUNK = 1000;

/** A CSV file that spreadsheets open as what it is: with a byte order mark. */
export function toCsv(rows, names, run) {
  const doubts = rows.some((row) => row.doubt);
  const scores = run.labels.map((label) => `score_${label}`);
  const added = ["label", ...(doubts ? ["doubt"] : []), ...scores, "error"];
  const taken = [...names];
  for (const name of added) taken.push(unique(name, taken));
  const lines = pieces(rows, (row) => line([...filled(row.cells, names), ...results(row, run, doubts)]));
  return new Blob(["\ufeff", line(taken), ...lines], { type: "text/csv;charset=utf-8" });
}

function results(row, run, doubts) {
  const labels = (row.given ?? []).join("|");
  const doubt = doubts ? [row.doubt ?? ""] : [];
  return [labels, ...doubt, ...run.labels.map((_, i) => row.scores?.[i] ?? ""), problem(row) ?? ""];
}

const filled = (cells, names) => names.map((_, i) => cells[i] ?? "");

const line = (cells) => `${cells.map(cell).join(",")}\r\n`;

/**
 * A cell. A spreadsheet would run one that starts as a formula does, so that a text from a
 * stranger could read its neighbours: such a cell, whoever it is from, gets an apostrophe before
 * it. Plain numbers may keep their sign. (Excel takes full-width signs for formulas, too.)
 */
function cell(value) {
  let text = String(value);
  if (/^[=+\-@\t\r\n＝＋－＠]/.test(text) && !/^[+-]?\d+(\.\d+)?$/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A file with a JSON object in each line. */
export function toJsonl(rows, names, run) {
  const lines = pieces(rows, (row) => `${extend(row, names, answer(row, run))}\n`);
  return new Blob(lines, { type: "application/jsonl" });
}

function answer(row, run) {
  const pairs = row.scores && run.labels.map((name, i) => [name, row.scores[i]]);
  const scores = pairs && Object.fromEntries(pairs);
  const labels = row.given;
  const found = run.exclusive ? { label: labels?.[0] ?? null } : { labels };
  return { ...found, doubt: row.doubt, scores, error: problem(row) };
}

function extend(row, names, added) {
  const free = Object.entries(added).map(([key, value]) => [unique(key, names), value]);
  const own = members(row, names);
  return `{${own}${own && ","}${JSON.stringify(Object.fromEntries(free)).slice(1)}`;
}

/** What a row came with. A line stays as it is: a number too long for JavaScript keeps its digits. */
function members({ cells, line, error }, names) {
  if (line === undefined) {
    const pairs = names.map((name, i) => [name, cells[i] ?? ""]);
    return JSON.stringify(Object.fromEntries(pairs)).slice(1, -1);
  }
  if (["badJson", "notObject"].includes(error?.[0])) return `"line":${JSON.stringify(line)}`;
  const text = line.trim();
  return text.startsWith("{") ? text.slice(1, -1).trim() : `"text":${text}`;
}

const problem = ({ error }) => (error ? phrase(...error) : null);

function pieces(rows, write) {
  const found = [];
  for (let i = 0; i < rows.length; i += CHUNK) {
    found.push(rows.slice(i, i + CHUNK).map(write).join(""));
  }
  return found;
}

/** Have the browser save a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
