#pragma once

#include <sinq/isa.hpp>
#include <sinq/normalize/normalizer.hpp>

#include "support/golden_case.hpp"

#include <cstdint>
#include <vector>

namespace sinq::test {

/// What the library made of a golden case, laid out as the case's files: see GoldenCase::group_index and col_index.
struct LibraryRun {
  bool gated = false;
  std::vector<std::uint8_t> codes;   ///< [rows, cols]
  std::vector<float> scale;          ///< s1
  std::vector<float> zero;           ///< zero, one value per group
  std::vector<float> col_scale;      ///< s2
  std::vector<float> decoded;        ///< [rows, cols]
  std::vector<float> mu1, mu2;       ///< the normalizer's factors; empty if it did not run
  std::vector<BalanceReport> tiles;  ///< the normalizer's account of each tile, likewise
  double kurtosis = 0.0;             ///< as measure_error reports it
};

/// The pipeline: sinq::quantize in reference-compatible mode, and dequantize. HQQ's codes are those of
/// `hqq_zero_of_codes` (FORMAT.md 8.5); AWQ's column factor is applied between the library's public pieces.
LibraryRun run_library(const GoldenCase& c, Isa limit = Isa::kBest);

/// The library's dequantize on the file's own codes, scales and zero points.
std::vector<float> dequantize_files(const GoldenCase& c, Isa limit = Isa::kBest);

}  // namespace sinq::test
