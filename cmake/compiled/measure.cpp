// measure_error, balance, imbalance.
#define SINQ_BODIES_MEASURE 1
#include <sinq/measure_error.hpp>
#include <sinq/normalize/balance.hpp>
#include <sinq/normalize/imbalance.hpp>
