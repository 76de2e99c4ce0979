// Why a text has its labels: its characters, coloured by what they add.

import { make, quote } from "./dom.js";
import { say } from "./say.js";
import { Problem, ask } from "./service.js";

const WORDS = 5;
const LEVELS = 8;

const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** A button that asks the service why, and the place for what it says; nothing if it can't tell. */
export function reasons(text, run) {
  if (!run.explains) return [];
  const max = run.limits.max_explained;
  const box = make("div", "why");
  if (Array.from(text).length > max) return [say(make("p", "why quiet"), "whyLong", { max })];
  const button = say(make("button", "plain"), "why");
  button.type = "button";
  button.ariaExpanded = "false";
  button.onclick = () => {
    const open = button.ariaExpanded === "false";
    button.ariaExpanded = String(open);
    box.hidden = !open;
    if (open && !box.querySelector(".reasons")) show(box, text, run);
  };
  box.hidden = true;
  box.ariaLive = "polite";
  return [make("div", "why", button, box)];
}

async function show(box, text, run) {
  const note = say(make("p", "quiet"), "explaining");
  box.replaceChildren(note);
  const question = { text, pipeline: run.name, contrast: true, rating: true };
  const onWait = (key) => say(note, key || "explaining");
  try {
    const reply = await ask("explain", question, { ...run, onWait });
    box.replaceChildren(...told(reply));
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    note.className = "error";
    say(note, problem.status ? "failed" : "gone", { detail: problem.message });
  }
}

function told({ explanation, contrast, rating }) {
  const characters = Array.from(explanation.text);
  const parts = explanation.shares.flatMap((share) => view(explanation, characters, share));
  const notes = [say(make("p", "quiet"), "whyLegend"), without(characters, contrast)];
  if (rating) {
    const [own, random] = [rating.comprehensiveness, rating.random_comprehensiveness];
    const values = { own: own.toFixed(2), random: random.toFixed(2) };
    notes.push(say(make("p", "quiet"), "whyRating", values));
  }
  return [...parts, ...notes];
}

function view({ words }, characters, share) {
  const added = share.network_characters.map((value, i) => value + share.ngram_characters[i]);
  const numbers = ["logit", "bias", "ngrams", "network"].map((name) => [name, signed(share[name])]);
  const values = { label: share.label, ...Object.fromEntries(numbers) };
  const effects = words.map(([start, end], i) => ({
    word: characters.slice(start, end).join(""),
    effect: share.effects[i],
  }));
  return [
    say(make("p", "split"), "whySplit", values),
    coloured(characters, added),
    heaviest(effects.filter(({ effect }) => effect > 0), "whyFor"),
    heaviest(effects.filter(({ effect }) => effect < 0), "whyAgainst"),
  ];
}

/** The text in runs of a colour, each with what it adds. */
function coloured(characters, added) {
  const largest = Math.max(...added.map(Math.abs), 1e-9);
  const levels = added.map((value) => Math.round((LEVELS * value) / largest));
  const root = make("p", "text reasons");
  root.lang = "zh-Hans";
  for (let start = 0, end; start < characters.length; start = end) {
    for (end = start + 1; levels[end] === levels[start]; ) end += 1;
    const piece = make("span", levels[start] < 0 ? "against" : "for", characters.slice(start, end).join(""));
    piece.style.setProperty("--part", Math.abs(levels[start]) / LEVELS);
    piece.title = signed(sum(added.slice(start, end)));
    root.append(levels[start] ? piece : piece.textContent);
  }
  return root;
}

/** The same in words, for those who can't see colours. */
function heaviest(effects, key) {
  if (!effects.length) return "";
  const most = effects.sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)).slice(0, WORDS);
  const words = most.map(({ word, effect }) => `${word} ${signed(effect)}`).join(" · ");
  return make("p", "", say(make("span", "quiet"), key), " ", quote("span", "", words));
}

function without(characters, contrast) {
  if (!contrast) return say(make("p"), "whyNoContrast");
  const words = contrast.words.map(([start, end]) => characters.slice(start, end).join(""));
  const values = { words: words.join(" "), given: contrast.given.join(", ") };
  return say(make("p"), contrast.given.length ? "whyContrast" : "whyNoLabel", values);
}
