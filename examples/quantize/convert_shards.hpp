#pragma once

#include "quantize/conversion_plan.hpp"
#include "quantize/quantize_tensor.hpp"
#include "quantize/work_folder.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace convert {

/// Makes shards of the plan (by position) in the work folder: several tensors at once, on `threads` threads (0: all),
/// as many as keep memory within twice the largest tensor of the checkpoint and 100 MB. The same bytes for every number
/// of threads. Shows progress on stderr. Throws what write_tensor throws; shards finished before that stay.
void convert_shards(const ConversionPlan& plan, const std::vector<std::size_t>& shards, const WorkFolder& work,
                    Errors errors, int threads);

}  // namespace convert
