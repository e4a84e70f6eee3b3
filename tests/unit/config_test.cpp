#include <sinq/config.hpp>
#include <sinq/quantizers/hqq.hpp>
#include <sinq/quantizers/nf4.hpp>

#include "support/matchers.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <string>

namespace {

using sinq::Codebook;
using sinq::Config;
using sinq::Errc;
using sinq::Hqq;
using sinq::Identity;
using sinq::Index;
using sinq::Sinkhorn;
using sinq::Uniform;
using sinq::test::throws_error;

/// A user's quantizer whose format can be made wrong.
struct Custom {
  sinq::CodeFormat description{.bits = 2};
  void validate() const {}
  [[nodiscard]] sinq::CodeFormat format() const { return description; }
  [[nodiscard]] sinq::GroupFit fit(std::span<const float>) const { return {}; }
};

TEST(ConfigTest, DefaultsAreFourBitsInGroupsOf64) {
  const Config<> config;
  EXPECT_EQ(config.quantizer.bits, 4);
  EXPECT_EQ(config.group_size, 64);
  EXPECT_EQ(config.tile_cols, 0);
  EXPECT_EQ(config.tiling, sinq::Tiling::kColumns);
  EXPECT_EQ(config.aux, sinq::AuxFormat::kF16);
  EXPECT_EQ(config.thresholds, sinq::Thresholds::kRelative);
  EXPECT_EQ(config.kurtosis_gate, 0.0F) << "no gate";
  EXPECT_EQ(config.ragged, sinq::RaggedTile::kKeep);
  EXPECT_EQ(config.codes_against, sinq::CodesAgainst::kStored);
  EXPECT_EQ(config.input_rounding, sinq::InputRounding::kNone);
  EXPECT_NO_THROW(validate(config));
}

TEST(ConfigTest, DesignatedInitialisersNameWhatDiffers) {
  const Config<> config{.quantizer = {.bits = 3}, .group_size = 128};
  EXPECT_EQ(config.quantizer.bits, 3);
  EXPECT_EQ(config.normalizer, Sinkhorn{});
  const Config<Codebook> nf4{.quantizer = sinq::codebooks::kNf4};
  EXPECT_NO_THROW(validate(nf4));
  EXPECT_NE(config, Config<>{});
  EXPECT_EQ(Config<>{}, Config<>{});
}

TEST(ConfigTest, RefusesBadFields) {
  struct Bad {
    const char* field;
    const char* value;
    const char* rule;
    void (*spoil)(Config<>&);
  };
  const Bad all[] = {
      {"group_size", "0", "positive", [](Config<>& c) { c.group_size = 0; }},
      {"group_size", "-64", "positive", [](Config<>& c) { c.group_size = -64; }},
      {"group_size", "44", "multiple of 8", [](Config<>& c) { c.group_size = 44; }},
      {"group_size", "2199023255552", "2^40", [](Config<>& c) { c.group_size = Index{1} << 41; }},
      {"tile_cols", "32", "multiple of group_size 64", [](Config<>& c) { c.tile_cols = 32; }},
      {"tile_cols", "-64", "multiple of group_size 64", [](Config<>& c) { c.tile_cols = -64; }},
      {"kurtosis_gate", "-1", "positive", [](Config<>& c) { c.kurtosis_gate = -1.0F; }},
      {"kurtosis_gate", "nan", "positive", [](Config<>& c) { c.kurtosis_gate = std::nanf(""); }},
      {"bits", "0", "1..8", [](Config<>& c) { c.quantizer.bits = 0; }},
      {"bits", "9", "1..8", [](Config<>& c) { c.quantizer.bits = 9; }},
      {"iterations", "-1", "0..10000", [](Config<>& c) { c.normalizer.iterations = -1; }},
  };
  for (const Bad& bad : all) {
    Config<> config;
    bad.spoil(config);
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {bad.field, bad.value, bad.rule}, [&] { validate(config); }));
  }
}

TEST(ConfigTest, RefusesBadFormatsOfUsersQuantizers) {
  static constexpr std::array<float, 4> kGood{-1.0F, 0.0F, 1.0F, 2.0F};
  static constexpr std::array<float, 4> kUnsorted{-1.0F, 1.0F, 0.0F, 2.0F};
  static const std::array<float, 4> infinite{-1.0F, 0.0F, 1.0F, HUGE_VALF};
  const auto refuses = [](const sinq::CodeFormat& format, std::initializer_list<std::string_view> parts) {
    return throws_error(Errc::kBadConfig, parts, [&] { validate(Config<Custom>{.quantizer = {format}}); });
  };
  EXPECT_NO_THROW(validate(Config<Custom>{.quantizer = {{.bits = 2, .levels = kGood}}}));
  EXPECT_TRUE(refuses({.bits = 0}, {"bits 0", "1..8"}));
  EXPECT_TRUE(refuses({.bits = 9}, {"bits 9", "1..8"}));
  EXPECT_TRUE(refuses({.bits = 3, .levels = kGood}, {"level_count 4", "2^bits", "3"}));
  EXPECT_TRUE(refuses({.bits = 2, .levels = kUnsorted}, {"level 2", "0", "ascending"}));
  EXPECT_TRUE(refuses({.bits = 2, .levels = infinite}, {"level 3", "inf", "finite"}));
}

TEST(ConfigTest, ReferenceCompatibleSetsEverySemantics) {
  const auto config = reference_compatible(Config<>{.quantizer = {.bits = 3}, .group_size = 128});
  EXPECT_EQ(config.quantizer.bits, 3) << "kept";
  EXPECT_EQ(config.group_size, 128) << "kept";
  EXPECT_EQ(config.thresholds, sinq::Thresholds::kAbsolute);
  EXPECT_EQ(config.kurtosis_gate, 5.0F);
  EXPECT_EQ(config.ragged, sinq::RaggedTile::kHalve);
  EXPECT_EQ(config.codes_against, sinq::CodesAgainst::kFitted);
  EXPECT_EQ(config.aux, sinq::AuxFormat::kF32);
  EXPECT_EQ(config.quantizer.zero_point, sinq::ZeroPoint::kInteger);
  EXPECT_EQ(config.quantizer.symmetric_range, sinq::SymmetricRange::kReference);
  EXPECT_EQ(config.quantizer.division, sinq::Division::kExact);
  EXPECT_EQ(config.normalizer.degenerate, sinq::DegenerateTiles::kAsReference);
  EXPECT_NO_THROW(validate(config));
  EXPECT_NO_THROW(validate(reference_compatible(Config<Hqq, Identity>{})));
  EXPECT_NO_THROW(validate(reference_compatible(Config<Custom, Identity>{})));
}

// FORMAT.md 4.1 and its examples.
TEST(ConfigTest, EffectiveGroupSizeHalves) {
  Config<> config = reference_compatible(Config<>{});
  EXPECT_EQ(effective_group_size(config, 128), 64);
  EXPECT_EQ(effective_group_size(config, 96), 32);
  config.group_size = 128;
  EXPECT_EQ(effective_group_size(config, 208), 16);
  EXPECT_EQ(effective_group_size(config, 192), 64);
  config.group_size = 64;
  for (const Index cols : {72, 100, 8, 1}) {
    EXPECT_TRUE(throws_error(Errc::kBadConfig, {"group_size 64", "cols " + std::to_string(cols), "kHalve"},
                             [&] { return effective_group_size(config, cols); }));
  }
  config.tiling = sinq::Tiling::kSquare;
  EXPECT_EQ(effective_group_size(config, 128), 64);
  EXPECT_TRUE(throws_error(Errc::kBadConfig, {"group_size 64", "cols 96"}, [&] {
    return effective_group_size(config, 96);
  })) << "squares are not halved";
  config.ragged = sinq::RaggedTile::kKeep;
  EXPECT_EQ(effective_group_size(config, 100), 64);
  EXPECT_EQ(effective_group_size(config, 1), 64) << "may exceed the columns";
}

}  // namespace
