// Interleaved vector codes.
#define SINQ_BODIES_VECTORS 1
#include <sinq/kernels/vector_codes.hpp>
