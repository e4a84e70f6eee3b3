#pragma once

#include <sinq/sinq.hpp>

#include "support/packed_layer.hpp"

namespace sinq::bench {

enum class Place {
  kHot,   ///< one layer, again and again: it stays in the caches
  kCold,  ///< another copy each time, of more than 1 GiB together
};

enum class Order { kInterleaved, kRowMajor };

/// One benchmark of the kernels.
struct KernelSetup {
  Precision precision = Precision::kInt8;
  Place place = Place::kHot;
  PackedFormat format{};
  Index batch = 1;
  Index threads = 1;
  Order order = Order::kInterleaved;
  Isa isa = Isa::kBest;
};

/// Registers the benchmark of a setup. Without column scales it is the control: the same product with and without them.
void add_kernel(const KernelSetup& setup);

/// Registers float32 weights and Eigen, as compiled.
void add_dense(Place place, Index batch);

/// Runs what is registered, with Google Benchmark's flags; the program's exit code.
int run_all(int argc, char** argv);

}  // namespace sinq::bench
