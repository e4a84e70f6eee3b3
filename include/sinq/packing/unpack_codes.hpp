#pragma once

#include <sinq/packing/code_layouts.hpp>
#include <sinq/packing/pack_rows.hpp>
#include <sinq/packing/trellis_decoder.hpp>

namespace sinq::inline SINQ_ABI::detail {

/// Stored rows and columns of any layout as one byte for each weight; see CodeLayout.
template <class Tag>
void unpack_codes(const Layout& layout, const CodeRegions& from, RowRange rows, ColRange cols, std::uint8_t* out,
                  Index stride) noexcept {
  with_codes(layout, [&](const auto& codes) { codes.template unpack<Tag>(from, rows, cols, out, stride); });
}

}  // namespace sinq::inline SINQ_ABI::detail
