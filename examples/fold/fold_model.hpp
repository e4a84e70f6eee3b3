#pragma once

#include <sinq/fold.hpp>
#include <sinq/io/checkpoint.hpp>

#include <filesystem>
#include <optional>

namespace fold_program {

/// A Hugging Face folder and the edges of its model.
struct Source {
  std::filesystem::path folder;
  sinq::io::Checkpoint files;
  sinq::fold::Plan plan;

  /// Throws kIo, kBadFile, kUnsupported; what make_plan throws, with the folder's name in front.
  [[nodiscard]] static Source open(const std::filesystem::path& folder);
  /// The stored matrices, for as long as this lives.
  [[nodiscard]] sinq::fold::MatrixLookup lookup() const;
};

/// See sinq::fold::find_factors. Memory: the consumers of one edge at a time. Throws kBadData, naming tensor, row and
/// column, for weights that are not finite.
[[nodiscard]] sinq::fold::FactorMap find_factors(const sinq::io::Checkpoint& files, const sinq::fold::Plan& plan,
                                                 const sinq::fold::ScaleOptions& options);

/// How the folded checkpoint is written.
struct WriteOptions {
  std::optional<sinq::io::DType> dtype{};  ///< of all float tensors; none: each keeps its own
  std::uint64_t max_shard_bytes = 5'000'000'000;
};

/// Throws kBadConfig if `out` exists, or is the model itself.
void require_new_folder(const std::filesystem::path& model, const std::filesystem::path& out);

/// Writes `source` under `factors` as a Hugging Face folder: products in double, each rounded once, tensor by tensor in
/// bounded memory, other files copied. `out` does not exist before and is whole when it does. Returns how many values
/// lost digits because they are too small for their type. Throws as require_new_folder; kBadData, naming tensor, row
/// and column, for numbers of any tensor that are not finite, or leave their type's range; kIo.
sinq::Index write_folded(const Source& source, const sinq::fold::FactorMap& factors, const std::filesystem::path& out,
                         const WriteOptions& options);

}  // namespace fold_program
