// Quantizers that search.
#define SINQ_BODIES_SEARCH 1
#include <sinq/quantizers/fitted.hpp>
#include <sinq/quantizers/learned_codebook.hpp>
#include <sinq/quantizers/vector_codebook.hpp>
