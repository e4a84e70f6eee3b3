#pragma once

#include <sinq/error.hpp>

#include <gtest/gtest.h>

#include <string>

namespace sinq::test {

using namespace fold;

/// That `call` throws an Error of that code whose text holds `part`.
template <class Call>
void expect_error(Call&& call, Errc code, const std::string& part) {
  try {
    call();
    ADD_FAILURE() << "no error about " << part;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.what();
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

}  // namespace sinq::test
