#pragma once

#include <sinq/block_formats/block_format.hpp>
#include <sinq/detail/cleared_on_move.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>
#include <sinq/io/gguf_header.hpp>
#include <sinq/io/gguf_tensor.hpp>
#include <sinq/io/gguf_value.hpp>
#include <sinq/io/mapped_file.hpp>
#include <sinq/io/memory_size.hpp>
#include <sinq/matrix_view.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// The block format of that type, if it is one: both are named as in ggml.
[[nodiscard]] constexpr std::optional<BlockFormat> block_format(GgufType type) noexcept {
  return block_format_from_name(name(type));
}

/// Whether the numbers of that type can be read: floats and the block formats.
[[nodiscard]] constexpr bool is_readable(GgufType type) noexcept {
  return scalar_type(type).has_value() || block_format(type).has_value();
}

/// The type that holds blocks of `format`.
[[nodiscard]] constexpr GgufType gguf_type(BlockFormat format) noexcept { return *gguf_type_from_name(name(format)); }

namespace detail {

constexpr bool gguf_knows_all_blocks() noexcept {
  for (const BlockFormat format : kBlockFormats) {
    const auto type = gguf_type_from_name(name(format));
    if (!type || block_size(*type) != block_size(format) || block_bytes(*type) != block_bytes(format)) return false;
  }
  return true;
}
static_assert(gguf_knows_all_blocks(), "block formats have the sizes that files give them");

/// A row-major matrix of blocks.
struct BlockMatrix {
  const std::byte* data = nullptr;
  BlockFormat format = BlockFormat::kQ8_0;
  Index cols = 0;

  /// `MatrixView::ReadTile`: decodes, of blocks that lie partly outside the tile, all and keeps what is asked for.
  static void read_tile(const void* self, Index row, Index col, Index rows, Index count, float* out, Index out_stride) {
    const auto& matrix = *static_cast<const BlockMatrix*>(self);
    const Index size = sinq::block_size(matrix.format), bytes = sinq::block_bytes(matrix.format);
    float block[256];  // no format has larger ones
    for (Index r = 0; r < rows; ++r, out += out_stride) {
      const std::byte* source = matrix.data + (row + r) * (matrix.cols / size) * bytes;
      for (Index done = 0; done < count;) {
        const Index skip = (col + done) % size, left = count - done;
        const std::byte* first = source + (col + done) / size * bytes;
        if (skip == 0 && left >= size) {
          const Index whole = left / size;
          decode_row(matrix.format, {first, static_cast<std::size_t>(whole * bytes)}, out + done);
          done += whole * size;
        } else {
          decode_row(matrix.format, {first, static_cast<std::size_t>(bytes)}, block);
          const Index taken = std::min(size - skip, left);
          std::copy_n(block + skip, taken, out + done);
          done += taken;
        }
      }
    }
  }
};

}  // namespace detail

/// A GGUF file, mapped and checked as a whole when it is opened: what it hands out is in bounds. Move-only; spans and
/// views point into the mapping and die with it (of a temporary they are refused). Reading from several threads is
/// safe.
class GgufFile {
 public:
  /// Throws Errc::kIo if the file cannot be mapped, Errc::kBadFile or kUnsupported if it is not in order (see
  /// parse_gguf_header).
  [[nodiscard]] static GgufFile open(const std::filesystem::path& path) {
    MappedFile mapping = MappedFile::open(path);
    GgufFile file(mapping.bytes(), path.string());
    file.mapping_ = std::move(mapping);
    return file;
  }

  /// A file that is in memory already and stays there, on an address that is a multiple of 8; `name` stands for it in
  /// errors. Throws Errc::kBadShape for another address, and as `open`.
  [[nodiscard]] static GgufFile from_memory(std::span<const std::byte> bytes, std::string name) {
    if (reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 != 0) {
      SINQ_THROW(Errc::kBadShape, sinq::detail::text(name, ": the address is not a multiple of 8"));
    }
    return GgufFile(bytes, std::move(name));
  }

  [[nodiscard]] const GgufMetadata& metadata() const& noexcept { return header_.metadata; }
  const GgufMetadata& metadata() && = delete;

  /// All tensors, in the order in which the file lists them.
  [[nodiscard]] const std::vector<GgufTensorInfo>& tensors() const& noexcept { return header_.tensors; }
  const std::vector<GgufTensorInfo>& tensors() && = delete;

  /// The tensor of that name, or null.
  [[nodiscard]] const GgufTensorInfo* find(std::string_view tensor) const& noexcept {
    const std::optional<std::size_t> position = position_of(tensor);
    return position ? &header_.tensors[*position] : nullptr;
  }
  const GgufTensorInfo* find(std::string_view tensor) && = delete;

  /// The tensor of that name. Throws Errc::kBadFile if there is none.
  [[nodiscard]] const GgufTensorInfo& at(std::string_view tensor) const& {
    const GgufTensorInfo* info = find(tensor);
    if (info == nullptr) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(name_, ": there is no tensor ", detail::name_text(tensor)));
    }
    return *info;
  }
  const GgufTensorInfo& at(std::string_view tensor) && = delete;

  /// The bytes of one of `tensors()`.
  [[nodiscard]] std::span<const std::byte> bytes(const GgufTensorInfo& info) const& {
    if (info.begin > info.end || info.end > bytes_->size()) {
      SINQ_THROW(Errc::kBadShape, sinq::detail::text(name_, ": tensor ", detail::name_text(info.name), " at bytes [",
                                                     info.begin, ", ", info.end, ") is not one of this file"));
    }
    return bytes_->subspan(detail::memory_size(info.begin), detail::memory_size(info.end - info.begin));
  }
  std::span<const std::byte> bytes(const GgufTensorInfo& info) && = delete;

  /// The path, as errors give it.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// A tensor of any number of dimensions as the matrix of its rows, which run along the last one, where it lies; a
  /// vector is one row. Blocks are decoded when a tile is read. Throws Errc::kBadShape for a tensor that is empty or
  /// not of this file, Errc::kUnsupported for a type that is not readable.
  [[nodiscard]] MatrixView rows_view(const GgufTensorInfo& info) const& {
    const auto position = position_of(info.name);
    if (!position || header_.tensors[*position] != info || info.begin == info.end) refuse_matrix(info);
    const Index cols = info.shape.empty() ? 1 : info.shape.back();
    Index rows = 1;
    for (std::size_t i = 0; i + 1 < info.shape.size(); ++i) rows *= info.shape[i];
    if (const auto type = scalar_type(info.type)) {
      return MatrixView::row_major(bytes(info).data(), *type, rows, cols);
    }
    if (!block_format(info.type)) {
      SINQ_THROW(Errc::kUnsupported, sinq::detail::text(name_, ": tensor ", detail::name_text(info.name),
                                                        ": numbers of ", io::name(info.type), " cannot be read"));
    }
    return {.rows = rows,
            .cols = cols,
            .data = &blocks_[*position],
            .row_stride = cols,
            .read_tile = &detail::BlockMatrix::read_tile};
  }
  MatrixView rows_view(const GgufTensorInfo& info) && = delete;

  /// A two-dimensional tensor, see `rows_view`. Throws Errc::kBadShape for another shape, an empty one included.
  [[nodiscard]] MatrixView matrix_view(const GgufTensorInfo& info) const& {
    if (info.shape.size() != 2) refuse_matrix(info);
    return rows_view(info);
  }
  MatrixView matrix_view(const GgufTensorInfo& info) && = delete;

  /// Gives the memory of bytes [begin, end) of a tensor back to the system until they are read again; see
  /// MappedFile::release. Nothing happens to a file that was given in memory.
  void release(const GgufTensorInfo& info, std::uint64_t begin, std::uint64_t end) const noexcept {
    mapping_.release(info.begin + begin, info.begin + end);
  }
  void release(const GgufTensorInfo& info) const noexcept { mapping_.release(info.begin, info.end); }

 private:
  GgufFile(std::span<const std::byte> bytes, std::string name)
      : bytes_(bytes), name_(std::move(name)), header_(parse_gguf_header(*bytes_, name_)) {
    const auto& tensors = header_.tensors;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      by_name_.push_back(i);
      const auto format = block_format(tensors[i].type);
      blocks_.push_back(format
                            ? detail::BlockMatrix{bytes_->data() + tensors[i].begin, *format, tensors[i].shape.back()}
                            : detail::BlockMatrix{});
    }
    std::sort(by_name_.begin(), by_name_.end(),
              [&](std::size_t a, std::size_t b) { return tensors[a].name < tensors[b].name; });
  }

  [[noreturn]] void refuse_matrix(const GgufTensorInfo& info) const {
    SINQ_THROW(Errc::kBadShape, sinq::detail::text(name_, ": tensor ", detail::name_text(info.name), " at byte ",
                                                   info.begin, ": shape ", detail::shape_text(info.shape),
                                                   " is not that of a matrix with elements of this file"));
  }

  [[nodiscard]] std::optional<std::size_t> position_of(std::string_view tensor) const noexcept {
    const auto at =
        std::lower_bound(by_name_.begin(), by_name_.end(), tensor,
                         [&](std::size_t i, std::string_view key) { return header_.tensors[i].name < key; });
    return at == by_name_.end() || header_.tensors[*at].name != tensor ? std::nullopt : std::optional(*at);
  }

  MappedFile mapping_;
  sinq::detail::ClearedOnMove<std::span<const std::byte>> bytes_;
  std::string name_;
  GgufHeader header_;
  sinq::detail::Vector<std::size_t> by_name_;  ///< positions in the list of tensors, sorted by name
  std::vector<detail::BlockMatrix> blocks_;    ///< what views of blocks read; one for each tensor
};

/// See GgufFile::matrix_view; `file` must outlive the view.
[[nodiscard]] inline MatrixView matrix_view(const GgufFile& file, const GgufTensorInfo& info) {
  return file.matrix_view(info);
}
MatrixView matrix_view(GgufFile&&, const GgufTensorInfo&) = delete;

}  // namespace sinq::inline SINQ_ABI::io
