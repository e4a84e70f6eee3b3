// Quantizers that search, and what may be any of them.
#define SINQ_BODIES_SEARCH 1
#include <sinq/any_config.hpp>
#include <sinq/presets.hpp>
#include <sinq/quantizers/fitted.hpp>
#include <sinq/quantizers/learned_codebook.hpp>
#include <sinq/quantizers/trellis.hpp>

namespace sinq::inline SINQ_ABI::detail {

template Layout run_panels<TrellisEncoder>(const QuantizeCall&, const Layout&, std::span<std::byte>);
template QuantizedView quantize_any_into<AnyConfig>(const MatrixView&, const AnyConfig&, std::span<std::byte>,
                                                    const QuantizeOptions&, const ExecutorRef&);
template QuantizedMatrix quantize_any<AnyConfig>(const MatrixView&, const AnyConfig&, const QuantizeOptions&,
                                                 const ExecutorRef&);

}  // namespace sinq::inline SINQ_ABI::detail

template std::vector<sinq::presets::Recipe> sinq::presets::recipes<sinq::AnyConfig>();
template sinq::AnyConfig sinq::presets::accurate<sinq::presets::Budget>(Budget, std::span<const Shape>);
