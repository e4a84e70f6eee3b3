#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>
#include <sinq/io/atomic_file.hpp>
#include <sinq/io/gguf_header.hpp>
#include <sinq/io/gguf_tensor.hpp>
#include <sinq/io/gguf_value.hpp>
#include <sinq/io/memory_size.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// A GGUF file before its tensors are there: all but their bytes is known.
struct GgufPlan {
  std::string header;                   ///< the bytes in front of the tensors, padding included
  std::vector<GgufTensorInfo> tensors;  ///< with begin and end
  std::uint64_t alignment = kGgufDefaultAlignment;
  std::uint64_t file_bytes = 0;
};

namespace detail {

/// Little-endian bytes one after another.
class GgufHeaderBytes {
 public:
  template <class Number>
  requires std::is_arithmetic_v<Number>
  void put(Number value) {
    char bytes[sizeof(Number)];
    std::memcpy(bytes, &value, sizeof value);
    out.append(bytes, sizeof bytes);
  }
  void put(const std::string& value) {
    put(std::uint64_t{value.size()});
    out += value;
  }
  void put(const GgufArray& array) {
    put(static_cast<std::uint32_t>(array.index()));
    std::visit(
        [&]<class List>(const List& list) {
          if constexpr (std::is_same_v<List, GgufArrayOfArrays>) {
            SINQ_THROW(Errc::kBadConfig, "GGUF: arrays of arrays are not supported");
          } else {
            put(std::uint64_t{list.size()});
            for (const typename List::value_type& element : list) put(element);
          }
        },
        array);
  }
  void put(const GgufValue& value) {
    put(static_cast<std::uint32_t>(value.index()));
    std::visit([&](const auto& content) { put(content); }, value);
  }
  void pad(std::uint64_t alignment) {
    out.resize(memory_size((out.size() + alignment - 1) / alignment * alignment), '\0');
  }

  std::string out;
};

}  // namespace detail

/// Lays out a GGUF file (version 3): `tensors` follow each other in their order, each padded to the alignment (32, or
/// "general.alignment"), the last one too, as ggml wants it; their begin and end are set. Throws Errc::kBadConfig for
/// names that are empty, longer than 63 bytes or there twice, Errc::kBadShape for a shape that its type cannot have.
[[nodiscard]] inline GgufPlan plan_gguf(const GgufMetadata& metadata, std::vector<GgufTensorInfo> tensors) {
  GgufPlan plan;
  plan.alignment = gguf_alignment(metadata);
  detail::GgufHeaderBytes bytes;
  bytes.out = "GGUF";
  bytes.put(std::uint32_t{3});
  bytes.put(std::uint64_t{tensors.size()});
  bytes.put(std::uint64_t{metadata.entries().size()});
  for (const auto& entry : metadata.entries()) {
    bytes.put(entry.key);
    bytes.put(entry.value);
  }
  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (auto& tensor : tensors) {
    if (tensor.name.empty() || tensor.name.size() > kMaxGgufName || !names.insert(tensor.name).second) {
      SINQ_THROW(Errc::kBadConfig, sinq::detail::text("GGUF: tensor name ", detail::name_text(tensor.name),
                                                      " is empty, longer than 63 bytes, or there twice"));
    }
    const auto size = tensor_bytes(tensor.type, tensor.shape);
    if (!size || tensor.shape.size() > kMaxGgufDimensions) {
      SINQ_THROW(Errc::kBadShape, sinq::detail::text("GGUF: tensor ", detail::name_text(tensor.name), ": shape ",
                                                     detail::shape_text(tensor.shape), " is not one of at most ",
                                                     kMaxGgufDimensions, " dimensions and rows of whole blocks of ",
                                                     block_size(tensor.type), " (", name(tensor.type), ")"));
    }
    bytes.put(tensor.name);
    bytes.put(static_cast<std::uint32_t>(tensor.shape.size()));
    for (std::size_t i = tensor.shape.size(); i-- > 0;) bytes.put(static_cast<std::uint64_t>(tensor.shape[i]));
    bytes.put(static_cast<std::uint32_t>(tensor.type));
    bytes.put(offset);
    tensor.begin = offset;
    tensor.end = offset + *size;
    offset = (tensor.end + plan.alignment - 1) / plan.alignment * plan.alignment;
  }
  bytes.pad(plan.alignment);
  for (auto& tensor : tensors) {
    tensor.begin += bytes.out.size();
    tensor.end += bytes.out.size();
  }
  plan.file_bytes = bytes.out.size() + offset;
  plan.header = std::move(bytes.out);
  plan.tensors = std::move(tensors);
  return plan;
}

/// Writes a planned GGUF file from front to back, beside its target, and renames it when it is whole (see AtomicFile).
/// Holds no tensor in memory.
class GgufWriter {
 public:
  /// Throws Errc::kIo.
  GgufWriter(const std::filesystem::path& target, GgufPlan plan) : plan_(std::move(plan)), file_(target) {
    put(std::as_bytes(std::span(plan_.header)));
    skip_finished();
  }

  [[nodiscard]] const GgufPlan& plan() const noexcept { return plan_; }

  /// The next bytes of the tensors, which come in the order of the plan, each in as many pieces as one likes; padding
  /// is added. Throws Errc::kBadShape for more bytes than the tensor that is being written still lacks, Errc::kIo.
  void write(std::span<const std::byte> bytes) {
    const std::uint64_t missing = next_ < plan_.tensors.size() ? plan_.tensors[next_].end - position_ : 0;
    if (bytes.size() > missing) {
      SINQ_THROW(
          Errc::kBadShape,
          sinq::detail::text("GGUF: ", bytes.size(), " bytes, but ",
                             missing == 0 ? std::string("all tensors are complete")
                                          : sinq::detail::text("tensor ", detail::name_text(plan_.tensors[next_].name),
                                                               " lacks ", missing)));
    }
    put(bytes);
    skip_finished();
  }

  /// Gives the file its name. Throws Errc::kBadShape if bytes of a tensor are missing, Errc::kIo.
  void commit() {
    if (next_ < plan_.tensors.size()) {
      const auto& tensor = plan_.tensors[next_];
      SINQ_THROW(Errc::kBadShape, sinq::detail::text("GGUF: tensor ", detail::name_text(tensor.name), " lacks ",
                                                     tensor.end - position_, " bytes"));
    }
    file_.commit();
  }

 private:
  void put(std::span<const std::byte> bytes) {
    file_.write(bytes);
    position_ += bytes.size();
  }

  /// Pads after each tensor that is complete, and goes on to the next.
  void skip_finished() {
    while (next_ < plan_.tensors.size() && position_ == plan_.tensors[next_].end) {
      const bool last = ++next_ == plan_.tensors.size();
      const sinq::detail::Vector<std::byte> zeros(
          detail::memory_size((last ? plan_.file_bytes : plan_.tensors[next_].begin) - position_));
      put(zeros);
    }
  }

  GgufPlan plan_;
  AtomicFile file_;
  std::uint64_t position_ = 0;
  std::size_t next_ = 0;  ///< the tensor that is being written
};

}  // namespace sinq::inline SINQ_ABI::io
