#pragma once

/// Folding of column scales into what produces a linear layer's input: the same model, easier to quantize. Needs no
/// more than the standard library.

#include <sinq/fold/folded_matrix.hpp>
#include <sinq/fold/presets.hpp>
#include <sinq/fold/random_factors.hpp>
#include <sinq/fold/rounding.hpp>
#include <sinq/fold/scales.hpp>
#include <sinq/fold/search.hpp>
