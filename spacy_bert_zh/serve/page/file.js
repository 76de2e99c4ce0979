// The panel where a file is chosen, and what of it is the text.

import { find, make } from "./dom.js";
import { phrase, say } from "./say.js";
import {
  BadFile, columnNames, guessColumn, looksLikeHeader, makeRows, readFile,
} from "./table.js";

let sheet = null;
let title = "";

/** Watch the panel; `onFile` is told of a file or another choice, `onBad` of one that won't do. */
export function watchFile(onFile, onBad) {
  const open = async (file) => {
    try {
      sheet = await readFile(file);
    } catch (problem) {
      if (!(problem instanceof BadFile)) throw problem;
      return onBad(problem.message, problem.values);
    }
    title = file.name;
    find("header").checked = Boolean(sheet.mayBeHeader) && looksLikeHeader(sheet);
    find("headerChoice").hidden = !sheet.mayBeHeader;
    find("options").hidden = false;
    find("drop").className = "full";
    offerColumns();
    onFile();
  };
  find("choose").onclick = () => find("input").click();
  find("input").onchange = ({ target }) => {
    if (target.files.length) open(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  };
  find("header").onchange = () => {
    offerColumns();
    onFile();
  };
  find("column").onchange = onFile;
  watchDrops(open);
}

function watchDrops(open) {
  const holdsFile = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (on) => document.body.classList.toggle("dropping", on);
  document.ondragover = (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    mark(true);
  };
  document.ondragleave = ({ relatedTarget }) => relatedTarget ?? mark(false);
  document.ondrop = (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  };
}

function offerColumns() {
  const names = currentNames();
  const options = names.map((name, i) => {
    const option = make("option", "", name);
    option.value = i;
    return option;
  });
  find("column").replaceChildren(...options);
  find("column").value = guessColumn(sheet, names);
  find("columnChoice").hidden = names.length < 2;
  const n = sheet.records.length - Number(find("header").checked);
  say(find("filename"), "fileRead", { name: title, n, encoding: sheet.encoding });
}

/** Names of the file's columns. */
export function currentNames() {
  return columnNames(sheet, find("header").checked, (n) => phrase("columnN", { n }));
}

/** The file's rows as they are to be classified; none without a file. */
export function currentRows() {
  return sheet ? makeRows(sheet, find("header").checked, Number(find("column").value)) : [];
}

/** A name for a file of results. */
export const nameOf = (suffix) => `${title.replace(/\.\w+$/, "")}-labels.${suffix}`;
