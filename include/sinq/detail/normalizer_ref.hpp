#pragma once

#include <sinq/normalize/normalizer.hpp>

#include <concepts>

namespace sinq::inline SINQ_ABI::detail {

/// A normalizer whose type the pipeline need not know; as QuantizerRef.
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
