#pragma once

#include <sinq/matrix_view.hpp>

#include "generators.hpp"

namespace sinq::test {

inline MatrixView view(const TestMatrix& w) { return MatrixView::row_major(w.values.data(), w.rows, w.cols); }

}  // namespace sinq::test
