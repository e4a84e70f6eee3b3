#pragma once

/// Quantization that knows the inputs: statistics of activations, GPTQ and AWQ. Needs no more than the standard
/// library.

#include <sinq/calibration/activation_stats.hpp>
#include <sinq/calibration/awq.hpp>
#include <sinq/calibration/gptq.hpp>
