#include "llm/tensors.hpp"

#include <sinq/half.hpp>
#include <sinq/io/finite.hpp>

#include <cstring>
#include <limits>

namespace llm {
namespace {

template <class T>
T load_as(const std::byte* p) {
  T value;  // files align nothing
  std::memcpy(&value, p, sizeof value);
  return value;
}

const std::byte* row_of(const sinq::MatrixView& view, Index row) {
  return static_cast<const std::byte*>(view.data) + row * view.row_stride * sinq::scalar_bytes(view.type);
}

void read_floats(const sinq::MatrixView& view, Index row, float* out) {
  if (view.read_tile != nullptr) {
    view.read_tile(view.data, row, 0, 1, view.cols, out, view.cols);
    return;
  }
  const std::byte* p = row_of(view, row);
  for (Index c = 0; c < view.cols; ++c) {
    switch (view.type) {
      case sinq::ScalarType::kF32:
        out[c] = load_as<float>(p + 4 * c);
        break;
      case sinq::ScalarType::kF64:
        out[c] = static_cast<float>(load_as<double>(p + 8 * c));
        break;
      case sinq::ScalarType::kF16:
        out[c] = sinq::half_to_float(load_as<std::uint16_t>(p + 2 * c));
        break;
      case sinq::ScalarType::kBf16:
        out[c] = sinq::bfloat16_to_float(load_as<std::uint16_t>(p + 2 * c));
        break;
    }
  }
}

/// A double that is a number, though no float32 is as large.
void refuse_beyond_float(std::string_view tensor, const sinq::MatrixView& view, Index row, Index col) {
  if (view.read_tile != nullptr || view.type != sinq::ScalarType::kF64) return;
  const std::byte* p = row_of(view, row) + 8 * col;
  if (sinq::io::find_nonfinite(sinq::io::DType::kF64, {p, 8})) return;
  throw sinq::Error(sinq::Errc::kBadData,
                    sinq::detail::text("tensor ", sinq::io::detail::name_text(tensor), ": row ", row, ", column ", col,
                                       " is ", load_as<double>(p), ", which is beyond float32"));
}

[[noreturn]] void bad_tensor(const std::string& what) { throw sinq::Error(sinq::Errc::kBadFile, what); }

}  // namespace

void read_row(std::string_view tensor, const sinq::MatrixView& view, Index row, float* out) {
  read_floats(view, row, out);
  const std::span<const float> values(out, static_cast<std::size_t>(view.cols));
  if (const auto bad = sinq::io::find_nonfinite(values)) {
    refuse_beyond_float(tensor, view, row, static_cast<Index>(bad->at));
    sinq::io::require_finite(tensor, row, values);
  }
}

void require_finite(std::string_view tensor, const sinq::MatrixView& view) {
  std::vector<float> row(static_cast<std::size_t>(view.cols));
  for (Index r = 0; r < view.rows; ++r) read_row(tensor, view, r, row.data());
}

PackedMatrix pack(std::string_view tensor, const sinq::MatrixView& view) {
  PackedMatrix out(view.rows, view.cols);
  std::vector<float> row(static_cast<std::size_t>(view.cols));
  for (Index r = 0; r < view.rows; ++r) {
    read_row(tensor, view, r, row.data());
    out.set_output(r, row.data());
  }
  return out;
}

std::vector<std::int32_t> load_integers(const sinq::io::SafetensorsFile& file, const sinq::io::TensorInfo& info) {
  const auto bytes = file.bytes(info);
  std::vector<std::int32_t> out;
  if (info.dtype == sinq::io::DType::kI32) {
    for (std::size_t i = 0; i < bytes.size(); i += 4) out.push_back(load_as<std::int32_t>(bytes.data() + i));
  } else if (info.dtype == sinq::io::DType::kI64) {
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
      const auto value = load_as<std::int64_t>(bytes.data() + i);
      if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
        bad_tensor(info.name + " holds " + std::to_string(value) + ", which is no token id");
      }
      out.push_back(static_cast<std::int32_t>(value));
    }
  } else {
    bad_tensor(info.name + " has type " + std::string(sinq::io::name(info.dtype)) + ", token ids are I32 or I64");
  }
  return out;
}

}  // namespace llm
