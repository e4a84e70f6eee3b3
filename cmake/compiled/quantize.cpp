// The pipeline, Sinkhorn, and quantizers that do not search.
#define SINQ_BODIES_QUANTIZE 1
#include <sinq/quantize.hpp>
#include <sinq/quantizers/codebook.hpp>
#include <sinq/quantizers/hqq.hpp>
