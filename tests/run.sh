#!/usr/bin/env bash
# Installs what is missing (Debian), builds everything and runs every test. Safe to call again.
#   bash tests/run.sh                  all of it
#   bash tests/run.sh --install-only   only the packages
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1-}" in
  "" | --install-only) ;;
  *)
    echo "usage: bash tests/run.sh [--install-only]" >&2
    exit 2
    ;;
esac

. cmake/install_packages.sh
install_packages cmake make g++ libeigen3-dev nlohmann-json3-dev libcli11-dev libpcre2-dev libgtest-dev libgmock-dev \
  libbenchmark-dev
[[ "${1-}" == --install-only ]] && exit 0

build=${SINQ_BUILD_DIR:-build}
# Sources joined by eights, after headers that are read once; tests link the optimized library. Whether each header is
# complete is a test of its own.
cmake -S . -B "$build" -D SINQ_BUILD_TESTS=ON -D SINQ_BUILD_BENCHMARKS=ON -D SINQ_BUILD_EXAMPLES=ON -D CMAKE_UNITY_BUILD=ON \
  -D SINQ_PRECOMPILE=ON -D SINQ_TEST_OPTIONS=-O1
cmake --build "$build" -j "$(nproc)"
ctest --test-dir "$build" --output-on-failure -j "$(nproc)"
