#pragma once

#include <sinq/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

/// What libFuzzer and replay.cpp call, again and again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// Calls `read` with the input as bytes. A sinq::Error is a good answer; whatever else leaves `read` is a finding.
template <class Read>
int expect_error_or_success(const std::uint8_t* data, std::size_t size, const Read& read) {
  try {
    read(std::as_bytes(std::span(data, size)));
  } catch (const sinq::Error&) {
  }
  return 0;
}
