#pragma once

#include <sinq/kernels/dot_kind.hpp>

#include <string_view>
#include <vector>

namespace sinq::test {

using detail::DotKind;

/// Every kind of byte dot products that this machine runs, the portable one first.
inline std::vector<DotKind> supported_dots() {
  std::vector<DotKind> out;
  for (const DotKind kind : {DotKind::kPortable, DotKind::kNeon, DotKind::kNeonDot, DotKind::kAvx2, DotKind::kAvx512,
                             DotKind::kAvx512Vnni}) {
    if (detail::supported(kind)) out.push_back(kind);
  }
  return out;
}

inline std::string_view name(DotKind kind) {
  switch (kind) {
    case DotKind::kPortable:
      return "portable";
    case DotKind::kNeon:
      return "neon";
    case DotKind::kNeonDot:
      return "neon+dot";
    case DotKind::kAvx2:
      return "avx2";
    case DotKind::kAvx512:
      return "avx512";
    case DotKind::kAvx512Vnni:
      return "avx512+vnni";
  }
  return "unknown";
}

}  // namespace sinq::test
