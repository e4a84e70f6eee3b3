// Owners that were moved from are empty and can be used again: every type that owns memory, files among them.
#include <sinq/calibration/activation_stats.hpp>
#include <sinq/fold.hpp>
#include <sinq/io.hpp>
#include <sinq/kernels/matvec.hpp>
#include <sinq/kernels/repack.hpp>
#include <sinq/quantize.hpp>
#include <sinq/quantizers/learned_codebook.hpp>

#include "io_support.hpp"
#include "support/matchers.hpp"

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using sinq::Errc;
using sinq::Index;
using sinq::QuantizedMatrix;
using sinq::RepackedMatrix;
using sinq::test::throws_error;
using sinq_test::TemporaryFolder;

constexpr Index kRows = 32, kCols = 64;

const std::vector<float>& weights() {
  static const std::vector<float> out = [] {
    std::vector<float> w(static_cast<std::size_t>(kRows * kCols));
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = std::sin(static_cast<float>(i * i % 1009));
    return w;
  }();
  return out;
}
sinq::MatrixView matrix() { return sinq::MatrixView::row_major(weights().data(), kRows, kCols); }

/// Moves `from` into a new object and into another one, `other`; calls check(emptied) each time.
template <class T, class Check>
void moves_leave_nothing(T from, T other, Check check) {
  const T constructed(std::move(from));
  check(from);  // NOLINT(bugprone-use-after-move): what this is about
  T assigned(std::move(other));
  check(other);
  other = std::move(assigned);
  check(assigned);
  assigned = std::move(other);
  check(other);
}

TEST(MovedFrom, QuantizedAndRepackedMatricesAreEmpty) {
  const auto is_empty = [](const auto& m) {
    EXPECT_EQ(m.rows(), 0);
    EXPECT_EQ(m.cols(), 0);
    EXPECT_TRUE(m.storage().empty());
    EXPECT_TRUE(throws_error(Errc::kBadShape, {"rows 0"}, [&] { static_cast<void>(m.view()); }));
  };
  moves_leave_nothing(sinq::quantize(matrix()), sinq::quantize(matrix()), is_empty);
  const QuantizedMatrix q = sinq::quantize(matrix());
  moves_leave_nothing(sinq::repack(q), sinq::repack(q), is_empty);
}

TEST(MovedFrom, ScaledInputsAreAssignedAnew) {
  // Two inputs of different shape, tables and activations.
  const QuantizedMatrix q = sinq::quantize(matrix(), sinq::Config<sinq::LearnedCodebook>{});
  const QuantizedMatrix uniform = sinq::quantize(matrix());
  const RepackedMatrix plain = sinq::repack(uniform);
  const auto product = [](const auto& m, sinq::ScaledInput& input) {
    std::vector<float> y(kRows);
    sinq::matvec(m, input, {0, kRows}, y);
    return y;
  };
  const std::vector<float> x(weights().begin(), weights().begin() + kCols);
  sinq::ScaledInput fresh, used;
  fresh.assign(plain, x);
  const std::vector<float> expected = product(plain, fresh);
  used.assign(q, x);
  sinq::ScaledInput moved(std::move(used));
  EXPECT_EQ(used.batch(), 0);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(used.cols(), 0);
  EXPECT_EQ(used.planes(), 0);
  used.assign(plain, x);
  EXPECT_EQ(product(plain, used), expected);
  moved = std::move(used);
  used.assign(plain, x);  // as before: nothing may be taken for known
  EXPECT_EQ(product(plain, used), expected);
  EXPECT_EQ(product(plain, moved), expected);
  // Copies lie on an address of their own.
  std::vector<sinq::ScaledInput> copies(5, used);
  for (sinq::ScaledInput& copy : copies) EXPECT_EQ(product(plain, copy), expected);
}

TEST(MovedFrom, ActivationStatsAreOfNothing) {
  const auto stats = [] {
    sinq::ActivationStats out(kCols);
    out.add(matrix());
    return out;
  };
  moves_leave_nothing(stats(), stats(), [](sinq::ActivationStats& s) {
    EXPECT_EQ(s.cols(), 0);
    EXPECT_EQ(s.tokens(), 0);
    EXPECT_EQ(s.sample_count(), 0);
    EXPECT_TRUE(throws_error(Errc::kBadShape, {"columns"}, [&] { s.add(matrix()); }));
  });
}

TEST(MovedFrom, FilesHaveNothing) {
  const TemporaryFolder folder;
  const auto tensor = [&](const char* name) {
    const sinq::io::TensorData data{name, sinq::io::DType::kF32, {kRows, kCols}, std::as_bytes(std::span(weights()))};
    const auto path = folder.path() / (std::string(name) + ".safetensors");
    sinq::io::write_safetensors(path, std::span(&data, 1));
    return path;
  };
  const auto a = tensor("a"), b = tensor("b");
  moves_leave_nothing(sinq::io::MappedFile::open(a), sinq::io::MappedFile::open(b),
                      [](const sinq::io::MappedFile& file) { EXPECT_TRUE(file.bytes().empty()); });
  const auto file_a = sinq::io::SafetensorsFile::open(a);
  const sinq::io::TensorInfo info = file_a.tensors()[0];
  moves_leave_nothing(sinq::io::SafetensorsFile::open(a), sinq::io::SafetensorsFile::open(b),
                      [&](const sinq::io::SafetensorsFile& file) {
                        EXPECT_TRUE(file.tensors().empty());
                        EXPECT_EQ(file.find("a"), nullptr);
                        EXPECT_EQ(file.find("b"), nullptr);
                        EXPECT_TRUE(throws_error(Errc::kBadShape, {"not one of this file"},
                                                 [&] { static_cast<void>(file.bytes(info)); }));
                      });
  const auto of_file = [](const auto& path) {
    return sinq::io::Checkpoint::of_file(sinq::io::SafetensorsFile::open(path));
  };
  moves_leave_nothing(of_file(a), of_file(b), [](const sinq::io::Checkpoint& checkpoint) {
    EXPECT_TRUE(checkpoint.tensors().empty());
    EXPECT_TRUE(checkpoint.files().empty());
    EXPECT_EQ(checkpoint.find("a"), nullptr);
    EXPECT_EQ(checkpoint.find("b"), nullptr);
  });
  const std::string none = "{}";
  const auto reference = [&](const auto& path) {
    return sinq::io::ReferenceCheckpoint::from_memory(std::as_bytes(std::span(none)),
                                                      sinq::io::SafetensorsFile::open(path), "none");
  };
  moves_leave_nothing(reference(a), reference(b), [](const sinq::io::ReferenceCheckpoint& checkpoint) {
    EXPECT_TRUE(checkpoint.layers().empty());
    EXPECT_TRUE(checkpoint.plain_tensors().empty());
    EXPECT_TRUE(checkpoint.files().tensors().empty());
  });
}

TEST(MovedFrom, GgufFilesHaveNothing) {
  const TemporaryFolder folder;
  const auto written = [&](const char* name) {
    sinq::io::GgufMetadata metadata;
    metadata.add("name", std::string(name));
    sinq::io::GgufWriter writer(folder.path() / name,
                                plan_gguf(metadata, {{name, sinq::io::GgufType::kF32, {kRows, kCols}}}));
    writer.write(std::as_bytes(std::span(weights())));
    writer.commit();
    return sinq::io::GgufFile::open(folder.path() / name);
  };
  const sinq::io::GgufFile c = written("c");
  const sinq::io::GgufTensorInfo info = c.tensors()[0];
  moves_leave_nothing(written("a"), written("b"), [&](const sinq::io::GgufFile& file) {
    EXPECT_TRUE(file.tensors().empty());
    EXPECT_TRUE(file.metadata().entries().empty());
    EXPECT_FALSE(file.metadata().has("name"));
    EXPECT_EQ(file.find("a"), nullptr);
    EXPECT_TRUE(throws_error(Errc::kBadShape, {"not one of this file"}, [&] { static_cast<void>(file.bytes(info)); }));
  });
}

TEST(MovedFrom, FoldingsAreEmpty) {
  const auto plan = [] {
    const std::vector<sinq::fold::TensorShape> tensors{{"norm", {8}}, {"w", {20, 8}}};
    return sinq::fold::make_plan({{.channels = 8, .producers = {{"norm"}}, .consumers = {{"w"}}}}, tensors);
  };
  moves_leave_nothing(plan(), plan(), [](const sinq::fold::Plan& p) {
    EXPECT_TRUE(p.edges.empty());
    EXPECT_TRUE(p.shapes.empty());
  });
  const auto factors = [] {
    sinq::fold::FactorMap out;
    out.of("w").rows = {1.0, 2.0};
    return out;
  };
  moves_leave_nothing(factors(), factors(), [](const sinq::fold::FactorMap& map) { EXPECT_TRUE(map.empty()); });
}

}  // namespace
