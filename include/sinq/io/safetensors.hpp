#pragma once

#include <sinq/detail/cleared_on_move.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>
#include <sinq/half.hpp>
#include <sinq/io/mapped_file.hpp>
#include <sinq/io/memory_size.hpp>
#include <sinq/io/metadata.hpp>
#include <sinq/io/quantized_tensors.hpp>
#include <sinq/io/safetensors_header.hpp>
#include <sinq/io/tensor_info.hpp>
#include <sinq/matrix_view.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

namespace detail {

/// A row-major matrix whose elements do not start on multiples of their size.
struct UnalignedMatrix {
  const std::byte* data = nullptr;
  ScalarType type = ScalarType::kF32;
  Index cols = 0;

  template <class Element, class Convert>
  void read(Index row, Index col, Index rows, Index count, float* out, Index out_stride, Convert convert) const {
    for (Index r = 0; r < rows; ++r) {
      const std::byte* source = data + ((row + r) * cols + col) * Index{sizeof(Element)};
      for (Index c = 0; c < count; ++c) {
        Element element;
        std::memcpy(&element, source + c * Index{sizeof(Element)}, sizeof element);
        out[r * out_stride + c] = convert(element);
      }
    }
  }

  /// `MatrixView::ReadTile`.
  static void read_tile(const void* self, Index row, Index col, Index rows, Index count, float* out, Index out_stride) {
    const auto& matrix = *static_cast<const UnalignedMatrix*>(self);
    const auto read = [&]<class Element>(Element, auto convert) {
      matrix.read<Element>(row, col, rows, count, out, out_stride, convert);
    };
    switch (matrix.type) {
      case ScalarType::kF32:
        return read(float{}, [](float x) { return x; });
      case ScalarType::kF64:
        return read(double{}, [](double x) { return static_cast<float>(x); });
      case ScalarType::kF16:
        return read(std::uint16_t{}, half_to_float);
      case ScalarType::kBf16:
        return read(std::uint16_t{}, bfloat16_to_float);
    }
  }
};

}  // namespace detail

/// A safetensors file, mapped and checked as a whole when it is opened: what it hands out is in bounds. Move-only;
/// spans and views point into the mapping and die with it (of a temporary they are refused). Reading from several
/// threads is safe.
class SafetensorsFile {
 public:
  /// Throws Errc::kIo if the file cannot be mapped, Errc::kBadFile or kUnsupported if it is not in order; the text
  /// names path, tensor and byte offset.
  [[nodiscard]] static SafetensorsFile open(const std::filesystem::path& path) {
    MappedFile mapping = MappedFile::open(path);
    SafetensorsFile file(mapping.bytes(), path.string());
    file.mapping_ = std::move(mapping);
    return file;
  }

  /// A file that is in memory already and stays there; `name` stands for it in errors. Throws as `open`.
  [[nodiscard]] static SafetensorsFile from_memory(std::span<const std::byte> bytes, std::string name) {
    return SafetensorsFile(bytes, std::move(name));
  }

  /// All tensors, in the order of their bytes.
  [[nodiscard]] const std::vector<TensorInfo>& tensors() const& noexcept { return tensors_; }
  const std::vector<TensorInfo>& tensors() && = delete;

  /// The tensor of that name, or null.
  [[nodiscard]] const TensorInfo* find(std::string_view tensor) const& noexcept {
    const auto at = std::lower_bound(by_name_.begin(), by_name_.end(), tensor,
                                     [&](std::size_t i, std::string_view key) { return tensors_[i].name < key; });
    return at == by_name_.end() || tensors_[*at].name != tensor ? nullptr : &tensors_[*at];
  }
  const TensorInfo* find(std::string_view tensor) && = delete;

  /// The tensor of that name. Throws Errc::kBadFile if there is none.
  [[nodiscard]] const TensorInfo& at(std::string_view tensor) const& {
    const TensorInfo* info = find(tensor);
    if (info == nullptr) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(name_, ": there is no tensor ", detail::name_text(tensor)));
    }
    return *info;
  }
  const TensorInfo& at(std::string_view tensor) && = delete;

  /// The bytes of one of `tensors()`.
  [[nodiscard]] std::span<const std::byte> bytes(const TensorInfo& info) const& {
    if (info.begin > info.end || info.end > bytes_->size()) {
      SINQ_THROW(Errc::kBadShape, sinq::detail::text(name_, ": tensor ", detail::name_text(info.name), " at bytes [",
                                                     info.begin, ", ", info.end, ") is not one of this file"));
    }
    return bytes_->subspan(detail::memory_size(info.begin), detail::memory_size(info.end - info.begin));
  }
  std::span<const std::byte> bytes(const TensorInfo& info) && = delete;

  /// Gives the memory of bytes [begin, end) of a tensor back to the system until they are read again; see
  /// MappedFile::release. Nothing happens to a file that was given in memory.
  void release(const TensorInfo& info, std::uint64_t begin, std::uint64_t end) const noexcept {
    mapping_.release(info.begin + begin, info.begin + end);
  }
  void release(const TensorInfo& info) const noexcept { mapping_.release(info.begin, info.end); }

  /// The texts under "__metadata__".
  [[nodiscard]] const Metadata& metadata() const& noexcept { return metadata_; }
  const Metadata& metadata() && = delete;

  /// The path, as errors give it.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// A two-dimensional F32, F64, F16 or BF16 tensor, where it lies. Throws Errc::kUnsupported for another dtype and
  /// Errc::kBadShape for another shape, an empty one included.
  [[nodiscard]] MatrixView matrix_view(const TensorInfo& info) const& {
    const auto refuse = [&](Errc code, const auto&... parts) {
      SINQ_THROW(code, sinq::detail::text(name_, ": tensor ", detail::name_text(info.name), " at byte ", info.begin,
                                          ": ", parts...));
    };
    const auto type = scalar_type(info.dtype);
    if (is_float8(info.dtype)) {
      refuse(Errc::kUnsupported, "dtype ", io::name(info.dtype), " is read with its scales, by Checkpoint");
    }
    if (!type) refuse(Errc::kUnsupported, "dtype ", io::name(info.dtype), " is not F32, F64, F16 or BF16");
    if (info.shape.size() != 2 || info.shape[0] < 1 || info.shape[1] < 1) {
      refuse(Errc::kBadShape, "shape ", detail::shape_text(info.shape), " is not that of a matrix with elements");
    }
    const std::byte* data = bytes(info).data();
    MatrixView view = MatrixView::row_major(data, *type, info.shape[0], info.shape[1]);
    if (reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(dtype_bytes(info.dtype)) != 0) {
      view.data = &unaligned_[static_cast<std::size_t>(&at(info.name) - tensors_.data())];
      view.read_tile = &detail::UnalignedMatrix::read_tile;
    }
    return view;
  }
  MatrixView matrix_view(const TensorInfo& info) && = delete;

  /// The names of the quantized tensors, sorted. Throws Errc::kUnsupported if they are of an unknown version.
  [[nodiscard]] std::vector<std::string> quantized_names() const { return detail::quantized_names(metadata_, name_); }

  /// A quantized tensor, where it lies: its layout and every region are checked, nothing is unpacked or copied.
  /// Throws Errc::kBadFile, naming tensor and byte offset, and kUnsupported for an unknown version.
  [[nodiscard]] QuantizedView quantized(std::string_view tensor) const& {
    return detail::QuantizedReader(*this, tensor).view();
  }
  QuantizedView quantized(std::string_view tensor) && = delete;

 private:
  SafetensorsFile(std::span<const std::byte> bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {
    SafetensorsHeader header = parse_safetensors_header(*bytes_, name_);
    tensors_ = std::move(header.tensors);
    metadata_ = std::move(header.metadata);
    by_name_.resize(tensors_.size());
    for (std::size_t i = 0; i < by_name_.size(); ++i) by_name_[i] = i;
    std::sort(by_name_.begin(), by_name_.end(),
              [this](std::size_t a, std::size_t b) { return tensors_[a].name < tensors_[b].name; });
    unaligned_.resize(tensors_.size());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const auto type = scalar_type(tensors_[i].dtype);
      if (type && tensors_[i].shape.size() == 2) {
        unaligned_[i] = {bytes_->data() + tensors_[i].begin, *type, tensors_[i].shape[1]};
      }
    }
  }

  MappedFile mapping_;
  sinq::detail::ClearedOnMove<std::span<const std::byte>> bytes_;
  std::string name_;
  std::vector<TensorInfo> tensors_;
  sinq::detail::Vector<std::size_t> by_name_;  ///< positions in tensors_, sorted by name
  /// The format does not align tensors (some writers do not pad the header), so views may need this; like tensors_.
  std::vector<detail::UnalignedMatrix> unaligned_;
  Metadata metadata_;
};

/// See SafetensorsFile::matrix_view; `file` must outlive the view.
[[nodiscard]] inline MatrixView matrix_view(const SafetensorsFile& file, const TensorInfo& info) {
  return file.matrix_view(info);
}
MatrixView matrix_view(SafetensorsFile&&, const TensorInfo&) = delete;

}  // namespace sinq::inline SINQ_ABI::io
