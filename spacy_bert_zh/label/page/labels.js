// The buttons of the labels: their keys, what is chosen, and what the pipeline says of each.

import { find, make, percent, quote } from "./dom.js";
import { hush, say } from "./say.js";

// None of S and Z, which skip and undo.
const KEYS = "1234567890qwertyuiopadfghjklxcvbnm";
const MANY = 12; // labels that are found faster by a letter of theirs

let buttons = new Map();
let chosen = new Set();
let exclusive = true;

/** The labels that are chosen, in their order. */
export const chosenLabels = () => [...buttons.keys()].filter((label) => chosen.has(label));

/** The label that a key chooses. */
export const fitting = (key) => [...buttons.keys()][KEYS.includes(key) ? KEYS.indexOf(key) : -1];

/** A button for each label; `choose` is told which one was pressed. */
export function makeLabels(opened, choose) {
  ({ exclusive } = opened);
  buttons = new Map(opened.labels.map((label, i) => [label, button(label, KEYS[i], choose)]));
  find("labels").replaceChildren(...buttons.values());
  find("search").hidden = opened.labels.length <= MANY;
}

function button(label, key, choose) {
  const mark = key ? make("kbd", "", key.toUpperCase()) : "";
  const node = make("button", "", mark, quote("span", "name", label), make("span", "score"));
  node.type = "button";
  if (key) node.setAttribute("aria-keyshortcuts", key.toUpperCase());
  node.onclick = () => choose(label);
  return node;
}

/** Show a text, with what is known of it: what was answered before, or else what is guessed. */
export function showTask({ text, guess, scores, given }) {
  find("text").textContent = text;
  chosen = new Set(given ?? guess ?? []);
  const said = new Map(scores ?? []);
  for (const [label, node] of buttons) {
    node.classList.toggle("likely", guess?.includes(label) ?? false);
    node.querySelector(".score").textContent = said.has(label) ? percent(said.get(label)) : "";
    node.querySelector(".track")?.remove();
    if (said.has(label)) node.append(track(said.get(label)));
  }
  if (guess?.length) say(find("guess"), "guess", { names: guess.map((one) => withScore(one, said)).join(", ") });
  else if (guess) say(find("guess"), "guessNone");
  else hush(find("guess"));
  filterLabels("");
  mark();
}

const withScore = (label, said) => (said.has(label) ? `${label} ${percent(said.get(label))}` : label);

function track(score) {
  const fill = make("i", "fill");
  fill.style.width = percent(score);
  return make("span", "track", fill);
}

/** Choose a label besides others, or no longer. */
export function toggle(label) {
  if (!chosen.delete(label)) chosen.add(label);
  mark();
}

function mark() {
  for (const [label, node] of buttons) {
    if (!exclusive) node.ariaPressed = String(chosen.has(label));
  }
  const names = chosenLabels();
  find("take").ariaDisabled = String(exclusive && !names.length);
  if (exclusive) say(find("takeWhat"), names.length ? "take" : "takeGuess", { name: names[0] });
  else say(find("takeWhat"), names.length ? "store" : "storeNone", { names: names.join(", ") });
}

/** Leave only the labels that have something in their names. */
export function filterLabels(part) {
  if (find("filter").value !== part) find("filter").value = part;
  const wanted = part.trim().toLowerCase();
  for (const [label, node] of buttons) node.hidden = !label.toLowerCase().includes(wanted);
  find("noMatch").hidden = firstMatch() !== undefined;
}

/** The first label that is left. */
export const firstMatch = () => [...buttons.keys()].find((label) => !buttons.get(label).hidden);
