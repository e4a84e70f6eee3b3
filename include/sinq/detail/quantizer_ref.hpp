#pragma once

#include <sinq/quantizers/group_quantizer.hpp>
#include <sinq/quantizers/panel_quantizer.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace sinq::inline SINQ_ABI::detail {

/// What a pipeline runs of a quantizer.
template <class Q>
[[nodiscard]] auto as_runnable(const Q& quantizer) {
  if constexpr (TileQuantizer<Q>) {
    return quantizer;
  } else if constexpr (PanelQuantizer<Q>) {
    return quantizer.encoder();
  } else {
    return PerGroup<Q>{quantizer};
  }
}

/// A quantizer whose type the pipeline need not know, so that it is compiled once for all of them. A call costs one
/// jump for some thousand weights. Refers to the quantizer.
struct QuantizerRef {
  void* quantizer;
  CodeFormat (*get_format)(const void*);
  FitScope scope = FitScope::kRows;
  void (*do_fit)(const void*, const TileView&, Index, const GroupParams&, Scratch&, Isa) = nullptr;
  void (*do_encode)(const void*, const TileView&, Index, const GroupParams&, std::uint8_t*, Index, Isa) = nullptr;
  void (*do_learn)(void*, const TileView&, Scratch&, Isa) = nullptr;  ///< null: it learns nothing

  /// What encodes panels is known by its type to the pipeline that runs it.
  template <class Encoder>
  requires(!std::same_as<std::remove_const_t<Encoder>, QuantizerRef> &&
           !TileQuantizer<Encoder>) explicit QuantizerRef(Encoder& encoder)
      : quantizer(&encoder), get_format([](const void* p) { return static_cast<const Encoder*>(p)->format(); }) {}

  // Asked first, or a copy would ask whether a reference can be copied.
  template <class Q>
  requires(!std::same_as<std::remove_const_t<Q>, QuantizerRef> && TileQuantizer<Q>) explicit QuantizerRef(Q& q)
      : quantizer(&q),
        get_format([](const void* p) { return static_cast<const Q*>(p)->format(); }),
        scope(Q::kFitScope),
        do_fit([](const void* p, const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch,
                  Isa limit) { static_cast<const Q*>(p)->fit(tile, group_size, params, scratch, limit); }),
        do_encode([](const void* p, const TileView& tile, Index group_size, const GroupParams& params,
                     std::uint8_t* codes, Index code_stride, Isa limit) {
          static_cast<const Q*>(p)->encode(tile, group_size, params, codes, code_stride, limit);
        }) {
    if constexpr (LearningQuantizer<Q>) {
      do_learn = [](void* p, const TileView& groups, Scratch& scratch, Isa limit) {
        static_cast<Q*>(p)->learn(groups, scratch, limit);
      };
    }
  }

  [[nodiscard]] CodeFormat format() const { return get_format(quantizer); }
  void fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch, Isa limit) const {
    do_fit(quantizer, tile, group_size, params, scratch, limit);
  }
  void encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes, Index code_stride,
              Isa limit) const {
    do_encode(quantizer, tile, group_size, params, codes, code_stride, limit);
  }
  void learn(const TileView& groups, Scratch& scratch, Isa limit) const { do_learn(quantizer, groups, scratch, limit); }
};

}  // namespace sinq::inline SINQ_ABI::detail
