#pragma once

#include <sinq/error.hpp>
#include <sinq/io/byte_reader.hpp>
#include <sinq/io/json_events.hpp>
#include <sinq/io/metadata.hpp>
#include <sinq/io/tensor_info.hpp>

#include <algorithm>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// The longest header that is read, as in the reference implementation of the format.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr std::size_t kMaxDimensions = 32;

/// What the header of a safetensors file says.
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  ///< in the order of their bytes
  Metadata metadata;
};

namespace detail {

/// Reads {"__metadata__": {key: text}, name: {"dtype": text, "shape": [n...], "data_offsets": [begin, end]}}, checks
/// its form and nothing of its meaning. Offsets are left as they are, counted from the end of the header.
class HeaderEvents final : public JsonEvents {
 public:
  using JsonEvents::JsonEvents;

  SafetensorsHeader header;

  bool start_object(std::size_t) override {
    switch (state_) {
      case State::kStart:
        state_ = State::kTop;
        return true;
      case State::kEntry:
        if (key_ == "__metadata__") {
          if (std::exchange(has_metadata_, true)) refuse("'__metadata__' stands twice");
          state_ = State::kMetadata;
        } else {
          header.tensors.emplace_back().name = key_;
          fields_ = {};
          state_ = State::kTensor;
        }
        return true;
      default:
        return unexpected("an object");
    }
  }

  bool key(string_t& key) override {
    key_ = std::move(key);
    if (state_ == State::kTop) {
      state_ = State::kEntry;
    } else if (state_ == State::kTensor) {
      if (key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") {
        refuse("tensor ", name_text(tensor().name), " has an unknown field ", name_text(key_));
      }
      bool& seen = key_ == "dtype" ? fields_.dtype : key_ == "shape" ? fields_.shape : fields_.data_offsets;
      if (std::exchange(seen, true)) refuse("tensor ", name_text(tensor().name), " has the field '", key_, "' twice");
      state_ = State::kField;
    }
    return true;
  }

  bool string(string_t& value) override {
    if (state_ == State::kMetadata) {
      if (!header.metadata.emplace(key_, value).second) refuse("metadata ", name_text(key_), " stands twice");
      return true;
    }
    if (state_ != State::kField || key_ != "dtype") return unexpected("a string");
    const auto dtype = dtype_from_name(value);
    if (!dtype) {
      SINQ_THROW(Errc::kUnsupported,
                 sinq::detail::text(what(), ": JSON near byte ", position(), ": tensor ", name_text(tensor().name),
                                    " has the unknown dtype ", name_text(value)));
    }
    tensor().dtype = *dtype;
    state_ = State::kTensor;
    return true;
  }

  bool start_array(std::size_t) override {
    if (state_ != State::kField || key_ == "dtype") return unexpected("an array");
    state_ = key_ == "shape" ? State::kShape : State::kOffsets;
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (state_ == State::kShape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) {
        refuse("tensor ", name_text(tensor().name), " has the dimension ", value, ", which is not below 2^63");
      }
      if (tensor().shape.size() == kMaxDimensions) {
        refuse("tensor ", name_text(tensor().name), " has more than ", kMaxDimensions, " dimensions");
      }
      tensor().shape.push_back(static_cast<Index>(value));
    } else if (state_ == State::kOffsets && fields_.offsets < 2) {
      (fields_.offsets++ == 0 ? tensor().begin : tensor().end) = value;
    } else {
      return unexpected("a number");
    }
    return true;
  }

  bool end_array() override {
    if (state_ == State::kOffsets && fields_.offsets != 2) {
      refuse("tensor ", name_text(tensor().name), " has a data_offsets that is not two numbers");
    }
    state_ = State::kTensor;
    return true;
  }

  bool end_object() override {
    if (state_ == State::kTensor && !(fields_.dtype && fields_.shape && fields_.data_offsets)) {
      const char* missing = !fields_.dtype ? "dtype" : !fields_.shape ? "shape" : "data_offsets";
      refuse("tensor ", name_text(tensor().name), " has no ", missing);
    }
    state_ = State::kTop;
    return true;
  }

 private:
  enum class State { kStart, kTop, kEntry, kMetadata, kTensor, kField, kShape, kOffsets };
  struct Fields {
    bool dtype = false;
    bool shape = false;
    bool data_offsets = false;
    int offsets = 0;
  };

  [[nodiscard]] TensorInfo& tensor() { return header.tensors.back(); }

  bool unexpected(std::string_view event) const override {
    const bool in_tensor =
        state_ == State::kTensor || state_ == State::kField || state_ == State::kShape || state_ == State::kOffsets;
    if (in_tensor)
      refuse("unexpected ", event, " in ", name_text(key_), " of tensor ", name_text(header.tensors.back().name));
    if (state_ == State::kStart) refuse("unexpected ", event, " instead of an object");
    refuse("unexpected ", event, " in ", name_text(key_));
  }

  State state_ = State::kStart;
  bool has_metadata_ = false;
  Fields fields_;
  std::string key_;
};

/// Refuses two tensors of one name.
inline void check_names(const std::vector<TensorInfo>& tensors, std::string_view what) {
  std::vector<const TensorInfo*> sorted;
  sorted.reserve(tensors.size());
  for (const auto& tensor : tensors) sorted.push_back(&tensor);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  const auto same =
      std::adjacent_find(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name == b->name; });
  if (same != sorted.end()) {
    SINQ_THROW(Errc::kBadFile,
               sinq::detail::text(what, ": tensor ", name_text((*same)->name), " stands twice, at bytes ",
                                  (*same)->begin, " and ", (*std::next(same))->begin));
  }
}

/// Sorts tensors by their bytes, turns offsets into absolute ones, and checks that sizes are what dtype and shape say
/// and that the tensors cover [data_begin, file_bytes) without gap and overlap.
inline void place_tensors(std::vector<TensorInfo>& tensors, std::uint64_t data_begin, std::uint64_t file_bytes,
                          std::string_view what) {
  const auto refuse = [&](const TensorInfo& tensor, const auto&... parts) {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what, ": tensor ", name_text(tensor.name), " at byte ", tensor.begin,
                                                  ": ", parts...));
  };
  const std::uint64_t data_bytes = file_bytes - data_begin;
  for (auto& tensor : tensors) {
    if (tensor.begin > tensor.end || tensor.end > data_bytes) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(what, ": tensor ", name_text(tensor.name), ": data_offsets [",
                                                    tensor.begin, ", ", tensor.end, "], counted from byte ", data_begin,
                                                    ", are not a range within the file's ", file_bytes, " bytes"));
    }
    tensor.begin += data_begin;
    tensor.end += data_begin;
    const auto size = tensor_bytes(tensor.dtype, tensor.shape);
    if (!size) refuse(tensor, "shape ", shape_text(tensor.shape), " of ", name(tensor.dtype), " exceeds 2^63 bytes");
    if (*size != tensor.end - tensor.begin) {
      refuse(tensor, "data_offsets span ", tensor.end - tensor.begin, " bytes, but shape ", shape_text(tensor.shape),
             " of ", name(tensor.dtype), " takes ", *size);
    }
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::uint64_t covered = data_begin;
  for (const auto& tensor : tensors) {
    if (tensor.begin < covered) refuse(tensor, "overlaps the tensor before it, which ends at byte ", covered);
    if (tensor.begin > covered) refuse(tensor, "the ", tensor.begin - covered, " bytes before it belong to no tensor");
    covered = tensor.end;
  }
  if (covered != file_bytes) {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what, ": the ", file_bytes - covered, " bytes from byte ", covered,
                                                  " to the end belong to no tensor"));
  }
}

}  // namespace detail

/// Reads and checks the header of a safetensors file that is in memory as a whole: length, JSON, every dtype, shape and
/// range, no duplicate names, no overlaps and no gaps. `what` names the file in errors.
/// Throws Errc::kBadFile (kUnsupported for an unknown dtype), naming tensor and byte offset.
[[nodiscard]] inline SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                                                std::string_view what) {
  ByteReader reader(file, what);
  const auto length = reader.read<std::uint64_t>("header length");
  if (length > kMaxHeaderBytes) {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what, ": header length ", length, " at byte 0 is more than ",
                                                  kMaxHeaderBytes, " (is this a safetensors file?)"));
  }
  const auto json = reader.take(length, "header");
  if (json.empty() || json.front() != std::byte{'{'}) {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what, ": the header at byte 8 does not begin with '{'"));
  }
  detail::HeaderEvents events(what, 8);
  events.parse(json);
  detail::check_names(events.header.tensors, what);
  detail::place_tensors(events.header.tensors, reader.position(), file.size(), what);
  return std::move(events.header);
}

}  // namespace sinq::inline SINQ_ABI::io
