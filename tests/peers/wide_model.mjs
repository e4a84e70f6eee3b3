// Writes a Hugging Face folder: a Qwen3 model of random weights whose rows are whole blocks of 256, as ggml's k types
// want them, with the tokenizer of another model.
//   node wide_model.mjs MODEL FOLDER
import {copyFileSync, mkdirSync, readFileSync, writeFileSync} from "node:fs";

const [model, folder] = process.argv.slice(2);
const hidden = 256, intermediate = 512, layers = 2, heads = 4, keyHeads = 2, headSize = 64;
const original = JSON.parse(readFileSync(`${model}/config.json`));
const config = {...original, layer_types: original.layer_types.slice(0, layers), hidden_size: hidden, intermediate_size: intermediate,
                num_hidden_layers: layers, num_attention_heads: heads, num_key_value_heads: keyHeads, head_dim: headSize};
const vocabulary = config.vocab_size;

let state = 1;
const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
/** Nearly normal, of deviation 1. */
const random = () => 2 * (uniform() + uniform() + uniform() - 1.5);

const tensors = {}, parts = [];
let size = 0;
function add(name, shape, value) {
  const count = shape.reduce((a, b) => a * b), floats = new Float32Array(count), bytes = Buffer.alloc(2 * count);
  for (let i = 0; i < count; ++i) {
    floats[0] = value();
    bytes.writeUInt16LE(new Uint32Array(floats.buffer, 0, 1)[0] >>> 16, 2 * i);
  }
  tensors[name] = {dtype: "BF16", shape, data_offsets: [size, size + bytes.length]};
  size += bytes.length;
  parts.push(bytes);
}
const matrix = (name, rows, cols) => add(name, [rows, cols], () => random() / Math.sqrt(cols));
const ones = (name, count) => add(name, [count], () => 1);
add("model.embed_tokens.weight", [vocabulary, hidden], () => 0.15 * random());  // logits of deviation 2.4
for (let i = 0; i < layers; ++i) {
  const at = `model.layers.${i}`;
  ones(`${at}.input_layernorm.weight`, hidden);
  matrix(`${at}.self_attn.q_proj.weight`, heads * headSize, hidden);
  matrix(`${at}.self_attn.k_proj.weight`, keyHeads * headSize, hidden);
  matrix(`${at}.self_attn.v_proj.weight`, keyHeads * headSize, hidden);
  matrix(`${at}.self_attn.o_proj.weight`, hidden, heads * headSize);
  ones(`${at}.self_attn.q_norm.weight`, headSize);
  ones(`${at}.self_attn.k_norm.weight`, headSize);
  ones(`${at}.post_attention_layernorm.weight`, hidden);
  matrix(`${at}.mlp.gate_proj.weight`, intermediate, hidden);
  matrix(`${at}.mlp.up_proj.weight`, intermediate, hidden);
  matrix(`${at}.mlp.down_proj.weight`, hidden, intermediate);
}
ones("model.norm.weight", hidden);

const header = Buffer.from(JSON.stringify(tensors)), length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(header.length));
mkdirSync(folder, {recursive: true});
writeFileSync(`${folder}/model.safetensors`, Buffer.concat([length, header, ...parts]));
writeFileSync(`${folder}/config.json`, JSON.stringify(config));
for (const file of ["tokenizer.json", "tokenizer_config.json"]) copyFileSync(`${model}/${file}`, `${folder}/${file}`);
