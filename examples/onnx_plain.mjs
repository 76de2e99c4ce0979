// Classify in Node.js with what `export --format onnx` writes for other frameworks.
//
//     npm install onnxruntime-node @huggingface/tokenizers
//     node examples/onnx_plain.mjs small/onnx < texts.txt
//
// One text a line in, one line of JSON a text out. A long text is read up to its first window's end.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// Packages are looked for where the command is run, as the lines above install them there.
const require = createRequire(join(process.cwd(), "package.json"));
const ort = require("onnxruntime-node");
const { Tokenizer } = require("@huggingface/tokenizers");

const BATCH = 64;

const folder = process.argv[2];
const read = (name) => JSON.parse(readFileSync(join(folder, name), "utf8"));
const config = read("tokenizer_config.json");
const tokenizer = new Tokenizer(read("tokenizer.json"), config);
const labels = read("labels.json");
const session = await ort.InferenceSession.create(join(folder, "model.onnx"));

// The library neither truncates nor pads: [CLS], as many pieces as fit, [SEP].
function encode(text) {
  const ids = tokenizer.encode(text).ids;
  if (ids.length <= config.model_max_length) return ids;
  return [...ids.slice(0, config.model_max_length - 1), ids.at(-1)];
}

function tensor(rows, value) {
  const length = Math.max(...rows.map((ids) => ids.length));
  const data = new BigInt64Array(rows.length * length);
  rows.forEach((ids, row) =>
    ids.forEach((id, place) => (data[row * length + place] = BigInt(value(id)))),
  );
  return new ort.Tensor("int64", data, [rows.length, length]);
}

const lines = readFileSync(0, "utf8").split(/\r?\n/);
if (lines.at(-1) === "") lines.pop();
for (let start = 0; start < lines.length; start += BATCH) {
  const rows = lines.slice(start, start + BATCH).map(encode);
  const inputs = { input_ids: tensor(rows, (id) => id), attention_mask: tensor(rows, () => 1) };
  const { scores } = await session.run(inputs);
  rows.forEach((_, row) => {
    const values = scores.data.slice(row * labels.length, (row + 1) * labels.length);
    console.log(JSON.stringify(Object.fromEntries(labels.map((label, i) => [label, values[i]]))));
  });
}
