#pragma once

#include <sinq/normalize/normalizer.hpp>
#include <sinq/quantizers/group_quantizer.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace sinq::inline SINQ_ABI::detail {

/// A quantizer whose type the pipeline need not know, so that it is compiled once for all of them. A call costs one
/// jump for some thousand weights. Refers to the quantizer.
struct QuantizerRef {
  void* quantizer;
  FitScope scope;
  CodeFormat (*get_format)(const void*);
  void (*do_fit)(const void*, const TileView&, Index, const GroupParams&, Scratch&, Isa);
  /// One of these two, by whether codes stand for vectors.
  void (*do_encode)(const void*, const TileView&, Index, const GroupParams&, std::uint8_t*, Index, Isa) = nullptr;
  void (*do_encode_vectors)(const void*, const TileView&, Index, const GroupParams&, std::uint16_t*, Index, Scratch&,
                            Isa) = nullptr;
  void (*do_learn)(void*, const TileView&, Scratch&, Isa) = nullptr;  ///< null: it learns nothing

  // Copies are asked for first: whether a reference is itself a quantizer depends on whether it can be copied.
  template <class Q>
  requires(!std::same_as<std::remove_const_t<Q>, QuantizerRef> && TileQuantizer<Q>) explicit QuantizerRef(Q& q)
      : quantizer(&q),
        scope(Q::kFitScope),
        get_format([](const void* p) { return static_cast<const Q*>(p)->format(); }),
        do_fit([](const void* p, const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch,
                  Isa limit) { static_cast<const Q*>(p)->fit(tile, group_size, params, scratch, limit); }) {
    if constexpr (VectorQuantizer<Q>) {
      do_encode_vectors = [](const void* p, const TileView& tile, Index group_size, const GroupParams& params,
                             std::uint16_t* codes, Index code_stride, Scratch& scratch, Isa limit) {
        static_cast<const Q*>(p)->encode(tile, group_size, params, codes, code_stride, scratch, limit);
      };
    } else {
      do_encode = [](const void* p, const TileView& tile, Index group_size, const GroupParams& params,
                     std::uint8_t* codes, Index code_stride, Isa limit) {
        static_cast<const Q*>(p)->encode(tile, group_size, params, codes, code_stride, limit);
      };
    }
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
  void encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint16_t* codes,
              Index code_stride, Scratch& scratch, Isa limit) const {
    do_encode_vectors(quantizer, tile, group_size, params, codes, code_stride, scratch, limit);
  }
  void learn(const TileView& groups, Scratch& scratch, Isa limit) const { do_learn(quantizer, groups, scratch, limit); }
};

/// The same for a normalizer.
struct NormalizerRef {
  const void* normalizer;
  BalanceReport (*do_balance)(const void*, const TileView&, DualScaleSpan, Scratch&, Isa);

  template <class N>
  requires(!std::same_as<N, NormalizerRef> && Normalizer<N>) explicit NormalizerRef(const N& n)
      : normalizer(&n),
        do_balance([](const void* p, const TileView& tile, DualScaleSpan scales, Scratch& scratch, Isa limit) {
          return static_cast<const N*>(p)->balance(tile, scales, scratch, limit);
        }) {}

  [[nodiscard]] BalanceReport balance(const TileView& tile, DualScaleSpan scales, Scratch& scratch, Isa limit) const {
    return do_balance(normalizer, tile, scales, scratch, limit);
  }
};

}  // namespace sinq::inline SINQ_ABI::detail
