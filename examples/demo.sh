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
cmake --build "$build" -j "$(nproc)" --target quantize_matrix quantize_model sinq-quantize sinq-lm sinq-fold sinq-gguf

echo
echo "== Every linear layer of examples/data/lm1m, quantized =="
"$build/examples/quantize_model" examples/data/lm1m

echo
echo "== What that does to the model, on text drawn from it: its cross-entropy grows by exactly KL =="
"$build/examples/llm/sinq-lm" compare examples/data/lm1m --tokens examples/data/lm1m/samples.safetensors --context 256 \
  --limit 128 --svg "$build/compare.svg" --force
echo "KL over bits per weight: $build/compare.svg"

echo
echo "== The model in 3.5 bits per weight, as a checkpoint, and what it writes =="
"$build/examples/quantize/sinq-quantize" examples/data/lm1m -o "$build/lm1m-quantized" --max-bits-per-weight 3.5 --force
"$build/examples/llm/sinq-lm" generate "$build/lm1m-quantized" --prompt "The war" --max-tokens 40
