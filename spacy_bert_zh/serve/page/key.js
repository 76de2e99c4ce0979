// The form that asks for the API key.

import { find } from "./dom.js";
import { say } from "./say.js";
import { setKey } from "./service.js";

let asking = null;

/** Promise that a key is given; all who need one share the form. `signal` ends the asking. */
export function askKey(wrong, signal) {
  asking ??= new Promise((resolve, reject) => {
    const form = find("keyForm");
    const before = document.activeElement;
    const end = (settle) => {
      asking = null;
      find("key").value = "";
      find("key").blur();
      form.hidden = true;
      if (document.activeElement === document.body) before.focus();
      settle();
    };
    say(find("keyHint"), wrong ? "keyWrong" : "keyHint");
    form.hidden = false;
    form.onsubmit = (event) => {
      event.preventDefault();
      setKey(find("key").value);
      end(resolve);
    };
    signal.addEventListener("abort", () => end(() => reject(signal.reason)), { once: true });
    find("key").focus();
  });
  return asking;
}
