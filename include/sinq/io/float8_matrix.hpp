#pragma once

#include <sinq/error.hpp>
#include <sinq/io/float8.hpp>
#include <sinq/io/safetensors.hpp>
#include <sinq/matrix_view.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sinq::inline SINQ_ABI::io {

/// Rows and columns of a matrix of 8-bit floats that share a scale.
struct Float8Block {
  Index rows = 128;
  Index cols = 128;
};

namespace detail {

/// What scales of `X.weight` are called, behind that name. Both are multiplied with; "inv" means of the factor that the
/// writer divided by.
inline constexpr std::array<std::string_view, 2> kFloat8ScaleSuffixes{"_scale_inv", "_scale"};

/// Beside such a weight: scales of activations and of the key-value cache. They say how to compute in 8 bits, and
/// nothing about the weights.
inline constexpr std::array<std::string_view, 6> kFloat8ActivationScales{
    "input_scale", "input_scale_ub", "activation_scale", "output_scale", "k_scale", "v_scale"};

/// A row-major matrix of 8-bit floats times the scales of its blocks; both may lie in different files.
class Float8Matrix {
 public:
  /// `scale` may be null: all scales are 1. Throws Errc::kUnsupported for scales that are no floats, Errc::kBadFile for
  /// a shape that is not one value, one per row, one per block or one per group of a row.
  Float8Matrix(const SafetensorsFile& file, const TensorInfo& info, const SafetensorsFile* scale_file,
               const TensorInfo* scale, const Float8Block& block)
      : data_(file.bytes(info).data()),
        values_((info.dtype == DType::kF8E4M3 ? kFloat8Values<e4m3_to_float> : kFloat8Values<e5m2_to_float>).data()),
        rows_(info.shape[0]),
        cols_(info.shape[1]),
        block_{rows_, cols_},
        scale_file_(scale_file),
        scale_(scale) {
    if (scale == nullptr) return;
    const auto refuse = [&](Errc code, const auto&... parts) {
      SINQ_THROW(code, sinq::detail::text(scale_file->name(), ": tensor ", name_text(scale->name), ": ", parts...));
    };
    const auto type = scalar_type(scale->dtype);
    if (!type) refuse(Errc::kUnsupported, "scales of dtype ", io::name(scale->dtype), " are not read");
    const auto fitting = block_of(info.shape, scale->shape, block);
    if (!fitting) {
      refuse(Errc::kBadFile, "shape ", shape_text(scale->shape), " does not scale ", name_text(info.name), ' ',
             shape_text(info.shape), ": neither one value, nor one per row, nor blocks of ", block.rows, " x ",
             block.cols, " (config.json: weight_block_size), nor groups of a row");
    }
    block_ = *fitting;
    scales_ = {scale_file->bytes(*scale).data(), *type, ceil_div(cols_, block_.cols)};
  }

  /// Points to this.
  [[nodiscard]] MatrixView view() const noexcept {
    return {.rows = rows_, .cols = cols_, .data = this, .row_stride = cols_, .read_tile = &Float8Matrix::read_tile};
  }

  [[nodiscard]] std::uint64_t scale_bytes() const noexcept {
    return scale_ == nullptr ? 0 : scale_->end - scale_->begin;
  }
  /// See MappedFile::release; of the scales.
  void release() const noexcept {
    if (scale_ != nullptr) scale_file_->release(*scale_);
  }

 private:
  /// What shares a scale in a matrix [rows, cols] whose scales have the shape `scale`; `block` if that fits.
  [[nodiscard]] static std::optional<Float8Block> block_of(std::span<const Index> matrix, std::span<const Index> scale,
                                                           const Float8Block& block) {
    const Index rows = matrix[0], cols = matrix[1];
    if (std::all_of(scale.begin(), scale.end(), [](Index extent) { return extent == 1; }))
      return Float8Block{rows, cols};
    if (scale.size() == 1 && scale[0] == rows) return Float8Block{1, cols};
    if (scale.size() != 2 || scale[1] < 1) return std::nullopt;
    if (scale[0] == ceil_div(rows, block.rows) && scale[1] == ceil_div(cols, block.cols)) return block;
    if (scale[0] == rows && cols % scale[1] == 0) return Float8Block{1, cols / scale[1]};
    return std::nullopt;
  }

  /// `MatrixView::ReadTile`.
  static void read_tile(const void* self, Index row, Index col, Index rows, Index count, float* out, Index out_stride) {
    const auto& matrix = *static_cast<const Float8Matrix*>(self);
    for (Index r = row; r < row + rows; ++r, out += out_stride) {
      const std::byte* codes = matrix.data_ + r * matrix.cols_ + col;
      for (Index c = 0; c < count;) {
        const Index group = (col + c) / matrix.block_.cols;
        const Index end = std::min(count, (group + 1) * matrix.block_.cols - col);
        float scale = 1.0F;
        if (matrix.scale_ != nullptr) {
          UnalignedMatrix::read_tile(&matrix.scales_, r / matrix.block_.rows, group, 1, 1, &scale, 1);
        }
        for (; c < end; ++c) out[c] = matrix.values_[static_cast<std::uint8_t>(codes[c])] * scale;
      }
    }
  }

  const std::byte* data_;
  const float* values_;
  Index rows_, cols_;
  Float8Block block_;
  const SafetensorsFile* scale_file_;
  const TensorInfo* scale_;
  UnalignedMatrix scales_{};
};

}  // namespace detail

}  // namespace sinq::inline SINQ_ABI::io
