// Loads GGUF files in llama.cpp and compares what it makes of tokens and texts with what sinq-lm made of them: one line
// per file, exit status 1 if something differs.
//   node llama_cpp.mjs LOSSES TOKENS.safetensors FILE...     with node-llama-cpp in ./node_modules
// LOSSES: a line of JSON per file, {"file", "loss", "text"}.
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const packages = createRequire(process.cwd() + "/");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(packages.resolve("node-llama-cpp")));

const kBlocks = 4, kContext = 64, kPrompt = "The war", kGenerated = 12;

/** Blocks of the first row of the tensor "tokens", as sinq-lm cuts them. */
function readTokens(path) {
  const file = readFileSync(path), size = Number(file.readBigUInt64LE(0));
  const {shape, data_offsets: [begin]} = JSON.parse(file.subarray(8, 8 + size)).tokens;
  if (shape[1] < kBlocks * kContext) throw new Error(`${path}: rows of ${shape[1]} tokens are too short`);
  const at = (i) => file.readInt32LE(8 + size + begin + 4 * i);
  return Array.from({length: kBlocks}, (_, block) => Array.from({length: kContext}, (_, i) => at(block * kContext + i)));
}

/** Minus the mean log-probability of each token after those before it. */
async function loss(context, blocks) {
  let sum = 0, count = 0;
  for (const block of blocks) {
    const sequence = context.getSequence();
    const input = block.map((token) => [token, {generateNext: {probabilities: true, options: {temperature: 1, topK: 0, topP: 1, minP: 0}}}]);
    const output = await sequence.controlledEvaluate(input);
    for (let i = 0; i + 1 < block.length; ++i, ++count) sum -= Math.log(output[i].next.probabilities.get(block[i + 1]));
    await sequence.dispose();
  }
  return sum / count;
}

/** The likeliest continuation. */
async function generate(model, context) {
  const sequence = context.getSequence(), tokens = [];
  for await (const token of sequence.evaluate(model.tokenize(kPrompt), {temperature: 0})) {
    tokens.push(token);
    if (tokens.length === kGenerated) break;
  }
  await sequence.dispose();
  return kPrompt + model.detokenize(tokens);
}

/** llama.cpp multiplies blocks with activations of 8 bits, sinq-lm with floats: what that may change. */
function tolerance(file) {
  return /f32|f16|bf16/.test(file) ? 2e-3 : 3e-2;
}

const [losses, tokens, ...files] = process.argv.slice(2);
const ours = new Map(readFileSync(losses, "utf8").trim().split("\n").map((line) => JSON.parse(line)).map((x) => [x.file, x]));
const blocks = readTokens(tokens);
const texts = ["The war", " of  the\n\nyears, 1914-1918!", "don't We'LL café 中文 🙂", "cafe\u0301", "<|endoftext|>x"];
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
let failed = false, firstTokens;
for (const path of files) {
  const model = await llama.loadModel({modelPath: path});
  const context = await model.createContext({contextSize: 2 * kContext, threads: 1});
  const found = {loss: await loss(context, blocks), text: await generate(model, context)};
  const ids = texts.map((text) => model.tokenize(text, true));
  const roundTrip = texts.every((text, i) => model.detokenize(ids[i], true) === text);
  firstTokens ??= JSON.stringify(ids);
  const expected = ours.get(path), difference = Math.abs(found.loss - expected.loss);
  const problems = [
    !(difference < tolerance(path)) && `loss ${found.loss} differs from ${expected.loss} by more than ${tolerance(path)}`,
    JSON.stringify(ids) !== firstTokens && "tokens differ from those of the first file",
    !roundTrip && "texts do not come back from their tokens",
    path.includes("f32") && found.text !== expected.text && `text ${JSON.stringify(found.text)} is not ${JSON.stringify(expected.text)}`
  ].filter(Boolean);
  failed ||= problems.length > 0;
  console.log(`${path}: loss ${found.loss.toFixed(5)}, sinq-lm ${expected.loss.toFixed(5)}${problems.map((x) => "\n  " + x).join("")}`);
  await model.dispose();
}
await llama.dispose();
process.exit(failed ? 1 : 0);
