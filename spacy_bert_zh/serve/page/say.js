// Puts sentences into the page, so that all of them can change their language later.

import { words } from "./words.js";

let language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";

/** A sentence in the current language; numbers get their separators. */
export function phrase(key, values = {}) {
  const shown = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === "number" ? value.toLocaleString("en") : value,
    ]),
  );
  const sentence = words[language][key];
  if (typeof sentence === "function") return sentence(shown);
  return sentence.replace(/\{(\w+)\}/g, (_, name) => shown[name]);
}

/** Make a sentence the text of a node. */
export function say(node, key, values = {}) {
  node.dataset.say = key;
  node.dataset.values = JSON.stringify(values);
  node.textContent = phrase(key, values);
  return node;
}

/** Leave a node without a sentence. */
export function hush(node) {
  delete node.dataset.say;
  node.textContent = "";
}

/** Say everything in the current language. */
export function sayAll() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const node of document.querySelectorAll("[data-say]")) {
    node.textContent = phrase(node.dataset.say, JSON.parse(node.dataset.values ?? "{}"));
  }
  for (const name of ["placeholder", "aria-label"]) {
    for (const node of document.querySelectorAll(`[data-say-${name}]`)) {
      node.setAttribute(name, phrase(node.getAttribute(`data-say-${name}`)));
    }
  }
}

/** Change the language. */
export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  sayAll();
}
