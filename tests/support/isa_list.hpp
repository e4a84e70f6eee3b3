#pragma once

#include <sinq/isa.hpp>

#include <vector>

namespace sinq::test {

/// Every instruction set that this machine runs, the portable one first.
inline std::vector<Isa> supported_isas() {
  std::vector<Isa> out;
  for (const Isa isa : {Isa::kPortable, Isa::kNeon, Isa::kAvx2, Isa::kAvx512}) {
    if (supported(isa)) out.push_back(isa);
  }
  return out;
}

}  // namespace sinq::test
