#pragma once

#include <sinq/error.hpp>
#include <sinq/io/gguf.hpp>
#include <sinq/io/gguf_shards.hpp>
#include <sinq/io/printable.hpp>
#include <sinq/io/tensor_files.hpp>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace sinq::inline SINQ_ABI::io {

/// A tensor and the file that it lies in.
struct GgufModelTensor {
  const GgufFile& file;
  const GgufTensorInfo& info;

  [[nodiscard]] std::span<const std::byte> bytes() const { return file.bytes(info); }
  /// See GgufFile::rows_view and matrix_view.
  [[nodiscard]] MatrixView rows_view() const { return file.rows_view(info); }
  [[nodiscard]] MatrixView matrix_view() const { return file.matrix_view(info); }
  /// See MappedFile::release.
  void release() const noexcept { file.release(info); }
};

/// A model in one GGUF file, or in several ("model-00001-of-00003.gguf"), any of which stands for all. Everything is
/// checked when it is opened. Move-only; what it hands out dies with it. Reading from several threads is safe.
/// Its tensors come file by file, in each in the order of its list; its name is the path of the first file.
class GgufModel : public detail::TensorFiles<GgufFile, GgufModelTensor> {
 public:
  using Tensor = GgufModelTensor;

  /// Throws what GgufFile::open throws for each of the files; Errc::kBadFile if they do not say of themselves what
  /// their names say, hold another number of tensors, or one twice.
  [[nodiscard]] static GgufModel open(const std::filesystem::path& path) {
    GgufModel out;
    out.open_files(path);
    out.name_ = out.files_.front().name();
    for (const GgufFile& file : out.files_) {
      for (const auto& info : file.tensors()) out.tensors_.push_back({file, info});
    }
    for (const Tensor& tensor : out.tensors_) {
      const auto [first, is_new] = out.by_name_.emplace(tensor.info.name, &tensor);
      if (!is_new) {
        SINQ_THROW(Errc::kBadFile,
                   sinq::detail::text(tensor.file.name(), ": tensor ", detail::name_text(tensor.info.name), " is in ",
                                      first->second->file.name(), ", too"));
      }
    }
    out.check_count();
    return out;
  }

  /// Of the first file, which has those of the model.
  [[nodiscard]] const GgufMetadata& metadata() const& noexcept { return files_.front().metadata(); }
  const GgufMetadata& metadata() && = delete;
  /// The path of the first file, as errors give it.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  GgufModel() = default;

  void open_files(const std::filesystem::path& path) {
    GgufFile given = GgufFile::open(path);
    const Index count = given.metadata().integer_or(kGgufShardCount, 1);
    if (count <= 1) return files_.push_back(std::move(given));
    auto name = gguf_shard_name(path.filename().string());
    if (!name || name->count != count) {
      SINQ_THROW(Errc::kBadFile,
                 sinq::detail::text(given.name(), ": ", kGgufShardCount, " is ", count,
                                    ", but its name does not end as ", GgufShardName{"", 1, count}.text(), " does"));
    }
    const Index opened = name->number;
    for (Index i = 1; i <= count; ++i) {
      name->number = i;
      files_.push_back(i == opened ? std::move(given) : GgufFile::open(path.parent_path() / name->text()));
      require(kGgufShardNumber, i - 1);
      require(kGgufShardCount, count);
    }
  }

  /// Of the last file that was opened.
  void require(std::string_view key, Index expected) const {
    const GgufFile& file = files_.back();
    const Index found = file.metadata().integer(key);
    if (found != expected) {
      SINQ_THROW(Errc::kBadFile,
                 sinq::detail::text(file.name(), ": ", key, " is ", found, ", its name asks for ", expected));
    }
  }

  void check_count() const {
    if (files_.size() == 1) return;
    for (const GgufFile& file : files_) {
      const Index said = file.metadata().integer(kGgufShardTensors);
      if (said != static_cast<Index>(tensors_.size())) {
        SINQ_THROW(Errc::kBadFile, sinq::detail::text(file.name(), ": ", kGgufShardTensors, " is ", said, ", but all ",
                                                      files_.size(), " files hold ", tensors_.size()));
      }
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::io
