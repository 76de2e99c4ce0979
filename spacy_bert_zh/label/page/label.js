// The labelling page: a text, the labels, and a key for each thing that can be done.

import { showAgreement } from "./agreement.js";
import { find } from "./dom.js";
import { askKey } from "./key.js";
import { chosenLabels, filterLabels, firstMatch, fitting, makeLabels, showTask, toggle } from "./labels.js";
import { hush, say, sayAll, switchLanguage } from "./say.js";
import { Problem, ask } from "./service.js";

const { signal } = new AbortController();
const session = remembered();

let name = "";
let opened = null; // what the service said once
let task = null;
let busy = false;

/** The window's own token: a reload is the same window. */
function remembered() {
  const known = sessionStorage.getItem("session");
  if (known) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const made = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  sessionStorage.setItem("session", made);
  return made;
}

function tell(key, values = {}, tone = "") {
  find("status").className = tone;
  if (key) say(find("status"), key, values);
  else hush(find("status"));
}

/** Ask the service, for as long as it takes; what it refuses is said, and null comes back. */
async function request(path, question = {}) {
  busy = true;
  find("labels").ariaBusy = "true";
  const hooks = { signal, onWait: (key) => key && tell(key), needKey: (wrong) => askKey(wrong, signal) };
  try {
    return await ask(path, { annotator: name, session, ...question }, { ...hooks, patience: Infinity });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 409) lose();
    else tell("failed", { detail: problem.message }, "error");
    return null;
  } finally {
    busy = false;
    find("labels").ariaBusy = "false";
  }
}

/** Another window has the name. */
function lose() {
  tell(opened ? "takenAway" : "taken", { name }, "warning");
  find("takeOver").hidden = false;
  find("desk").hidden = true;
  find("takeOver").focus();
}

async function open(takeOver) {
  const found = await request("open", { take_over: takeOver });
  if (!found) return;
  opened = found;
  localStorage.setItem("name", name);
  for (const id of ["who", "takeOver"]) find(id).hidden = true;
  find("desk").hidden = false;
  // The service has made it of Markdown and left no markup of others in it.
  find("guideline").innerHTML = found.guideline;
  find("guide").hidden = !found.guideline;
  makeLabels(found, choose);
  show(found.task, "at");
}

function show(next, key) {
  task = next;
  const over = task.place === null;
  const { done, skipped, total } = task;
  find("bar").value = done / total;
  say(find("count"), skipped ? "countedSkipped" : "counted", task);
  for (const id of ["text", "guess", "labels", "skip", "take"]) find(id).hidden = over;
  showTask(task, opened);
  if (over) {
    tell("end", { done, skipped });
    find("undo").focus();
  } else {
    tell(key, { n: task.place + 1, total });
    find("text").focus(); // so that it is read out, and no key presses a button again
    find("text").scrollTop = 0;
  }
}

async function answer(labels) {
  const next = await request("answer", { place: task.place, labels });
  if (next) show(next, "at");
}

async function undo() {
  if (task.last === null) return tell("nothingToUndo");
  const next = await request("undo", { place: task.last });
  if (next) show(next, "again");
  return null;
}

/** A label was chosen: of exclusive ones, that is the answer. */
function choose(label) {
  if (busy || task.place === null) return;
  if (opened.exclusive) answer([label]);
  else toggle(label);
}

function take() {
  const labels = chosenLabels();
  if (opened.exclusive && !labels.length) return;
  answer(labels);
}

const ACTIONS = {
  s: () => task.place !== null && answer(null),
  z: undo,
  Backspace: undo,
  Enter: () => task.place !== null && take(),
  "?": () => find("guide").toggleAttribute("open"),
  "/": () => !find("search").hidden && find("filter").focus(),
};

/** What a key stands for, also while an input method for Chinese holds it. */
function keyOf({ key, code }) {
  if (key !== "Process") return key.length === 1 ? key.toLowerCase() : key;
  return code.replace(/^(Key|Digit|Numpad)/, "").toLowerCase();
}

function press(event) {
  const { ctrlKey, metaKey, altKey, repeat, isComposing, target } = event;
  if (find("desk").hidden || ctrlKey || metaKey || altKey || isComposing) return;
  if (target === find("filter")) return pressInFilter(event);
  const key = keyOf(event);
  const onButton = target.closest("button, summary, a");
  if (target.closest("input") || (onButton && (key === "Enter" || key === " "))) return;
  const label = fitting(key);
  const action = label === undefined ? ACTIONS[key] : () => choose(label);
  if (!action) return;
  event.preventDefault();
  if (!busy && !repeat) action(); // a key that is held down answers one text, not thirty
}

function pressInFilter(event) {
  if (event.key === "Escape") {
    filterLabels("");
    find("text").focus();
  } else if (event.key === "Enter" && firstMatch() !== undefined && !event.repeat) {
    event.preventDefault();
    choose(firstMatch());
  }
}

find("who").onsubmit = (event) => {
  event.preventDefault();
  name = find("name").value.trim();
  if (busy) return;
  if (name) open(false);
  else {
    tell("nameMissing", {}, "error");
    find("name").focus();
  }
};
for (const [id, act] of [["undo", undo], ["skip", () => answer(null)], ["take", take]]) {
  find(id).onclick = () => busy || act();
}
find("takeOver").onclick = () => busy || open(true);
find("filter").oninput = ({ target }) => filterLabels(target.value);
find("agreement").ontoggle = async ({ target }) => {
  if (target.open) showAgreement(await request("agreement"));
};
document.onkeydown = press;
find("language").onclick = switchLanguage;
find("language").dataset.say = "other";
find("name").value = localStorage.getItem("name") ?? "";
sayAll();
find("name").focus();
