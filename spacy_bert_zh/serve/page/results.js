// Results as people see them: cards for texts, a table with a summary for files.

import { isPartial, ranked } from "./batch.js";
import { make, percent, quote } from "./dom.js";
import { say } from "./say.js";
import { reasons } from "./why.js";

const SHOWN = 200;
const SUMMARY = 20;

/** A card for each of the first rows. */
export function showCards(root, rows, run) {
  const alone = rows.length === 1;
  const cards = rows.slice(0, SHOWN).map((row) => card(row, run, alone ? 10 : 3));
  const list = make("div", alone ? "cards alone" : "cards", ...cards);
  root.replaceChildren(list, ...hints(run));
  if (rows.length > SHOWN) {
    root.append(say(make("p", "quiet"), "firstOnly", { shown: SHOWN, n: rows.length }));
  }
}

function hints({ exclusive, threshold }) {
  if (exclusive || threshold === null) return [];
  return [say(make("p", "quiet"), "passing", { threshold: percent(threshold) })];
}

function card(row, run, most) {
  const text = make("div", "", quote("p", "text", row.text, 40 * most));
  if (row.error) {
    return make("article", "card result", text, say(make("p", "error"), ...row.error));
  }
  if (isPartial(row)) {
    const key = run.readsRest ? "partialNgrams" : "partial";
    text.append(say(make("p", "warning"), key, row.reading));
  }
  if (row.reading) text.append(say(make("p", "quiet reading"), "reading", row.reading));
  const said = make("div", "", verdict(row), scores(row, run, most));
  return make("article", "card result", text, said, ...reasons(row.text, run));
}

/** What the service says of a text, in plain words. */
function verdict({ given, doubt, set }) {
  const parts = [];
  if (doubt) parts.push(say(make("p", "warning"), `${doubt}Whole`));
  if (given.length) {
    const names = quote(doubt ? "span" : "strong", "", given.join(", "));
    const key = doubt ? "perhaps" : "givenLabels";
    parts.push(make("p", "verdict", say(make("span", "quiet"), key), " ", names));
  } else {
    parts.push(say(make("p", "verdict quiet"), "noneGiven"));
  }
  if (set?.length > 1) {
    const names = quote("span", "", set.join(", "));
    parts.push(make("p", "verdict", say(make("span", "quiet"), "possible"), " ", names));
  }
  return make("div", "", ...parts);
}

function scores(row, run, most) {
  const items = ranked(row).map((i) => ({
    name: run.labels[i],
    share: row.scores[i] ?? 0,
    value: percent(row.scores[i] ?? 0),
    strong: !row.doubt && row.given.includes(run.labels[i]),
    tick: run.exclusive ? null : run.threshold,
  }));
  const few = items.slice(0, Math.max(most, row.given.length));
  const box = make("div", "", bars(few));
  if (few.length === items.length) return box;
  const button = say(make("button", "plain"), "all", { n: items.length });
  button.type = "button";
  button.ariaExpanded = "false";
  button.onclick = () => {
    const open = button.ariaExpanded === "false";
    button.ariaExpanded = String(open);
    box.firstChild.replaceWith(bars(open ? items : few));
    say(button, open ? "fewer" : "all", { n: items.length });
  };
  box.append(button);
  return box;
}

function bars(items) {
  return make("ol", "bars", ...items.map(bar));
}

function bar({ name, share, value, strong, tick = null, key }) {
  const fill = make("span", "fill");
  fill.style.width = `${100 * share}%`;
  const track = make("span", "track", fill);
  track.ariaHidden = "true";
  const title = key ? say(make("span", "name"), key) : make("span", "name", name);
  const item = make("li", strong ? "strong" : "", title, track, make("span", "value", value));
  if (tick === null) return item;
  const mark = make("span", "tick");
  mark.style.left = `${100 * tick}%`;
  track.append(mark);
  // Not by colour alone.
  if (strong) title.append(" ✓", say(make("span", "unseen"), "passes"));
  return item;
}

/**
 * A table of the first rows, its summary above it.
 *
 * Returns what is to be told of rows once they are done.
 */
export function showTable(root, rows) {
  const [summary, body] = [make("div", "card summary"), make("tbody")];
  summary.hidden = true;
  const lines = new Map(rows.slice(0, SHOWN).map((row) => [row, tableRow(row)]));
  body.append(...lines.values());
  const table = make("table", "", make("thead", "", heads()), body);
  const parts = [summary, make("div", "card table", table)];
  if (rows.length > SHOWN) {
    parts.push(say(make("p", "quiet"), "first", { shown: SHOWN, n: rows.length }));
  }
  root.replaceChildren(...parts);
  const tally = { counts: new Map(), errors: 0, partial: 0, doubtful: 0, done: 0 };
  return (done) => {
    for (const row of done) {
      count(tally, row);
      if (lines.has(row)) fillRow(lines.get(row), row);
    }
    if (done.length) summarize(summary, tally);
  };
}

function heads() {
  const cells = ["number", "text", "label", "score"].map((key) => {
    const cell = say(make("th", key), key);
    cell.scope = "col";
    return cell;
  });
  return make("tr", "", ...cells);
}

function tableRow(row) {
  const number = make("td", "number", row.number.toLocaleString("en"));
  const text = make("td", "text", quote("div", "", row.text));
  return make("tr", "", number, text, make("td", "label"), make("td", "score"));
}

function fillRow(line, row) {
  const [, , label, score] = line.children;
  if (row.error) {
    label.replaceChildren(say(make("span", "error"), ...row.error));
    label.colSpan = 2;
    score.remove();
    return;
  }
  const names = row.given;
  label.append(names.length ? names.join(", ") : say(make("span", "quiet"), "none"));
  for (const mark of [isPartial(row) && "partialMark", row.doubt]) {
    if (mark) label.append(say(make("span", "warning"), mark));
  }
  score.append(percent(row.scores[ranked(row)[0]]));
}

function count(tally, row) {
  tally.done += 1;
  if (row.error) {
    tally.errors += 1;
    return;
  }
  if (isPartial(row)) tally.partial += 1;
  if (row.doubt) tally.doubtful += 1;
  const names = row.given;
  for (const name of names.length ? names : [null]) {
    tally.counts.set(name, (tally.counts.get(name) ?? 0) + 1);
  }
}

function summarize(root, { counts, errors, partial, doubtful, done }) {
  const shown = (n) => `${n.toLocaleString("en")} (${percent(n / done)})`;
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  const items = sorted.slice(0, SUMMARY).map(([name, n]) => ({
    name, key: name === null ? "none" : null, share: n / done, value: shown(n), strong: name !== null,
  }));
  if (errors) items.push({ key: "noAnswer", share: errors / done, value: shown(errors) });
  root.replaceChildren(say(make("h2"), "summary"), bars(items));
  if (sorted.length > SUMMARY) {
    root.append(say(make("p", "quiet"), "more", { n: sorted.length - SUMMARY }));
  }
  if (partial) root.append(say(make("p", "warning"), "partialCount", { n: partial }));
  if (doubtful) root.append(say(make("p", "warning"), "doubtCount", { n: doubtful }));
  root.hidden = false;
}
