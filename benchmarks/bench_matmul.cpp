// Speed of a packed matrix times a batch of vectors. README.md explains names and counters.
#include "support/kernel_benchmark.hpp"

namespace {

using namespace sinq;
using namespace sinq::bench;

void add_formats(Precision precision) {
  for (const Index batch : {8, 32, 128}) {
    for (const Place place : {Place::kHot, Place::kCold}) {
      add_kernel({.precision = precision, .place = place, .batch = batch});
    }
  }
  for (const int bits : {8, 3, 2}) {
    add_kernel({.precision = precision, .format = {.bits = bits}, .batch = 32});
  }
  add_kernel({.precision = precision, .format = {.levels = Levels::kCodebook}, .batch = 32});
  for (const int q : {8, 10, 12, 16}) {
    add_kernel({.precision = precision, .format = {.quarter_bits = q, .levels = Levels::kTrellis}, .batch = 32});
  }
  add_kernel({.precision = precision, .batch = 32, .order = Order::kRowMajor});
  add_kernel({.precision = precision, .batch = 32, .threads = 2});
  for (const Isa isa : {Isa::kAvx2, Isa::kPortable}) {
    if (resolve(isa) == isa && resolve(Isa::kBest) != isa) {
      add_kernel({.precision = precision, .batch = 32, .isa = isa});
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const Precision precision : {Precision::kInt8, Precision::kInt15, Precision::kFloat}) add_formats(precision);
  add_kernel({.format = {.col_scale = ColScaleKind::kNone}, .batch = 32});
  for (const Index batch : {8, 32, 128}) add_dense(Place::kHot, batch);
  return run_all(argc, argv);
}
