// The page that searches: a question, where and by what; then what was found.

import { find, make, percent, quote } from "./dom.js";
import { askKey } from "./key.js";
import { hush, phrase, say, sayAll, switchLanguage } from "./say.js";
import { Problem, ask } from "./service.js";

const SHOWN = 10;
const LONG = 2000; // characters of a text or an answer

let folders = [];
let stop = null; // ends the search that is running

const form = find("asked");
const chosen = () => folders[find("folder").selectedIndex];

function tell(key, values = {}, tone = "") {
  const status = find("status");
  if (key && status.textContent === phrase(key, values)) return;
  status.className = tone;
  if (key) say(status, key, values);
  else hush(status);
}

function showFolder() {
  const { entries, by } = chosen();
  say(find("entries"), "entries", { n: entries });
  find("by").hidden = by.length < 2;
  find("results").replaceChildren();
  tell("");
}

async function search() {
  const text = find("text").value;
  if (!text.trim()) {
    tell("noQuestion", {}, "error");
    return find("text").focus();
  }
  const { name, by, max_length: max } = chosen();
  const n = Array.from(text).length;
  if (n > max) return tell("tooLong", { n, max }, "error");
  stop?.abort();
  stop = new AbortController();
  const { signal } = stop;
  const question = { text, folder: name, top_k: SHOWN };
  if (by.length > 1) question.by = form.elements.by.value;
  tell("finding");
  const reply = await told("search", question, { signal, onWait: (key) => tell(key || "finding") });
  return reply && show(reply);
}

/** What the service answers; nothing where it can't, which is said, or nobody waits for it. */
async function told(path, question, { signal, onWait, patience }) {
  const needKey = (wrong) => {
    tell("");
    return askKey(wrong, signal);
  };
  try {
    return await ask(path, question, { signal, onWait, needKey, patience });
  } catch (problem) {
    if (signal.aborted) return null;
    if (!(problem instanceof Problem)) throw problem;
    tell(problem.status ? "failed" : "gone", { detail: problem.message }, "error");
    return null;
  }
}

function show({ hits, confidence, known }) {
  const list = make("ol", "hits", ...hits.map(card));
  find("results").replaceChildren(...sureness(hits, confidence, known), list);
  tell(hits.length ? "found" : "nothing", { n: hits.length });
}

function sureness(hits, confidence, known) {
  if (known === null || !hits.length) return [];
  const key = known ? "known" : "unknown";
  const tone = known ? "quiet" : "warning doubt";
  return [say(make("p", tone), key, { confidence: percent(confidence) })];
}

function card({ text, answer, words, cosine, source }, i) {
  const said = [say(make("span", "unseen"), "place", { place: i + 1 }), quote("p", "text", text, LONG)];
  if (answer) said.push(quote("p", "answer", answer, LONG));
  const parts = [];
  if (words !== null) parts.push(say(make("span"), "byWordsScore", { score: words.toFixed(2) }));
  if (cosine !== null) parts.push(say(make("span"), "byCosine", { score: cosine.toFixed(2) }));
  if (source) parts.push(make("span", "", source));
  const between = parts.flatMap((part, place) => (place ? [" · ", part] : [part]));
  return make("li", "card hit", ...said, make("p", "quiet", ...between));
}

async function boot() {
  const { signal } = new AbortController();
  const catalogue = await told("pipelines", null, { signal, onWait: tell, patience: Infinity });
  if (!catalogue) return null;
  folders = catalogue.folders;
  find("classify").hidden = !catalogue.pipelines.length;
  find("folder").replaceChildren(...folders.map(({ name }) => make("option", "", name)));
  find("folder").disabled = folders.length < 2;
  if (!folders.length) return tell("noFolders", {}, "error");
  showFolder();
  find("go").ariaDisabled = "false";
  return find("text").focus();
}

form.onsubmit = (event) => {
  event.preventDefault();
  if (find("go").ariaDisabled === "false") search();
};
for (const radio of form.elements.by) {
  radio.onchange = () => find("text").value.trim() && form.requestSubmit();
}
find("folder").onchange = showFolder;
find("language").onclick = switchLanguage;
find("language").dataset.say = "other";
sayAll();
boot();
