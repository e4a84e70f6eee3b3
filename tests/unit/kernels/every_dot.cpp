#include "every_dot.hpp"

#include <sinq/kernels/trellis_rows.hpp>
#include <sinq/kernels/vector_codes.hpp>

namespace sinq::test {

namespace {

template <class F>
void with_tag(DotKind kind, F f) {
  switch (kind) {
#if SINQ_X86
    case DotKind::kAvx2:
      return f(isa::Avx2{});
    case DotKind::kAvx512:
      return f(isa::Avx512{});
    case DotKind::kAvx512Vnni:
      return f(isa::Avx512Vnni{});
#endif
#if SINQ_NEON
    case DotKind::kNeon:
      return f(isa::Neon{});
#if SINQ_NEON_DOT
    case DotKind::kNeonDot:
      return f(isa::NeonDot{});
#endif
#endif
    default:
      return f(isa::Portable{});
  }
}

template <class View>
void run_matvec(DotKind kind, const View& w, const ScaledInput& x, RowRange rows, const detail::ResultView& result) {
  with_tag(kind, [&](auto tag) {
    using Tag = decltype(tag);
    if constexpr (std::is_same_v<View, RepackedView>) {
      if (w.layout().vector_dim != 1) return detail::vector_rows<Tag>(w, x, rows, result);
    } else {
      if (detail::TrellisCodes::holds(w.layout())) return detail::trellis_rows<Tag>(w, x, rows, result);
    }
    detail::matvec_rows<Tag>(w, x, rows, result);
  });
}

template <class View>
void run_matmul(DotKind kind, const View& w, const ScaledInput& x, RowRange rows, const detail::ResultView& result) {
  with_tag(kind, [&](auto tag) {
    using Tag = decltype(tag);
    if constexpr (std::is_same_v<View, RepackedView>) {
      if (w.layout().vector_dim != 1) return detail::vector_rows<Tag>(w, x, rows, result);
    } else {
      if (detail::TrellisCodes::holds(w.layout())) return detail::trellis_rows<Tag>(w, x, rows, result);
    }
    detail::matmul_rows<Tag, detail::Dot<Tag>::kBatchTile>(w, x, rows, result);
  });
}

}  // namespace

std::vector<DotKind> supported_dots() {
  std::vector<DotKind> out = {DotKind::kPortable};
  if (supported(Isa::kNeon)) out.push_back(DotKind::kNeon);
  if (detail::supports_neon_dot()) out.push_back(DotKind::kNeonDot);
  if (supported(Isa::kAvx2)) out.push_back(DotKind::kAvx2);
  if (supported(Isa::kAvx512)) out.push_back(DotKind::kAvx512);
  if (detail::supports_vnni()) out.push_back(DotKind::kAvx512Vnni);
  return out;
}

std::string_view name(DotKind kind) {
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

void matvec_with(DotKind kind, const QuantizedView& w, const ScaledInput& x, RowRange rows,
                 const detail::ResultView& result) {
  run_matvec(kind, w, x, rows, result);
}
void matvec_with(DotKind kind, const RepackedView& w, const ScaledInput& x, RowRange rows,
                 const detail::ResultView& result) {
  run_matvec(kind, w, x, rows, result);
}
void matmul_with(DotKind kind, const QuantizedView& w, const ScaledInput& x, RowRange rows,
                 const detail::ResultView& result) {
  run_matmul(kind, w, x, rows, result);
}
void matmul_with(DotKind kind, const RepackedView& w, const ScaledInput& x, RowRange rows,
                 const detail::ResultView& result) {
  run_matmul(kind, w, x, rows, result);
}

}  // namespace sinq::test
