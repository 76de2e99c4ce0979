// How far those who label agree.

import { find, make, percent } from "./dom.js";
import { phrase, say } from "./say.js";

const rounded = (value) => (value === null ? phrase("none") : value.toFixed(3));

/** Show what the service says of it; nothing if it said nothing. */
export function showAgreement(found) {
  if (!found) return;
  const line = (key, values) => say(make("p"), key, values);
  const people = found.annotators.map(({ name, answers }) => line("answered", { name, n: answers }));
  const common = found.pairs.filter(({ texts }) => texts);
  const pairs = common.map(({ names, texts, same, kappa }) =>
    line("pair", { names: names.join(" – "), n: texts, same: percent(same), kappa: rounded(kappa) }),
  );
  const all = common.length ? line("alpha", { alpha: rounded(found.alpha) }) : line("oneAlone");
  find("agreed").replaceChildren(...people, ...pairs, all);
}
