// Loads GGUF files in llama.cpp and prints, as JSON, one line per file: what it makes of given tokens and texts.
//   node llama_cpp.mjs TOKENS.safetensors FILE... , with node-llama-cpp in ./node_modules
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

const [tokens, ...files] = process.argv.slice(2);
const blocks = readTokens(tokens);
const texts = ["The war", " of  the\n\nyears, 1914-1918!", "don't We'LL café 中文 🙂", "cafe\u0301", "<|endoftext|>x"];
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
for (const path of files) {
  const model = await llama.loadModel({modelPath: path});
  const context = await model.createContext({contextSize: 2 * kContext});
  console.log(JSON.stringify({
    file: path,
    loss: await loss(context, blocks),
    text: await generate(model, context),
    tokens: texts.map((text) => model.tokenize(text, true)),
    round: texts.every((text) => model.detokenize(model.tokenize(text, true), true) === text),
    bytes: model.size
  }));
  await model.dispose();
}
await llama.dispose();
