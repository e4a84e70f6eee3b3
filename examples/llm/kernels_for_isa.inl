// Included by kernels.cpp once per instruction set, with
//   LLM_NAMESPACE  a name for this set
//   LLM_TARGET     the attribute each function carries
//   LLM_LANES      floats per vector
//   LLM_ROWS       rows of x that one tile of the product holds in registers, 32 outputs wide

namespace llm::LLM_NAMESPACE {
namespace {

constexpr Index kLanes = LLM_LANES;
using Floats = float __attribute__((vector_size(LLM_LANES * sizeof(float))));
using Ints = std::int32_t __attribute__((vector_size(LLM_LANES * sizeof(float))));

LLM_TARGET inline Floats load(const float* p) {
  Floats v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

LLM_TARGET inline void store(float* p, Floats v) { std::memcpy(p, &v, sizeof v); }

LLM_TARGET inline float sum(Floats v) {
  float total = 0.0F;
  for (Index i = 0; i < kLanes; ++i) total += v[i];
  return total;
}

LLM_TARGET inline float maximum(const float* p, Index count) {
  float best = p[0];
  Index i = 0;
  if (count >= kLanes) {
    Floats most = load(p);
    for (i = kLanes; i + kLanes <= count; i += kLanes) {
      const Floats v = load(p + i);
      most = v > most ? v : most;
    }
    for (Index lane = 0; lane < kLanes; ++lane) best = std::max(best, most[lane]);
  }
  for (; i < count; ++i) best = std::max(best, p[i]);
  return best;
}

/// e^x within 2 ulp for x in [-87, 88]; what lies outside counts as the nearer end (1.6e-38 and 1.7e38).
LLM_TARGET inline Floats exponential(Floats x) {
  // x = n ln 2 + r; adding 1.5 * 2^23 leaves n in the low mantissa bits.
  constexpr float kShift = 12582912.0F;
  const Floats low = Floats{} - 87.0F;
  const Floats high = Floats{} + 88.0F;
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Floats shifted = x * 1.44269504F + kShift;
  const Floats n = shifted - kShift;
  const Floats r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  // Degree 6 polynomial of e^r on [-ln2/2, ln2/2] (Cephes expf).
  Floats p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  Ints bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  Ints result;
  std::memcpy(&result, &p, sizeof result);
  result += bits << 23;
  std::memcpy(&p, &result, sizeof p);
  return p;
}

/// The last count < kLanes values at `p`, the rest filled with `fill`.
LLM_TARGET inline Floats load_tail(const float* p, Index count, float fill) {
  float buffer[kLanes];
  std::fill(buffer, buffer + kLanes, fill);
  std::copy(p, p + count, buffer);
  return load(buffer);
}

/// kRows rows of x times one panel: y [kRows, 32], added to what is there if kAdd.
template <int kRows, bool kAdd>
LLM_TARGET void tile(const float* panel, Index inputs, const float* x, Index x_stride, float* y, Index y_stride) {
  // Eight vectors of four lanes per panel would not fit the registers beside the rows: go over the panel in strips.
  constexpr int kVectors = kLanes == 16 ? 2 : kLanes == 8 ? 4 : 2;
  for (Index strip = 0; strip < PackedMatrix::kPanel; strip += kVectors * kLanes) {
    Floats total[std::size_t{kRows}][kVectors];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) total[r][v] = Floats{};
    }
    const float* w = panel + strip;
    for (Index i = 0; i < inputs; ++i, w += PackedMatrix::kPanel) {
      Floats weights[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) weights[v] = load(w + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const float value = x[r * x_stride + i];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) total[r][v] += weights[v] * value;
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        float* out = y + r * y_stride + strip + v * kLanes;
        store(out, kAdd ? load(out) + total[r][v] : total[r][v]);
      }
    }
  }
}

template <bool kAdd>
LLM_TARGET void tiles(const float* panel, Index inputs, const float* x, Index x_stride, Index rows, float* y,
                      Index y_stride) {
  Index r = 0;
  for (; r + LLM_ROWS <= rows; r += LLM_ROWS) {
    tile<LLM_ROWS, kAdd>(panel, inputs, x + r * x_stride, x_stride, y + r * y_stride, y_stride);
  }
  for (; r + 2 <= rows; r += 2) {
    tile<2, kAdd>(panel, inputs, x + r * x_stride, x_stride, y + r * y_stride, y_stride);
  }
  for (; r < rows; ++r) tile<1, kAdd>(panel, inputs, x + r * x_stride, x_stride, y + r * y_stride, y_stride);
}

LLM_TARGET void multiply(const PackedMatrix& w, Index outputs, Index inputs, const float* x, Index x_stride, Index rows,
                         float* y, Index y_stride) {
  // 256 inputs of a panel are 32 KiB and stay in the first cache while all rows pass.
  constexpr Index kInputBlock = 256;
  constexpr Index kRowBlock = 48;
  for (Index i = 0; i == 0 || i < inputs; i += kInputBlock) {
    const Index block = std::min(kInputBlock, inputs - i);
    for (Index o = 0; o < outputs; o += PackedMatrix::kPanel) {
      const float* panel = w.panel(o / PackedMatrix::kPanel) + i * PackedMatrix::kPanel;
      if (o + PackedMatrix::kPanel <= outputs) {
        if (i == 0) {
          tiles<false>(panel, block, x + i, x_stride, rows, y + o, y_stride);
        } else {
          tiles<true>(panel, block, x + i, x_stride, rows, y + o, y_stride);
        }
        continue;
      }
      // The last panel may be wider than y: through a buffer.
      float buffer[kRowBlock * PackedMatrix::kPanel];
      for (Index r = 0; r < rows; r += kRowBlock) {
        const Index count = std::min(kRowBlock, rows - r);
        tiles<false>(panel, block, x + r * x_stride + i, x_stride, count, buffer, PackedMatrix::kPanel);
        for (Index k = 0; k < count; ++k) {
          for (Index c = 0; c < outputs - o; ++c) {
            float& out = y[(r + k) * y_stride + o + c];
            out = buffer[k * PackedMatrix::kPanel + c] + (i == 0 ? 0.0F : out);
          }
        }
      }
    }
  }
}

LLM_TARGET void softmax(float* scores, Index count, float scale) {
  const float most = maximum(scores, count) * scale;
  Floats totals{};
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Floats e = exponential(load(scores + i) * scale - most);
    store(scores + i, e);
    totals += e;
  }
  float total = sum(totals);
  if (i < count) {
    const Floats e = exponential(load_tail(scores + i, count - i, 0.0F) * scale - most);
    for (Index k = 0; i + k < count; ++k) {
      scores[i + k] = e[k];
      total += e[k];
    }
  }
  const float inverse = 1.0F / total;
  for (i = 0; i < count; ++i) scores[i] *= inverse;
}

LLM_TARGET void swiglu(float* gate, const float* up, Index count) {
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Floats g = load(gate + i);
    store(gate + i, g / (1.0F + exponential(-g)) * load(up + i));
  }
  if (i < count) {
    const Floats g = load_tail(gate + i, count - i, 0.0F);
    const Floats y = g / (1.0F + exponential(-g));
    for (Index k = 0; i + k < count; ++k) gate[i + k] = y[k] * up[i + k];
  }
}

/// Beyond this the exponential of a difference to the maximum is nothing.
constexpr float kNothing = -1e30F;

LLM_TARGET double log_sum_exp(const float* logits, Index count) {
  const float most = maximum(logits, count);
  Floats totals{};
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes) totals += exponential(load(logits + i) - most);
  if (i < count) totals += exponential(load_tail(logits + i, count - i, kNothing) - most);
  return static_cast<double>(most) + std::log(static_cast<double>(sum(totals)));
}

LLM_TARGET LogitSums compare_logits(const float* baseline, const float* logits, Index count) {
  const float most_a = maximum(baseline, count);
  const float most_b = maximum(logits, count);
  Floats sum_a{}, sum_b{}, weighted{};
  const auto add = [&](Floats a, Floats b) LLM_TARGET {
    a -= most_a;
    b -= most_b;
    const Floats e = exponential(a);
    sum_a += e;
    sum_b += exponential(b);
    weighted += e * (a - b);
  };
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes) add(load(baseline + i), load(logits + i));
  if (i < count) add(load_tail(baseline + i, count - i, kNothing), load_tail(logits + i, count - i, kNothing));
  // KL = sum p (a - b) - log sum e^a + log sum e^b, all relative to the maxima.
  const double total_a = static_cast<double>(sum(sum_a));
  const double log_a = std::log(total_a);
  const double log_b = std::log(static_cast<double>(sum(sum_b)));
  return {.log_sum_exp = static_cast<double>(most_b) + log_b,
          .baseline_log_sum_exp = static_cast<double>(most_a) + log_a,
          .divergence = static_cast<double>(sum(weighted)) / total_a - log_a + log_b};
}

constexpr Kernels kKernels{multiply, softmax, swiglu, log_sum_exp, compare_logits};

}  // namespace
}  // namespace llm::LLM_NAMESPACE

#undef LLM_NAMESPACE
#undef LLM_TARGET
#undef LLM_LANES
#undef LLM_ROWS
