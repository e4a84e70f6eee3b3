// Speed of a packed matrix times one vector. README.md explains names and counters.
#include "support/kernel_benchmark.hpp"

namespace {

using namespace sinq;
using namespace sinq::bench;

void add_formats(Place place) {
  for (const Precision precision : {Precision::kInt8, Precision::kInt15, Precision::kFloat}) {
    KernelSetup setup{.precision = precision, .place = place};
    for (int bits = 8; bits >= 1; --bits) {
      setup.format = {.bits = bits};
      add_kernel(setup);
      if (bits < 2 || bits > 4) continue;
      setup.format.levels = Levels::kCodebook;
      add_kernel(setup);
    }
    for (int q = TrellisGeometry::kMinQuarterBits; q <= TrellisGeometry::kMaxQuarterBits; ++q) {
      setup.format = {.quarter_bits = q, .levels = Levels::kTrellis};
      add_kernel(setup);
    }
    setup.format = {.quarter_bits = 10, .levels = Levels::kTrellis, .aux = AuxFormat::kU6};
    add_kernel(setup);
    setup.format = {.aux = AuxFormat::kU8};
    add_kernel(setup);
    for (const Index group : {32, 128}) {
      setup.format = {.group = group};
      add_kernel(setup);
    }
    setup.format = {};
    setup.order = Order::kRowMajor;
    for (const int bits : {4, 3, 2, 8}) {
      setup.format.bits = bits;
      add_kernel(setup);
    }
    for (const int q : {8, 10, 16}) {
      setup.format = {.quarter_bits = q, .levels = Levels::kTrellis};
      add_kernel(setup);
    }
    setup = {.precision = precision, .place = place, .threads = 2};
    add_kernel(setup);
    setup.format = {.quarter_bits = 10, .levels = Levels::kTrellis};
    add_kernel(setup);
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (const Place place : {Place::kHot, Place::kCold}) {
    add_formats(place);
    add_dense(place, 1);
  }
  for (const Precision precision : {Precision::kInt8, Precision::kInt15, Precision::kFloat}) {
    add_kernel({.precision = precision, .format = {.col_scale = ColScaleKind::kNone}});
    for (const Isa isa : {Isa::kAvx2, Isa::kPortable}) {
      if (resolve(isa) != isa || resolve(Isa::kBest) == isa) continue;
      add_kernel({.precision = precision, .isa = isa});
      for (int q = TrellisGeometry::kMinQuarterBits; q <= TrellisGeometry::kMaxQuarterBits; q += 2) {
        add_kernel({.precision = precision, .format = {.quarter_bits = q, .levels = Levels::kTrellis}, .isa = isa});
      }
    }
  }
  return run_all(argc, argv);
}
