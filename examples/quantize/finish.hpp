#pragma once

#include "common/output.hpp"
#include "llm/json_file.hpp"
#include "quantize/work_folder.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace convert {

using common::Existing;

/// What the output folder holds beside the shards: where each file comes from, or its text.
struct SmallFiles {
  sinq::io::Metadata texts;
  std::map<std::string, std::filesystem::path> copies;

  [[nodiscard]] std::uint64_t bytes() const;
};

/// The files of a model with these shards: the index (its text; empty: none), config.json with an entry that says how
/// the weights are stored, and everything of the model's folder that is neither weights nor a folder.
/// Throws kIo, kBadFile, kUnsupported for a config.json that is of a quantized model already.
[[nodiscard]] SmallFiles small_files(const std::filesystem::path& model, const llm::Json& settings,
                                     const std::string& index);

/// Moves finished shards, all that a model has, to the output folder, and writes the small files; the last step makes
/// the model whole. Files of a model that was replaced go.
void publish(const WorkFolder& work, const std::map<std::string, FinishedShard>& shards, const SmallFiles& small);

/// Throws kBadConfig: a report cannot say what this shard lost.
[[noreturn]] void refuse_unmeasured(const std::string& shard);

/// {"settings", "version", "input", "totals", "layers"}, and "allocations" if there were budgets, of shards that were
/// made with errors measured. Throws kBadConfig otherwise.
[[nodiscard]] llm::Json report_of(const std::map<std::string, FinishedShard>& shards);

/// The index of shards that lie on the disk; empty for a single one.
[[nodiscard]] std::string index_of(const std::map<std::string, FinishedShard>& shards);

}  // namespace convert
