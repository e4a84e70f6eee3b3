#!/usr/bin/env bash
# Installs what is missing (Debian), builds the examples and shows them on the model in examples/data. Safe to call again.
set -euo pipefail
cd "$(dirname "$0")/.."

. cmake/install_packages.sh
install_packages cmake make g++ libeigen3-dev nlohmann-json3-dev libcli11-dev libpcre2-dev

# Shares tests/run.sh's folder, so that nothing is compiled twice; the tests need more packages than the examples.
build=${SINQ_BUILD_DIR:-build}
options=()
[[ -e $build/CMakeCache.txt ]] || options=(-D SINQ_BUILD_TESTS=OFF -D SINQ_BUILD_BENCHMARKS=OFF -D CMAKE_UNITY_BUILD=ON -D SINQ_PRECOMPILE=ON)
cmake -S . -B "$build" "${options[@]}" > /dev/null
cmake --build "$build" -j "$(nproc)" --target quantize_model sinq-quantize sinq-lm sinq-fold

model=examples/data/lm1m
lm=$build/examples/llm/sinq-lm

echo
echo "== Every linear layer of $model, quantized =="
"$build/examples/quantize_model" "$model"

echo
echo "== The model in 3.5 bits per weight, as a checkpoint, and what it writes =="
"$build/examples/quantize/sinq-quantize" "$model" -o "$build/lm1m-quantized" --max-bits-per-weight 3.5 --force
"$lm" generate "$build/lm1m-quantized" --prompt "The war" --max-tokens 40

echo
echo "== How much each matrix matters, on text drawn from the model =="
"$lm" sensitivity "$model" -o "$build/lm1m-sensitivity.json" --force

echo
echo "== Random factors moved from what makes the channels into the columns that read them: the same function =="
"$build/examples/fold/sinq-fold" "$model" -o "$build/lm1m-moved" --random-factors 1 --dtype float32 --force

cat << 'TEXT'

== What quantizing does to both, on text drawn from the model: its cross-entropy grows by exactly KL ==

The second model is synthetic: log-normal factors (sigma 0.7), one channel in a hundred times 8. In real models the deviations
of columns differ like this, large columns reading small inputs (arXiv 2509.22944, Fig. 2); a model of a million parameters
has learned no such channels. The function is the same, so what a method loses there it loses to the way weights are written.

TEXT
"$lm" compare "$model" --moved "$build/lm1m-moved" --tokens "$model/samples.safetensors" --context 256 --limit 32 \
  --methods rtn,hqq,nf4,fitted,sinq --bits 4,3,2 --group-size 64 \
  --max-bits-per-weight 4.5,3.5,2.6 --sensitivity "$build/lm1m-sensitivity.json" --svg "$build/compare.svg" --force
echo
echo "KL over bits per weight, both models: $build/compare.svg"
