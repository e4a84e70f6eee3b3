// dequantize, repack, and activations before they are multiplied.
#define SINQ_BODIES_RUN 1
#include <sinq/dequantize.hpp>
#include <sinq/kernels/repack.hpp>
#include <sinq/kernels/scaled_input.hpp>
