#pragma once

#include "quantize/finish.hpp"
#include "quantize/selection.hpp"

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace convert {

/// "2/4": the second of four parts.
struct Part {
  std::size_t number = 1, of = 1;
};

/// Whether anything is written.
enum class Action : std::uint8_t { kConvert, kForecast };

struct ConvertOptions {
  std::filesystem::path model, out;
  SelectionOptions selection;
  std::uint64_t max_shard_bytes = 5'000'000'000;
  std::optional<Part> part{};
  int threads = 0;
  std::filesystem::path report{};  ///< empty: errors are not measured
  Existing existing = Existing::kRefused;
  Action action = Action::kConvert;
};

struct MergeOptions {
  std::filesystem::path model, out;
  std::vector<std::filesystem::path> parts;  ///< output folders of runs with --shard; what lies in `out` counts too
  std::filesystem::path report{};
  Existing existing = Existing::kRefused;
};

/// sinq-quantize MODEL_DIR -o OUT_DIR. Throws sinq::Error, Conflict.
void run_convert(const ConvertOptions& options, std::ostream& out);
/// sinq-quantize merge. Throws sinq::Error, Conflict.
void run_merge(const MergeOptions& options, std::ostream& out);

}  // namespace convert
