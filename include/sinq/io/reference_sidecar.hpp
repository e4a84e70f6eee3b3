#pragma once

#include <sinq/error.hpp>
#include <sinq/io/json.hpp>
#include <sinq/io/json_events.hpp>
#include <sinq/io/reference_packing.hpp>
#include <sinq/io/safetensors_header.hpp>
#include <sinq/io/safetensors_writer.hpp>
#include <sinq/io/tensor_info.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// What a checkpoint of the SINQ reference says of a quantized layer beside its tensors.
struct ReferenceMeta {
  double bits = 0.0;  ///< "nbits": 1, 1.58, 2, 3, 4, 5, 6 or 8
  std::vector<Index> shape = {};
  std::optional<Index> group_size = {};  ///< the one asked for; the one used follows from the scales' number
  std::optional<std::vector<Index>> scale_shape = {};  ///< "scale.shape", of 8-bit scales
  std::optional<std::vector<Index>> zero_shape = {};   ///< "zero.shape"; [] is a single number
  Index axis = 1;
  std::string packing = {};      ///< empty: not said
  std::string method = {};       ///< parts of words: sinq, nf4, nf3, noz, hqq, quantAux ...
  std::string tiling_mode = {};  ///< "1D" or "2D"; the reference itself does not write it
  bool view_as_float = false;    ///< packed codes are typed as floats

  friend bool operator==(const ReferenceMeta&, const ReferenceMeta&) = default;
};

/// Of each layer, by its name without ".weight".
using ReferenceSidecar = std::map<std::string, ReferenceMeta, std::less<>>;

namespace detail {

/// Reads {layer: {"meta": {field: value, ...}, ...}, ...}; what else it holds is skipped.
class SidecarEvents final : public JsonEvents {
 public:
  using JsonEvents::JsonEvents;

  ReferenceSidecar layers;

  bool null() override {
    return is_skipped() || field_ == Field::kPacking || field_ == Field::kGroupSize || wrong("null");
  }
  bool boolean(bool value) override {
    if (is_skipped()) return true;
    if (field_ != Field::kViewAsFloat) return wrong("a boolean");
    meta_->view_as_float = value;
    return true;
  }
  bool number_integer(number_integer_t) override { return is_skipped() || wrong("a negative number"); }
  bool number_unsigned(number_unsigned_t value) override {
    if (is_skipped()) return true;
    if (value > static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) return wrong("a number beyond 2^63");
    const auto number = static_cast<Index>(value);
    if (in_list_) {
      std::vector<Index>& list = list_of(field_);
      if (list.size() == kMaxDimensions) return wrong("more dimensions than any tensor has");
      list.push_back(number);
    } else if (field_ == Field::kBits) {
      meta_->bits = static_cast<double>(number);
    } else if (field_ == Field::kGroupSize) {
      meta_->group_size = number;
    } else if (field_ == Field::kAxis) {
      meta_->axis = number;
    } else {
      return wrong("a number");
    }
    return true;
  }
  bool number_float(number_float_t value, const string_t&) override {
    if (is_skipped()) return true;
    if (field_ != Field::kBits) return wrong("a fraction");
    meta_->bits = value;
    return true;
  }
  bool string(string_t& value) override {
    if (is_skipped()) return true;
    if (field_ == Field::kPacking) {
      meta_->packing = std::move(value);
    } else if (field_ == Field::kMethod) {
      meta_->method = std::move(value);
    } else if (field_ == Field::kTilingMode) {
      meta_->tiling_mode = std::move(value);
    } else {
      return wrong("a string");
    }
    return true;
  }

  bool key(string_t& key) override {
    if (skipped_ > 0) return true;
    if (depth_ == 1) {
      layer_ = std::move(key);
    } else if (depth_ == 2) {
      field_ = key == "meta" ? Field::kMeta : Field::kOther;
    } else {
      field_ = field_of(key);
      bool& seen = seen_[static_cast<std::size_t>(field_)];
      if (field_ != Field::kOther && std::exchange(seen, true)) {
        refuse("layer ", name_text(layer_), " has ", name_text(key), " twice");
      }
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (skipped_ > 0 || (depth_ >= 2 && field_ == Field::kOther)) return skip();
    if (depth_ == 2) {
      if (!layers.emplace(layer_, ReferenceMeta{}).second) refuse("layer ", name_text(layer_), " stands twice");
      meta_ = &layers.find(layer_)->second;
      seen_ = {};
    } else if (depth_ > 2) {
      return wrong("an object");
    }
    ++depth_;
    field_ = Field::kOther;
    return true;
  }
  bool end_object() override {
    if (skipped_ > 0) return --skipped_ >= 0;
    --depth_;
    field_ = Field::kOther;
    return true;
  }
  bool start_array(std::size_t) override {
    if (skipped_ > 0 || (depth_ >= 2 && field_ == Field::kOther)) return skip();
    const bool is_list = field_ == Field::kShape || field_ == Field::kScaleShape || field_ == Field::kZeroShape;
    if (depth_ != 3 || !is_list || std::exchange(in_list_, true)) return wrong("an array");
    list_of(field_).clear();
    return true;
  }
  bool end_array() override {
    if (skipped_ > 0) return --skipped_ >= 0;
    in_list_ = false;
    return true;
  }

 private:
  static constexpr int kMaxDepth = 64;
  enum class Field {
    kOther,
    kMeta,
    kBits,
    kShape,
    kGroupSize,
    kScaleShape,
    kZeroShape,
    kAxis,
    kPacking,
    kMethod,
    kTilingMode,
    kViewAsFloat
  };
  static constexpr std::array<std::pair<std::string_view, Field>, 10> kFields{{{"nbits", Field::kBits},
                                                                               {"shape", Field::kShape},
                                                                               {"group_size", Field::kGroupSize},
                                                                               {"scale.shape", Field::kScaleShape},
                                                                               {"zero.shape", Field::kZeroShape},
                                                                               {"axis", Field::kAxis},
                                                                               {"packing", Field::kPacking},
                                                                               {"method", Field::kMethod},
                                                                               {"tiling_mode", Field::kTilingMode},
                                                                               {"view_as_float", Field::kViewAsFloat}}};

  static Field field_of(std::string_view key) {
    for (const auto& [name, field] : kFields) {
      if (name == key) return field;
    }
    return Field::kOther;
  }
  [[nodiscard]] std::vector<Index>& list_of(Field field) {
    if (field == Field::kShape) return meta_->shape;
    auto& list = field == Field::kScaleShape ? meta_->scale_shape : meta_->zero_shape;
    return list ? *list : list.emplace();
  }

  /// Whether the value that begins here is nothing that is kept.
  [[nodiscard]] bool is_skipped() const {
    return skipped_ > 0 || (depth_ >= 2 && !in_list_ && field_ == Field::kOther);
  }
  bool skip() {
    if (++skipped_ > kMaxDepth) refuse("more than ", kMaxDepth, " levels");
    return true;
  }
  [[noreturn]] bool wrong(std::string_view event) const {
    if (depth_ == 0) refuse("unexpected ", event, " instead of an object");
    if (depth_ == 1) refuse("layer ", name_text(layer_), ": unexpected ", event, " instead of an object");
    std::string_view field = "meta";
    for (const auto& [name, value] : kFields) {
      if (value == field_) field = name;
    }
    refuse("layer ", name_text(layer_), ": unexpected ", event, " in '", field, "'");
  }

  int depth_ = 0;    ///< objects that are open: the top, a layer, its "meta"
  int skipped_ = 0;  ///< open values that nobody reads
  bool in_list_ = false;
  Field field_ = Field::kOther;
  std::string layer_;
  ReferenceMeta* meta_ = nullptr;
  std::array<bool, kFields.size() + 2> seen_{};
};

}  // namespace detail

/// Reads the text of model.safetensors.index.json.meta.json. Its form is checked, not its meaning.
/// Throws Errc::kBadFile, naming layer, field and byte; `what` names the file.
[[nodiscard]] inline ReferenceSidecar parse_reference_sidecar(std::span<const std::byte> json, std::string_view what) {
  if (json.size() > kMaxHeaderBytes) {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what, ": ", json.size(), " bytes are more than ", kMaxHeaderBytes));
  }
  detail::SidecarEvents events(what, 0);
  events.parse(json);
  return std::move(events.layers);
}

/// The text of model.safetensors.index.json.meta.json, with every field that the reference writes.
/// Throws Errc::kBadConfig for a name that is not UTF-8.
[[nodiscard]] inline std::string reference_sidecar_json(const ReferenceSidecar& layers) {
  detail::OrderedJson out = detail::OrderedJson::object();
  for (const auto& [layer, meta] : layers) {
    static_cast<void>(detail::json_string(layer));  // refuses what `dump` would
    detail::OrderedJson fields;
    if (meta.bits == std::floor(meta.bits)) {
      fields["nbits"] = static_cast<int>(meta.bits);
    } else {
      fields["nbits"] = meta.bits;
    }
    fields["group_size"] = meta.group_size ? detail::OrderedJson(*meta.group_size) : detail::OrderedJson();
    fields["shape"] = meta.shape;
    if (meta.scale_shape) fields["scale.shape"] = *meta.scale_shape;
    if (meta.zero_shape) fields["zero.shape"] = *meta.zero_shape;
    fields["awq_scale"] = nullptr;
    fields["axis"] = meta.axis;
    fields["packing"] = meta.packing.empty() ? detail::OrderedJson() : detail::OrderedJson(meta.packing);
    fields["method"] = meta.method;
    fields["compute_dtype"] = "torch.bfloat16";
    const auto packing = reference_packing_from_name(meta.packing);
    fields["unpack_view_dtype"] = packing && packed_dtype(*packing) == DType::kI32 ? "torch.int32" : "torch.uint8";
    fields["view_as_float"] = meta.view_as_float;
    if (!meta.tiling_mode.empty()) fields["tiling_mode"] = meta.tiling_mode;
    out[layer]["meta"] = std::move(fields);
  }
  return out.dump();
}

}  // namespace sinq::inline SINQ_ABI::io
