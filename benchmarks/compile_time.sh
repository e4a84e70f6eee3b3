#!/usr/bin/env bash
# What including and calling the library costs a compiler: user seconds (the least of some runs), as multiples of
# `#include <Eigen/Dense>` in the same minutes, and the size of the object file.
#   bash benchmarks/compile_time.sh [COMPILER] [RUNS]      default: c++ 3
set -euo pipefail
cd "$(dirname "$0")/.."

compiler=${1:-c++}
runs=${2:-3}
[[ "$runs" =~ ^[1-9][0-9]*$ ]] || { echo "compile_time.sh: RUNS '$runs' is not a positive number" >&2; exit 2; }
command -v "$compiler" > /dev/null || { echo "compile_time.sh: there is no compiler '$compiler'" >&2; exit 2; }
eigen=${EIGEN_DIR:-/usr/include/eigen3}
[[ -e $eigen/Eigen/Dense ]] || { echo "compile_time.sh: no Eigen/Dense in $eigen: set EIGEN_DIR" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# As for sinq::compiled: the macro that tells the headers that a library of these flags holds the bodies.
printf '#include <sinq/abi.hpp>\nSINQ_ABI\n' > "$folder/abi.cpp"
abi=$("$compiler" -std=c++20 -O2 -E -P -I include "$folder/abi.cpp" | grep -oE 'abi_[01_]+' | tail -n 1)

cat > "$folder/eigen.cpp" <<< '#include <Eigen/Dense>'
cat > "$folder/umbrella.cpp" <<< '#include <sinq/sinq.hpp>'
cat > "$folder/quantize.cpp" << 'END'
#include <sinq/eigen.hpp>
sinq::QuantizedMatrix call(const sinq::RowMatrix& w) { return sinq::quantize(w); }
END
cat > "$folder/accurate.cpp" << 'END'
#include <sinq/eigen.hpp>
#include <sinq/presets.hpp>
sinq::QuantizedMatrix call(const sinq::RowMatrix& w) {
  return sinq::quantize(w, sinq::presets::accurate({.max_bits_per_weight = 4.55}, w.rows(), w.cols()));
}
END
cat > "$folder/matvec.cpp" << 'END'
#include <sinq/kernels/matvec.hpp>
void call(const sinq::QuantizedMatrix& q, std::span<const float> x, std::span<float> y) {
  sinq::matvec(sinq::repack(q), x, y);
}
END
cat > "$folder/matmul.cpp" << 'END'
#include <sinq/kernels/matmul.hpp>
void call(const sinq::QuantizedMatrix& q, const sinq::Activations& x, std::span<float> y) {
  sinq::matmul(sinq::repack(q), x, y);
}
END
cat > "$folder/engine.cpp" << 'END'
#include <sinq/sinq.hpp>
void call(const sinq::RowMatrix& w, const sinq::Activations& x, std::span<float> y) {
  const auto q = sinq::quantize(w, sinq::presets::accurate({.max_bits_per_weight = 4.55}, w.rows(), w.cols()));
  const sinq::RowMatrix decoded = sinq::dequantize(q);
  if (sinq::measure_error(decoded, q).mse > 0.0) return;
  sinq::matvec(q, x, y);
  sinq::matmul(sinq::repack(q), x, y);
}
END

# seconds <source> <options>...: the least user time of all runs, and bytes of the object.
seconds() {
  local source=$1 least="" time i
  shift
  for ((i = 0; i < runs; ++i)); do
    time=$({ TIMEFORMAT=%U; time "$compiler" -std=c++20 -O2 "$@" -I include -isystem "$eigen" -c "$source" -o "$folder/out.o" \
      > "$folder/log" 2>&1; } 2>&1) || { cat "$folder/log" >&2; exit 1; }
    least=$(printf '%s\n' $least "$time" | sort -g | head -n 1)
  done
  echo "$least $(stat -c %s "$folder/out.o")"
}

read -r unit _ <<< "$(seconds "$folder/eigen.cpp")"
"$compiler" --version | head -n 1
printf '%-34s %8s %9s %10s   %8s %9s %10s\n' "" "headers" "x Eigen" "KB" "compiled" "x Eigen" "KB"
printf '%-34s %8s %9s\n' "#include <Eigen/Dense>" "$unit" 1.0
row() {
  local name=$1 source=$folder/$2.cpp time size compiled compiled_size
  read -r time size <<< "$(seconds "$source")"
  read -r compiled compiled_size <<< "$(seconds "$source" "-DSINQ_COMPILED_FOR_$abi=1")"
  awk -v n="$name" -v u="$unit" -v a="$time" -v s="$size" -v b="$compiled" -v t="$compiled_size" \
    'BEGIN { printf "%-34s %8.2f %9.1f %10.0f   %8.2f %9.1f %10.0f\n", n, a, a / u, s / 1e3, b, b / u, t / 1e3 }'
}
row "#include <sinq/sinq.hpp>" umbrella
row "quantize(w)" quantize
row "accurate + quantize" accurate
row "repack + matvec" matvec
row "repack + matmul" matmul
row "all of them in one file" engine
