#pragma once

#include <sinq/detail/map.hpp>
#include <sinq/error.hpp>
#include <sinq/io/atomic_file.hpp>
#include <sinq/io/json.hpp>
#include <sinq/io/metadata.hpp>
#include <sinq/io/safetensors_header.hpp>
#include <sinq/io/tensor_info.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// A tensor to be written: its bytes, row-major and little-endian, stay with the caller.
struct TensorData {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<Index> shape;
  std::span<const std::byte> bytes;
};

namespace detail {

/// `text` as JSON. Throws Errc::kBadConfig if it is not UTF-8.
[[nodiscard]] inline std::string json_string(std::string_view text) {
  // Bytes that are not UTF-8 are left out here, and then the way back does not lead to the same text.
  std::string out = Json(text).dump(-1, ' ', false, Json::error_handler_t::ignore);
  if (Json::parse(out, nullptr, false) != Json(text)) {
    SINQ_THROW(Errc::kBadConfig, sinq::detail::text("safetensors: ", name_text(text), " is not UTF-8"));
  }
  return out;
}

}  // namespace detail

/// The start of a safetensors file: header length and header, padded with spaces to a multiple of 8 bytes. Sets begin
/// and end of the tensors, which follow in the given order. Throws Errc::kBadConfig for a duplicate or reserved name,
/// Errc::kBadShape for an impossible shape.
[[nodiscard]] inline std::string safetensors_header_bytes(std::span<TensorInfo> tensors,
                                                          const Metadata& metadata = {}) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      json += detail::json_string(key) + ":" + detail::json_string(value) + ",";
    }
    json.back() = '}';
    json += ",";
  }
  std::vector<std::string_view> names;
  std::uint64_t offset = 0;
  for (auto& tensor : tensors) {
    const auto size = tensor_bytes(tensor.dtype, tensor.shape);
    if (!size || tensor.shape.size() > kMaxDimensions) {
      SINQ_THROW(Errc::kBadShape, sinq::detail::text("safetensors: tensor ", detail::name_text(tensor.name), ": shape ",
                                                     detail::shape_text(tensor.shape), " is not possible"));
    }
    tensor.begin = offset;
    tensor.end = offset += *size;
    names.push_back(tensor.name);
    json += detail::json_string(tensor.name) + ":{\"dtype\":\"" + std::string(name(tensor.dtype)) + "\",\"shape\":[";
    for (const Index extent : tensor.shape) json += std::to_string(extent) + ",";
    if (!tensor.shape.empty()) json.pop_back();
    json += "],\"data_offsets\":[" + std::to_string(tensor.begin) + "," + std::to_string(tensor.end) + "]},";
  }
  if (json.size() > 1) json.pop_back();
  json += "}";
  std::sort(names.begin(), names.end());
  const auto same = std::adjacent_find(names.begin(), names.end());
  if (same != names.end() || std::binary_search(names.begin(), names.end(), "__metadata__")) {
    SINQ_THROW(Errc::kBadConfig,
               same != names.end()
                   ? sinq::detail::text("safetensors: tensor ", detail::name_text(*same), " stands twice")
                   : std::string("safetensors: '__metadata__' is no name for a tensor"));
  }
  json.resize(static_cast<std::size_t>(round_up(static_cast<Index>(json.size()), 8)), ' ');
  if (json.size() > kMaxHeaderBytes) {
    SINQ_THROW(Errc::kBadConfig,
               sinq::detail::text("safetensors: header of ", json.size(), " bytes is more than ", kMaxHeaderBytes));
  }
  const std::uint64_t length = json.size();
  for (auto& tensor : tensors) {
    tensor.begin += 8 + length;
    tensor.end += 8 + length;
  }
  std::string out(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(length >> (8 * i));
  return out + json;
}

/// A safetensors file that is to be written: everything but the bytes of its tensors.
struct SafetensorsPlan {
  std::string header;               ///< the first bytes of the file
  std::vector<TensorInfo> tensors;  ///< in the order of their bytes, begin and end set

  /// Size of the file.
  [[nodiscard]] std::uint64_t file_bytes() const noexcept {
    return tensors.empty() ? header.size() : tensors.back().end;
  }
};

/// Puts tensors into their places; begin and end of the given ones do not matter. Wide element types come first, so
/// that all tensors are aligned, and equal widths are sorted by name: the same tensors make the same file. Throws as
/// `safetensors_header_bytes`.
[[nodiscard]] inline SafetensorsPlan plan_safetensors(std::vector<TensorInfo> tensors, const Metadata& metadata = {}) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    const int width_a = dtype_bytes(a.dtype), width_b = dtype_bytes(b.dtype);
    return std::tie(width_b, a.name) < std::tie(width_a, b.name);
  });
  std::string header = safetensors_header_bytes(tensors, metadata);
  return {std::move(header), std::move(tensors)};
}

/// Writes a safetensors file, planned by `plan_safetensors`, beside `target` and then renames it (see AtomicFile).
/// Throws Errc::kIo, and Errc::kBadShape / kBadConfig for tensors that do not make a file.
inline void write_safetensors(const std::filesystem::path& target, std::span<const TensorData> tensors,
                              const Metadata& metadata = {}) {
  sinq::detail::Map<std::string_view, std::span<const std::byte>> bytes;
  std::vector<TensorInfo> infos;
  for (const auto& tensor : tensors) {
    const auto size = tensor_bytes(tensor.dtype, tensor.shape);
    if (size && *size != tensor.bytes.size()) {
      SINQ_THROW(Errc::kBadShape,
                 sinq::detail::text("safetensors: tensor ", detail::name_text(tensor.name), ": ", tensor.bytes.size(),
                                    " bytes, but shape ", detail::shape_text(tensor.shape), " of ", name(tensor.dtype),
                                    " takes ", *size));
    }
    bytes.emplace(tensor.name, tensor.bytes);
    infos.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  const SafetensorsPlan plan = plan_safetensors(std::move(infos), metadata);
  AtomicFile file(target);
  file.write(std::as_bytes(std::span(plan.header)));
  for (const auto& tensor : plan.tensors) file.write(bytes.at(tensor.name));
  file.commit();
}

}  // namespace sinq::inline SINQ_ABI::io
