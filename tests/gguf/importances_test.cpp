#include "gguf/importances.hpp"

#include "gguf/column_importance.hpp"
#include "gguf/convert.hpp"
#include "gguf_models.hpp"
#include "unit/io/gguf_bytes.hpp"
#include "unit/io/io_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>

namespace gguf::test {
namespace {

using sinq::io::GgufTensorInfo;
using sinq_test::content_of;
using sinq_test::expect_error;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Means = std::map<std::string, std::vector<float>>;

std::filesystem::path write_imatrix(const TemporaryFolder& folder, const Means& means) {
  sinq_test::GgufBytes out;
  out.number(static_cast<std::int32_t>(means.size()));
  for (const auto& [name, values] : means) {
    out.number(static_cast<std::int32_t>(name.size())).raw(name).number(std::int32_t{1});
    out.number(static_cast<std::int32_t>(values.size()));
    for (const float value : values) out.number(value);
  }
  out.number(std::int32_t{5}).number(std::int32_t{5}).raw("a.txt");
  const auto path = folder.path() / "i.dat";
  llm::test::write_text(path, out.bytes());
  return path;
}

TEST(ColumnImportance, ZerosAreNeutral) {
  EXPECT_THAT(importance_of({}), IsEmpty());
  EXPECT_THAT(importance_of(std::vector<double>{0.0, 0.0}), IsEmpty());
  EXPECT_THAT(importance_of(std::vector<double>{8.0, 0.0, 4.0}), ElementsAre(1.0F, 0.75F, 0.5F));
  // In any unit, beyond what float holds too.
  EXPECT_THAT(importance_of(std::vector<double>{3e100, 1e100, 0.0}),
              ElementsAre(testing::FloatNear(1.65F, 0.4F), testing::_, testing::_));
  EXPECT_TRUE(std::isfinite(importance_of(std::vector<double>{1e-300, 1e300})[0]));
}

TEST(Importances, AnImatrixIsOfEachExpertItsOwn) {
  const TemporaryFolder folder("importances");
  std::vector<float> experts(3 * 32, 0.0F), plain(32, 2.0F);
  for (std::size_t i = 0; i < 32; ++i) experts[i] = i == 5 ? 0.0F : 1.0F;  // of the first; the second was never used
  for (std::size_t i = 64; i < 96; ++i) experts[i] = i == 70 ? 4.0F : 1.0F;
  const std::vector<GgufTensorInfo> tensors{{"blk.0.ffn_up_exps.weight", GgufType::kQ4_0, {3, 8, 32}},
                                            {"blk.0.attn_q.weight", GgufType::kQ4_0, {8, 32}},
                                            {"blk.0.attn_k.weight", GgufType::kQ4_0, {8, 32}},
                                            {"blk.0.attn_v.weight", GgufType::kF16, {8, 32}},
                                            {"blk.0.attn_norm.weight", GgufType::kF32, {32}}};
  const auto file =
      write_imatrix(folder, {{"blk.0.ffn_up_exps.weight", experts}, {"blk.0.attn_q.weight", plain}, {"other", {1.0F}}});
  const Importances importances({.importance = Importance::kImatrix, .imatrix = file}, tensors);
  const auto of = [&](std::size_t tensor, Index index) {
    return importances.of(tensors[tensor], index, {}, {}, nullptr);
  };
  EXPECT_THAT(of(0, 0), testing::Each(1.0F)) << "a zero weighs as the others";
  EXPECT_THAT(of(0, 1), IsEmpty());
  const auto third = of(0, 2);
  EXPECT_EQ(third[6], 1.0F);
  EXPECT_EQ(third[7], 0.25F);
  EXPECT_THAT(of(1, 0), testing::Each(1.0F));
  EXPECT_THAT(of(2, 0), IsEmpty());
  EXPECT_THAT(of(3, 0), IsEmpty()) << "no blocks";
  EXPECT_THAT(
      importances.notes(),
      ElementsAre("imatrix: 1 tensors have no entry, their columns weigh alike: blk.0.attn_k.weight",
                  "imatrix: 1 of 4 matrices were never used, their columns weigh alike: blk.0.ffn_up_exps.weight",
                  "imatrix: 1 columns of other matrices are zero, they weigh as the others of their matrix on average",
                  "imatrix: 1 entries are of tensors that this model does not have"));
  sinq::io::GgufMetadata metadata;
  importances.describe(metadata);
  EXPECT_EQ(metadata.get<std::string>("quantize.imatrix.file"), file.string());
  EXPECT_EQ(metadata.get<std::string>("quantize.imatrix.dataset"), "a.txt");
  EXPECT_EQ(metadata.get<std::uint32_t>("quantize.imatrix.entries_count"), 3U);
  EXPECT_EQ(metadata.get<std::uint32_t>("quantize.imatrix.chunks_count"), 5U);
  // Folded columns: their inputs are divided by what the columns are multiplied with.
  sinq::fold::Factors factors;
  factors.cols.assign(32, 2.0);
  EXPECT_THAT(importances.of(tensors[1], 0, {}, {}, &factors), testing::Each(0.25F));
}

TEST(Importances, AnImatrixOfAnotherModelIsRefused) {
  const TemporaryFolder folder("importances_other");
  const std::vector<GgufTensorInfo> tensors{{"blk.0.attn_q.weight", GgufType::kQ4_0, {8, 32}}};
  const auto refuse = [&](const Means& means, auto... parts) {
    const auto file = write_imatrix(folder, means);
    expect_error(
        sinq::Errc::kBadFile,
        [&] { static_cast<void>(Importances({.importance = Importance::kImatrix, .imatrix = file}, tensors)); },
        "i.dat: ", parts...);
  };
  refuse({{"blk.0.attn_q.weight", std::vector<float>(64, 1.0F)}}, "tensor 'blk.0.attn_q.weight': 64 values",
         "1 matrices of 32 columns");
  refuse({{"blk.9.attn_q.weight", std::vector<float>(32, 1.0F)}}, "none of its 1 entries");
}

TEST(Importances, AnImatrixChangesWhatIsWritten) {
  const TemporaryFolder folder("importances_write");
  const auto model = folder.path() / "f32.gguf";
  Conversion({.model = embedded_model(), .type = GgufType::kF32}).write(model);
  std::vector<float> means(128, 1.0F);
  for (std::size_t i = 0; i < means.size(); i += 3) means[i] = 100.0F;
  const auto written = [&](const std::filesystem::path& from, const Means& entries) {
    const auto out = folder.path() / "out.gguf";
    ConvertOptions options{.model = from, .type = GgufType::kQ4_0};
    if (!entries.empty()) {
      options.importance = Importance::kImatrix;
      options.imatrix = write_imatrix(folder, entries);
    }
    Conversion(options).write(out);
    const auto file = sinq::io::GgufFile::open(out);
    const auto bytes = file.bytes(file.at("blk.1.attn_q.weight"));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  const auto plain = written(model, {});
  const auto weighed = written(model, {{"blk.1.attn_q.weight", means}});
  EXPECT_NE(plain, weighed);
  EXPECT_EQ(written(model, {{"blk.2.attn_q.weight", means}}), plain);
  EXPECT_EQ(written(model, {{"blk.1.attn_q.weight", std::vector<float>(128, 8.0F)}, {"blk.2.attn_q.weight", means}}),
            plain)
      << "all alike is no importance";
  EXPECT_EQ(written(model, {{"blk.1.attn_q.weight", std::vector<float>(128, 0.0F)}}), plain);
  EXPECT_EQ(written(embedded_model(), {{"blk.1.attn_q.weight", means}}), weighed) << "folders are weighed likewise";
}

}  // namespace
}  // namespace gguf::test
