#pragma once

#include <sinq/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>

namespace sinq::test {

/// Every value is finite.
template <class Range>
testing::AssertionResult all_finite(const Range& values) {
  std::size_t i = 0;
  for (const auto x : values) {
    if (!std::isfinite(x)) return testing::AssertionFailure() << "value " << i << " is " << x;
    ++i;
  }
  return testing::AssertionSuccess();
}

/// Same length, same bytes.
template <class A, class B>
testing::AssertionResult same_bytes(const A& a, const B& b) {
  static_assert(sizeof(*std::data(a)) == sizeof(*std::data(b)));
  if (std::size(a) != std::size(b)) {
    return testing::AssertionFailure() << std::size(a) << " values against " << std::size(b);
  }
  constexpr std::size_t kSize = sizeof(*std::data(a));
  for (std::size_t i = 0; i < std::size(a); ++i) {
    if (std::memcmp(std::data(a) + i, std::data(b) + i, kSize) != 0) {
      return testing::AssertionFailure() << "the first of the differences is at " << i;
    }
  }
  return testing::AssertionSuccess();
}

/// |actual - expected| <= relative * |expected| + absolute everywhere; equal infinities agree, NaN agrees with nothing.
template <class A, class B>
testing::AssertionResult all_near(const A& actual, const B& expected, double relative, double absolute = 0.0) {
  if (std::size(actual) != std::size(expected)) {
    return testing::AssertionFailure() << std::size(actual) << " values against " << std::size(expected);
  }
  for (std::size_t i = 0; i < std::size(actual); ++i) {
    const auto a = static_cast<double>(std::data(actual)[i]);
    const auto e = static_cast<double>(std::data(expected)[i]);
    if (a == e) continue;
    if (!(std::abs(a - e) <= relative * std::abs(e) + absolute)) {
      return testing::AssertionFailure() << "value " << i << " is " << a << " instead of " << e << ", off by "
                                         << std::abs(a - e);
    }
  }
  return testing::AssertionSuccess();
}

/// `f` throws sinq::Error with this code and a text that holds all the parts: field, value and rule.
template <class F>
testing::AssertionResult throws_error(Errc code, std::initializer_list<std::string_view> parts, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    const std::string what = e.what();
    if (e.code() != code) {
      return testing::AssertionFailure() << "code " << static_cast<int>(e.code()) << " instead of "
                                         << static_cast<int>(code) << ": " << what;
    }
    for (const std::string_view part : parts) {
      if (what.find(part) == std::string::npos) {
        return testing::AssertionFailure() << "\"" << what << "\" does not say \"" << part << "\"";
      }
    }
    return testing::AssertionSuccess();
  } catch (const std::exception& e) {
    return testing::AssertionFailure() << "another exception: " << e.what();
  }
  return testing::AssertionFailure() << "nothing was thrown";
}

}  // namespace sinq::test
