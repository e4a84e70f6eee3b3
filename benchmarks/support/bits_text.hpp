#pragma once

#include <string>

namespace sinq::bench {

/// "4", or of a lane trellis "2.25": bits per weight in the names of benchmarks.
[[nodiscard]] inline std::string bits_text(int bits, int quarter_bits) {
  if (quarter_bits == 0) return std::to_string(bits);
  constexpr const char* kQuarters[] = {"", ".25", ".5", ".75"};
  return std::to_string(quarter_bits / 4).append(kQuarters[quarter_bits % 4]);
}

}  // namespace sinq::bench
