#pragma once

#include <sinq/isa.hpp>
#include <sinq/packing/aux_codec.hpp>
#include <sinq/quantizers/group_quantizer.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Zero points that an aux format stores well enough: a group further from zero gets a wider range.
///
/// 8 bit: [-2^bits, 2^(bits+1)], so that 255 steps resolve them whatever their neighbours are; 6 bit: half as far. f16:
/// up to 1024 levels away, where the format still resolves half a level. Tables have levels of their own size: the
/// bounds are as far from the outermost levels, in units of the mean step.
struct ZeroPointRange {
  float least = 0.0F, greatest = 0.0F;
  float lowest_level = 0.0F, highest_level = 0.0F;
  bool bounded = false;

  ZeroPointRange(const CodeFormat& format, AuxFormat aux) noexcept
      : bounded(aux != AuxFormat::kF32 && format.symmetry == Symmetry::kAsymmetric) {
    const float codes = static_cast<float>(1 << format.bits);
    lowest_level = format.levels.empty() ? 0.0F : format.levels.front();
    highest_level = format.levels.empty() ? codes - 1.0F : format.levels.back();
    const float step = (highest_level - lowest_level) / (codes - 1.0F);
    const float distance = aux == AuxFormat::kU8 ? codes : aux == AuxFormat::kU6 ? 0.5F * codes : 1024.0F;
    least = lowest_level - distance * step;
    greatest = highest_level + (distance + (aux == AuxFormat::kU8 ? 1.0F : 0.0F)) * step;
  }
};

template <class Tag>
struct ZeroPointSteps;

}  // namespace sinq::inline SINQ_ABI::detail

#define SINQ_KERNEL <sinq/detail/zero_point_range_kernel.hpp>
#include <sinq/detail/for_each_isa.hpp>
