#pragma once

/// What a program needs that only runs quantized matrices: container, dequantization and kernels, on the standard
/// library alone.

#include <sinq/dequantize.hpp>
#include <sinq/executor.hpp>
#include <sinq/kernels/matmul.hpp>
#include <sinq/kernels/matvec.hpp>
#include <sinq/kernels/repack.hpp>
#include <sinq/kernels/scaled_input.hpp>
#include <sinq/quantized_matrix.hpp>
#include <sinq/version.hpp>
