// The page: what is asked, of whom, and what is shown meanwhile.

import { classify } from "./batch.js";
import { find, make } from "./dom.js";
import { save, toCsv, toJsonl } from "./export.js";
import { currentNames, currentRows, nameOf, watchFile } from "./file.js";
import { askKey } from "./key.js";
import { showCards, showTable } from "./results.js";
import { hush, phrase, say, sayAll, switchLanguage } from "./say.js";
import { Problem, ask } from "./service.js";
import { makeRow } from "./table.js";

const LEFT = "left";

let catalogue = null;
let stop = null; // ends what is running

const form = find("question");
const mode = () => form.elements.mode.value;

function tell(key, values, tone = "") {
  const status = find("status");
  // Said once is enough for those who listen.
  if (key && status.textContent === phrase(key, values)) return;
  status.className = tone;
  if (key) say(status, key, values);
  else hush(status);
}

function setBusy(busy) {
  find("go").ariaDisabled = String(busy || !catalogue);
  if (!busy && document.activeElement === find("cancel")) find("go").focus();
  find("cancel").hidden = !busy;
  if (!busy) find("progress").hidden = true;
}

function setMode(name) {
  if (mode() !== name) form.elements.mode.value = name;
  find("file").hidden = name !== "file";
  for (const id of ["write", "keys", "explainChoice"]) find(id).hidden = name === "file";
  find("results").replaceChildren();
  if (catalogue) tell("");
  preview();
}

/** Say how much is to be classified; of a file, also show it. */
function preview() {
  const rows = mode() === "file" ? currentRows() : [];
  if (!rows.length) return say(find("go"), "go");
  showTable(find("results"), rows);
  return say(find("go"), "goRows", { n: rows.length });
}

function chosen() {
  return catalogue.pipelines[find("pipeline").selectedIndex];
}

function showPipeline() {
  const { labels } = chosen();
  const names = labels.slice(0, 12).join(", ") + (labels.length > 12 ? ", …" : "");
  say(find("labels"), "labels", { n: labels.length, names });
}

function rowsToAsk() {
  if (mode() === "file") return currentRows();
  const text = find("text").value;
  const texts = mode() === "text" ? [text] : text.split("\n");
  const kept = texts.filter((line) => line.trim());
  return kept.map((line, i) => makeRow({ cells: [line], error: null }, i, 0));
}

function rest() {
  stop = null;
  setBusy(false);
}

/** End what is running, for something else is to be shown. */
function leave() {
  stop?.abort(LEFT);
  rest();
}

async function start() {
  const rows = rowsToAsk();
  if (!rows.length) {
    tell(mode() === "file" ? "noFile" : "noText", {}, "error");
    return find(mode() === "file" ? "choose" : "text").focus();
  }
  const control = new AbortController();
  stop = control;
  setBusy(true);
  const run = makeRun(rows, control.signal);
  try {
    tell("working", { n: rows.length });
    await classify(rows, run);
    finish(rows);
  } catch (error) {
    if (error === LEFT) return null;
    if (!run.signal.aborted) throw error;
    giveUp(rows, run);
  } finally {
    if (stop === control) rest();
  }
  return show(rows, run);
}

function makeRun(rows, signal) {
  const { name, labels, exclusive, threshold, reads_rest: readsRest, explains } = chosen();
  const run = { name, exclusive, threshold, readsRest, explains, labels: [...labels], signal };
  run.limits = catalogue.limits;
  run.isFile = mode() === "file";
  const update = run.isFile ? showTable(find("results"), rows) : () => {};
  let done = 0;
  run.onRows = (some) => {
    update(some);
    done += some.length;
    find("progress").hidden = rows.length === 1;
    find("bar").value = done / rows.length;
    say(find("count"), "counted", { done, n: rows.length });
  };
  run.onWait = (key) => (key ? tell(key) : tell("working", { n: rows.length }));
  run.needKey = (wrong) => {
    tell("");
    return askKey(wrong, signal);
  };
  return run;
}

function finish(rows) {
  const errors = rows.filter((row) => row.error).length;
  const n = rows.length - errors;
  if (rows.length === 1 && errors) {
    const [key, values] = rows[0].error;
    tell(key === "server" ? "failed" : key, values, "error");
  } else tell(errors ? "doneErrors" : "done", { n, errors }, errors ? "warning" : "");
}

function giveUp(rows, run) {
  const left = rows.filter((row) => !row.error && !row.scores);
  for (const row of left) row.error = ["notSent"];
  run.onRows(left);
  tell("cancelled");
}

function show(rows, run) {
  const root = find("results");
  if (!run.isFile) {
    const shown = rows.length === 1 && rows[0].error ? [] : rows;
    return shown.length ? showCards(root, shown, run) : root.replaceChildren();
  }
  const names = currentNames();
  const button = (key, write) => {
    const node = say(make("button"), key);
    node.type = "button";
    node.onclick = () => save(write(rows, names, run), nameOf(key));
    return node;
  };
  return root.prepend(make("div", "downloads", button("csv", toCsv), button("jsonl", toJsonl)));
}

async function boot() {
  const { signal } = new AbortController();
  try {
    const needKey = (wrong) => askKey(wrong, signal);
    catalogue = await ask("pipelines", null, { signal, needKey, onWait: tell, patience: Infinity });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    return tell("failed", { detail: problem.message }, "error");
  }
  const { pipelines, folders } = catalogue;
  if (!pipelines.length) return location.replace("find");
  find("find").hidden = !folders.length;
  const options = pipelines.map(({ name }) => make("option", "", name));
  find("pipeline").replaceChildren(...options);
  find("pipeline").disabled = options.length < 2;
  showPipeline();
  return setBusy(false);
}

form.onsubmit = (event) => {
  event.preventDefault();
  if (find("go").ariaDisabled === "false") start();
};
find("text").onkeydown = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
};
for (const radio of form.elements.mode) {
  radio.onchange = () => {
    leave();
    setMode(radio.value);
  };
}
find("cancel").onclick = () => stop?.abort();
find("pipeline").onchange = showPipeline;
find("explain").onchange = ({ target }) => {
  find("results").classList.toggle("explained", target.checked);
};
find("language").onclick = switchLanguage;
watchFile(
  () => {
    leave();
    setMode("file");
  },
  (key, values) => tell(key, values, "error"),
);
say(find("keys"), "keys", { key: /Mac|iP/.test(navigator.platform) ? "⌘" : "Ctrl" });
find("language").dataset.say = "other";
sayAll();
setMode(mode());
boot();
