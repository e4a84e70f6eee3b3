#pragma once

#include <sinq/error.hpp>
#include <sinq/io/gguf_value.hpp>
#include <sinq/io/gguf_writer.hpp>

#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// What the metadata of each file of a model in several files say: its number, counted from 0 (u16), how many files
/// there are (u16), and the tensors of all of them (i32).
inline constexpr std::string_view kGgufShardNumber = "split.no";
inline constexpr std::string_view kGgufShardCount = "split.count";
inline constexpr std::string_view kGgufShardTensors = "split.tensors.count";

/// As many as a u16 counts.
inline constexpr Index kMaxGgufShards = std::numeric_limits<std::uint16_t>::max();

/// What the name of one of several files says: "stem-00001-of-00003.gguf".
struct GgufShardName {
  std::string stem;
  Index number = 0;  ///< from 1
  Index count = 0;

  [[nodiscard]] std::string text() const {
    char out[48];
    std::snprintf(out, sizeof out, "-%05lld-of-%05lld.gguf", static_cast<long long>(number),
                  static_cast<long long>(count));
    return stem + out;
  }
  friend bool operator==(const GgufShardName&, const GgufShardName&) = default;
};

/// The parts of a file's name, or nothing if it is not that of one of several files.
[[nodiscard]] inline std::optional<GgufShardName> gguf_shard_name(std::string_view file) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";  // 0: any digit
  if (file.size() <= kPattern.size()) return std::nullopt;
  const std::string_view tail = file.substr(file.size() - kPattern.size());
  Index numbers[2] = {0, 0};
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    if (kPattern[i] != '0') {
      if (tail[i] != kPattern[i]) return std::nullopt;
      continue;
    }
    if (tail[i] < '0' || tail[i] > '9') return std::nullopt;
    Index& number = numbers[i < kPattern.find("-of-") ? 0 : 1];
    number = 10 * number + (tail[i] - '0');
  }
  if (numbers[0] < 1 || numbers[0] > numbers[1] || numbers[1] > kMaxGgufShards) return std::nullopt;
  return GgufShardName{std::string(file.substr(0, file.size() - kPattern.size())), numbers[0], numbers[1]};
}

/// The same metadata without what they say about several files.
[[nodiscard]] inline GgufMetadata without_shards(const GgufMetadata& metadata) {
  GgufMetadata out(metadata.what());
  for (const auto& [key, value] : metadata.entries()) {
    if (key != kGgufShardNumber && key != kGgufShardCount && key != kGgufShardTensors) out.add(key, value);
  }
  return out;
}

/// Lays a model out in files of at most `max_bytes` of tensors each, in their order; a larger tensor has a file of its
/// own. As llama.cpp reads them: the first has all metadata, the others nothing but their number. If one is enough, it
/// is a file as `plan_gguf` plans it. Throws as that does, and Errc::kBadConfig for more than 65535 files.
[[nodiscard]] inline std::vector<GgufPlan> plan_gguf_shards(const GgufMetadata& metadata,
                                                            const std::vector<GgufTensorInfo>& tensors,
                                                            std::uint64_t max_bytes) {
  GgufMetadata first = without_shards(metadata);
  std::vector<GgufPlan> out{plan_gguf(first, tensors)};
  std::vector<std::vector<GgufTensorInfo>> files(1);
  std::uint64_t used = 0;
  for (const auto& tensor : out.front().tensors) {
    const std::uint64_t size = tensor.end - tensor.begin;
    if (!files.back().empty() && (used > max_bytes || size > max_bytes - used)) {
      files.emplace_back();
      used = 0;
    }
    files.back().push_back(tensor);
    used += size;
  }
  if (files.size() == 1) return out;
  if (files.size() > static_cast<std::size_t>(kMaxGgufShards)) {
    SINQ_THROW(Errc::kBadConfig, sinq::detail::text("GGUF: files of at most ", max_bytes, " bytes of tensors: ",
                                                    files.size(), " would be needed, more than ", kMaxGgufShards));
  }
  out.clear();
  for (std::size_t i = 0; i < files.size(); ++i) {
    GgufMetadata part = i == 0 ? std::move(first) : GgufMetadata(metadata.what());
    part.add(std::string(kGgufShardNumber), static_cast<std::uint16_t>(i));
    part.add(std::string(kGgufShardCount), static_cast<std::uint16_t>(files.size()));
    part.add(std::string(kGgufShardTensors), static_cast<std::int32_t>(tensors.size()));
    out.push_back(plan_gguf(part, std::move(files[i])));
  }
  return out;
}

}  // namespace sinq::inline SINQ_ABI::io
