// Short names for what is done to the document again and again.

/** The element with an id. */
export const find = (id) => document.getElementById(id);

/** A new element. Strings among its children become text, whatever they hold. */
export function make(tag, className = "", ...children) {
  const node = document.createElement(tag);
  node.className = className;
  node.append(...children);
  return node;
}

/** A text that came from outside: shortened, and in the fonts of its language. */
export function quote(tag, className, text, most = 200) {
  const characters = Array.from(text.slice(0, 2 * most + 2));
  const whole = text.length <= most || characters.length <= most;
  const node = make(tag, className, whole ? text : `${characters.slice(0, most).join("")}…`);
  node.lang = "zh-Hans";
  return node;
}

/** A score as people read it. */
export const percent = (score) => `${(100 * score).toFixed(1)}%`;
