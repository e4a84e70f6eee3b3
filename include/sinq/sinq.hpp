#pragma once

/// The whole method, from matrix to packed codes and back: quantize, dequantize, measure_error and the kernels that run
/// packed weights. Needs Eigen; `run.hpp` is enough for an engine that only runs them.

#include <sinq/any_config.hpp>
#include <sinq/config.hpp>
#include <sinq/dequantize.hpp>
#include <sinq/eigen.hpp>
#include <sinq/measure_error.hpp>
#include <sinq/normalize/balance.hpp>
#include <sinq/normalize/imbalance.hpp>
#include <sinq/presets.hpp>
#include <sinq/quantize.hpp>
#include <sinq/quantized_matrix.hpp>
#include <sinq/quantizers/codebook.hpp>
#include <sinq/quantizers/fitted.hpp>
#include <sinq/quantizers/fp4.hpp>
#include <sinq/quantizers/hqq.hpp>
#include <sinq/quantizers/learned_codebook.hpp>
#include <sinq/quantizers/nf3.hpp>
#include <sinq/quantizers/nf4.hpp>
#include <sinq/quantizers/ternary.hpp>
#include <sinq/quantizers/uniform.hpp>
#include <sinq/run.hpp>
#include <sinq/version.hpp>
