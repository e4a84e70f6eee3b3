#pragma once

#include <sinq/detail/vector.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sinq::inline SINQ_ABI::io::detail {

/// nlohmann-json's types with an allocator of our own: their functions are then ours too (see detail/vector.hpp).
template <template <class, class, class...> class Object>
using BasicJson = nlohmann::basic_json<Object, std::vector, std::string, bool, std::int64_t, std::uint64_t, double,
                                       sinq::detail::Allocator>;
using Json = BasicJson<std::map>;
using OrderedJson = BasicJson<nlohmann::ordered_map>;

}  // namespace sinq::inline SINQ_ABI::io::detail
