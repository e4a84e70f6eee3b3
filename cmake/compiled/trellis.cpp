// The lane trellis.
#define SINQ_BODIES_TRELLIS 1
#include <sinq/kernels/trellis.hpp>
