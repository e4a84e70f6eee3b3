#include <sinq/io/memory_size.hpp>

#include "io_support.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace {

using sinq::io::detail::memory_size;

TEST(MemorySize, KeepsWhatFitsAndNamesWhatDoesNot) {
  EXPECT_EQ(memory_size<std::uint32_t>(0xffffffffU), 0xffffffffU);
  sinq_test::expect_error(
      sinq::Errc::kUnsupported, [] { static_cast<void>(memory_size<std::uint32_t>(std::uint64_t{1} << 32)); },
      "4294967296 bytes are more than this machine can address");
  EXPECT_EQ(memory_size<std::uint64_t>(std::uint64_t{1} << 40), std::uint64_t{1} << 40);
}

}  // namespace
