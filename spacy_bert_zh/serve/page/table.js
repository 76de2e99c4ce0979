// Files become tables: decoded, taken apart, and the column of the text guessed.

const MOST = 50;
const KINDS = { csv: readCsv, tsv: readTsv, jsonl: readJsonl, ndjson: readJsonl, txt: readTxt };
const NAMES =
  "text sentence content review comment body title headline query 文本 内容 正文 评论 评价 句子 标题";
const OTHERS = "label labels category class score id 标签 类别 分类 编号";

/** Why a file can't be used: a sentence of the page, and its values. */
export class BadFile extends Error {
  constructor(key, values) {
    super(key);
    this.values = values;
  }
}

/**
 * Read a file.
 *
 * A sheet has `records` (each with `cells`, perhaps an `error`, for JSONL the `line`), `names` of
 * columns where the format has them, whether the first record `mayBeHeader`, and the `encoding`.
 */
export async function readFile(file) {
  const kind = file.name.toLowerCase().split(".").at(-1);
  if (!Object.hasOwn(KINDS, kind)) throw new BadFile("fileKind");
  const size = file.size / 1e6;
  if (size > MOST) throw new BadFile("fileLarge", { n: Math.ceil(size) });
  const content = await file.arrayBuffer().catch(() => {
    throw new BadFile("fileUnread");
  });
  const { text, encoding } = decode(content);
  const sheet = { encoding, ...KINDS[kind](text) };
  if (!sheet.records.length) throw new BadFile("fileEmpty");
  return sheet;
}

function decode(content) {
  const start = new Uint8Array(content.slice(0, 2)).join();
  const marked = { "255,254": "utf-16le", "254,255": "utf-16be" }[start];
  for (const encoding of marked ? [marked] : ["utf-8", "gb18030"]) {
    try {
      const text = new TextDecoder(encoding, { fatal: true }).decode(content);
      return { text, encoding: encoding.toUpperCase() };
    } catch {
      // The next one, then.
    }
  }
  throw new BadFile("fileCode");
}

function readCsv(text) {
  const line = text.slice(0, text.search(/[\r\n]|$/));
  // Where a comma is for decimals, spreadsheets write semicolons.
  const count = (mark) => line.split(mark).length;
  return readFields(text, [",", ";", "\t"].reduce((a, b) => (count(b) > count(a) ? b : a)));
}

function readTsv(text) {
  return readFields(text, "\t");
}

function readFields(text, delimiter) {
  const { rows, unclosed } = readTable(text, delimiter);
  const expected = rows[0]?.length;
  const records = rows.map((cells) => {
    const error = cells.length === expected ? null : ["fields", { n: cells.length, expected }];
    return { cells, error };
  });
  if (unclosed) records.at(-1).error = ["unclosed"];
  return { records, mayBeHeader: true };
}

function readTxt(text) {
  const lines = text.split(/\r\n|[\r\n]/).filter((line) => line.trim());
  return { names: ["text"], records: lines.map((line) => ({ cells: [line], error: null })) };
}

/** Rows as in RFC 4180; what it leaves open is read as Python's `csv` does. Blank lines are none. */
export function readTable(text, delimiter) {
  const end = new RegExp(`[${delimiter}\r\n]`, "g");
  const rows = [];
  let [row, at, unclosed] = [[], 0, false];
  while (at < text.length) {
    const quoted = text[at] === '"';
    let cell = "";
    // Each turn takes what stands between two quotes; two in a row are one of the cell's own.
    while (text[at] === '"') {
      let close = text.indexOf('"', at + 1);
      unclosed = close < 0;
      if (unclosed) close = text.length;
      cell += text.slice(at + 1, close);
      at = close + 1;
      if (text[at] === '"') cell += '"';
    }
    end.lastIndex = at;
    const stop = end.exec(text)?.index ?? text.length;
    row.push(cell + text.slice(at, stop));
    at = stop + 1;
    const goesOn = text[stop] === delimiter;
    if (goesOn && at === text.length) row.push("");
    if (goesOn && at < text.length) continue;
    if (text[stop] === "\r" && text[at] === "\n") at += 1;
    if (row.length > 1 || row[0] || quoted) rows.push(row);
    row = [];
  }
  return { rows, unclosed };
}

function readJsonl(text) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  const items = lines.map(readLine);
  const names = new Set(items.flatMap((item) => Object.keys(item.value ?? {})));
  const order = [...names];
  const records = items.map(({ value, error }, i) => ({
    cells: order.map((name) => show(value?.[name])),
    line: lines[i],
    error,
  }));
  return { names: order, records };
}

function readLine(line) {
  try {
    const value = JSON.parse(line, /\d{16}/.test(line) ? exact : undefined);
    if (typeof value === "string") return { value: { text: value }, error: null };
    const isObject = value && typeof value === "object" && !Array.isArray(value);
    return isObject ? { value, error: null } : { error: ["notObject"] };
  } catch {
    return { error: ["badJson"] };
  }
}

/** Long numbers are ids: as they stand, where the browser can tell. */
function exact(_, value, context) {
  return typeof value === "number" && Math.abs(value) > 2 ** 53 ? (context?.source ?? value) : value;
}

function show(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Whether the first record looks like names of columns. */
export function looksLikeHeader({ records: [{ cells }] }) {
  const known = `${NAMES} ${OTHERS}`.split(" ");
  if (cells.some((cell) => known.includes(cell.trim().toLowerCase()))) return true;
  const nameLike = cells.every((cell) => /^[^\d，。,.!！?？\n]{1,20}$/.test(cell));
  return nameLike && cells.length > 1 && new Set(cells).size === cells.length;
}

/** Names of the columns, each another; `number` makes one for a column without. */
export function columnNames(sheet, header, number) {
  const found = sheet.names ?? (header ? sheet.records[0].cells : []);
  const width = sheet.records.reduce((most, { cells }) => Math.max(most, cells.length), 0);
  const names = [];
  for (let i = 0; i < width; i += 1) names.push(unique(found[i]?.trim() || number(i + 1), names));
  return names;
}

/** A name that isn't taken. */
export const unique = (name, taken) => (taken.includes(name) ? unique(`${name}_`, taken) : name);

/** The column that holds the text: by its name, or else the one with the longest cells. */
export function guessColumn(sheet, names) {
  const lower = names.map((name) => name.toLowerCase());
  const named = NAMES.split(" ").find((name) => lower.includes(name));
  if (named) return lower.indexOf(named);
  const sample = sheet.records.slice(0, 100);
  const length = (i) => sample.reduce((sum, { cells }) => sum + (cells[i]?.length ?? 0), 0);
  const lengths = names.map((_, i) => length(i));
  return lengths.indexOf(Math.max(...lengths));
}

/** What is to be classified. */
export function makeRows(sheet, header, column) {
  const records = sheet.mayBeHeader && header ? sheet.records.slice(1) : sheet.records;
  return records.map((record, i) => makeRow(record, i, column));
}

/** One text, what it came with, and room for what is found out about it. */
export function makeRow({ cells, line, error }, i, column) {
  const text = cells[column] ?? "";
  return { number: i + 1, cells, line, error, text, scores: null, reading: null };
}
