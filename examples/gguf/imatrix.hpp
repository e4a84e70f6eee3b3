#pragma once

#include <sinq/types.hpp>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace gguf {

using sinq::Index;

/// An importance matrix as llama.cpp's llama-imatrix measures and writes it: for each matrix of a model, mean squares
/// of the columns' inputs on some text.
struct Imatrix {
  std::string name;                                                 ///< path of the file
  std::map<std::string, std::vector<double>, std::less<>> entries;  ///< tensor -> mean squares [matrices, cols]
  std::string text;                                                 ///< what it was measured on, a path; may be unknown
  Index chunks = 0;                                                 ///< of that text; 0: unknown

  /// Reads a GGUF file (tensors NAME.in_sum2, sums of squares, and NAME.counts), or the older binary format (what
  /// llama.cpp writes as .dat). Mean squares of what was never used are 0. Throws kIo; kBadFile for a file that is not
  /// in order; kBadData, naming tensor and position, for numbers that are not finite or negative.
  [[nodiscard]] static Imatrix open(const std::filesystem::path& path);
};

}  // namespace gguf
