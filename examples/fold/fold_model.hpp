#pragma once

#include <sinq/fold.hpp>
#include <sinq/io/atomic_folder.hpp>
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

/// Writes `source` under `factors` into `out`, a Hugging Face folder, and gives it its name: products in double, each
/// rounded once, tensor by tensor in bounded memory, other files copied. Returns how many values lost digits because
/// they are too small for their type. Throws kBadData, naming tensor, row and column, for numbers of any
/// tensor that are not finite, or leave their type's range; kIo.
sinq::Index write_folded(const Source& source, const sinq::fold::FactorMap& factors, sinq::io::AtomicFolder& out,
                         const WriteOptions& options);

}  // namespace fold_program
