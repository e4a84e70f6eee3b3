#pragma once

#include <sinq/abi.hpp>

#include <array>

namespace sinq::inline SINQ_ABI::codebooks {

/// NormalFloat-4 (QLoRA, arXiv 2305.14314; the table of bitsandbytes): quantiles of a normal distribution, with zero.
inline constexpr std::array<float, 16> kNf4Levels{-1.0F,
                                                  -0.6961928009986877F,
                                                  -0.5250730514526367F,
                                                  -0.39491748809814453F,
                                                  -0.28444138169288635F,
                                                  -0.18477343022823334F,
                                                  -0.09105003625154495F,
                                                  0.0F,
                                                  0.07958029955625534F,
                                                  0.16093020141124725F,
                                                  0.24611230194568634F,
                                                  0.33791524171829224F,
                                                  0.44070982933044434F,
                                                  0.5626170039176941F,
                                                  0.7229568362236023F,
                                                  1.0F};

/// NormalFloat-3, the table of the SINQ reference: three negative levels, zero, four positive ones.
inline constexpr std::array<float, 8> kNf3Levels{-1.0F,
                                                 -0.5350227355957031F,
                                                 -0.2469314038753510F,
                                                 0.0F,
                                                 0.1833375245332718F,
                                                 0.3819939494132996F,
                                                 0.6229856610298157F,
                                                 1.0F};

}  // namespace sinq::inline SINQ_ABI::codebooks
