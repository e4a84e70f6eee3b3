#pragma once

#include <sinq/io.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/run.hpp>
#include <sinq/sinq.hpp>
#if __has_include(<sinq/calibration.hpp>)
#include <sinq/calibration.hpp>
#endif

#include <vector>

/// What both files offer; `make` in one and `decode` in the other.
struct Side {
  sinq::QuantizedMatrix (*make)(const sinq::MatrixView& w);
  std::vector<float> (*decode)(const sinq::QuantizedMatrix& q);
};

extern const Side kFirst;
extern const Side kSecond;
