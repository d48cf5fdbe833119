// What PyTorch does slowly in bfloat16 on a processor: group normalisation (four to eight times as long as the convolutions around it),
// attention of few tokens (made for long sequences; here they are 8 frames or 64 pixels at the most, with heads of 32 channels) and the
// gated GELU. Sums are float32; every function has its gradient beside it.
#include <torch/extension.h>
#include <cmath>
#include <vector>

namespace {

using bf16 = uint16_t;
constexpr int D = 32;  // channels of a head

inline float wide(bf16 x) {
  uint32_t bits = uint32_t(x) << 16;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

inline bf16 narrow(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bf16((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

const bf16* data(const torch::Tensor& x) {
  TORCH_CHECK(x.is_contiguous() && x.scalar_type() == torch::kBFloat16, "values have to be contiguous bfloat16");
  return reinterpret_cast<const bf16*>(x.const_data_ptr());
}

bf16* target(torch::Tensor& x) { return reinterpret_cast<bf16*>(x.data_ptr()); }

struct Rows {
  int64_t n, l, c, groups, width;
  Rows(const torch::Tensor& x, int64_t groups) : n(x.size(0)), l(x.size(1)), c(x.size(2)), groups(groups), width(c / groups) {}
};

// Rows of one head; S tokens.
template <int S>
struct Head {
  alignas(64) float rows[S][D];
  alignas(64) float columns[D][S];

  void load(const bf16* from, int64_t stride) {
    for (int i = 0; i < S; i++)
      for (int d = 0; d < D; d++) rows[i][d] = wide(from[i * stride + d]);
  }
  void turn() {
    for (int d = 0; d < D; d++)
      for (int i = 0; i < S; i++) columns[d][i] = rows[i][d];
  }
  void clear() {
    for (int i = 0; i < S; i++)
      for (int d = 0; d < D; d++) rows[i][d] = 0;
  }
  void store(bf16* to, int64_t stride) const {
    for (int i = 0; i < S; i++)
      for (int d = 0; d < D; d++) to[i * stride + d] = narrow(rows[i][d]);
  }
  // out[j] = row . rows[j]
  void against(const float* row, float* out) const {
    float sum[S];
    for (int j = 0; j < S; j++) sum[j] = 0;
    for (int d = 0; d < D; d++)
      for (int j = 0; j < S; j++) sum[j] += row[d] * columns[d][j];
    for (int j = 0; j < S; j++) out[j] = sum[j];
  }
  // out = sum of weights[j] rows[j]
  void mix(const float* weights, float* out) const {
    float sum[D];
    for (int d = 0; d < D; d++) sum[d] = 0;
    for (int j = 0; j < S; j++)
      for (int d = 0; d < D; d++) sum[d] += weights[j] * rows[j][d];
    for (int d = 0; d < D; d++) out[d] = sum[d];
  }
  // rows[j] += weights[j] row
  void spread(const float* weights, const float* row) {
    for (int j = 0; j < S; j++)
      for (int d = 0; d < D; d++) rows[j][d] += weights[j] * row[d];
  }
};

template <int S>
void softmax(float* s, float scale) {
  float most = s[0], total = 0;
  for (int j = 1; j < S; j++) most = std::max(most, s[j]);
  for (int j = 0; j < S; j++) total += s[j] = std::exp((s[j] - most) * scale);
  for (int j = 0; j < S; j++) s[j] /= total;
}

template <int S>
void attend(const bf16* q, const bf16* k, const bf16* v, bf16* out, int64_t n, int64_t heads) {
  Head<S> queries, keys, values, result;
  const float scale = 1 / std::sqrt(float(D));
  const int64_t stride = heads * D;
  for (int64_t i = 0; i < n * heads; i++) {
    int64_t at = i / heads * S * stride + i % heads * D;
    queries.load(q + at, stride), keys.load(k + at, stride), values.load(v + at, stride);
    keys.turn();
    for (int t = 0; t < S; t++) {
      alignas(64) float p[S];
      keys.against(queries.rows[t], p);
      softmax<S>(p, scale);
      values.mix(p, result.rows[t]);
    }
    result.store(out + at, stride);
  }
}

template <int S>
void attendBack(const bf16* grad, const bf16* q, const bf16* k, const bf16* v, bf16* dq, bf16* dk, bf16* dv, int64_t n, int64_t heads) {
  Head<S> queries, keys, values, g, gq, gk, gv;
  const float scale = 1 / std::sqrt(float(D));
  const int64_t stride = heads * D;
  for (int64_t i = 0; i < n * heads; i++) {
    int64_t at = i / heads * S * stride + i % heads * D;
    queries.load(q + at, stride), keys.load(k + at, stride), values.load(v + at, stride), g.load(grad + at, stride);
    keys.turn(), values.turn(), gk.clear(), gv.clear();
    for (int t = 0; t < S; t++) {
      alignas(64) float p[S], dp[S], mean = 0;
      keys.against(queries.rows[t], p);
      softmax<S>(p, scale);
      gv.spread(p, g.rows[t]);
      values.against(g.rows[t], dp);
      for (int j = 0; j < S; j++) mean += p[j] * dp[j];
      for (int j = 0; j < S; j++) dp[j] = p[j] * (dp[j] - mean) * scale;
      keys.mix(dp, gq.rows[t]);
      gk.spread(dp, queries.rows[t]);
    }
    gq.store(dq + at, stride), gk.store(dk + at, stride), gv.store(dv + at, stride);
  }
}

// Error function (Abramowitz and Stegun 7.1.26, within 2e-7) from the exponential that the density needs as well.
inline float erfOf(float x, float exponential) {
  float t = 1 / (1 + 0.3275911f * std::fabs(x));
  float y = 1 - ((((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t + 0.254829592f) * t * exponential;
  return x < 0 ? -y : y;
}

}  // namespace

// x [N, L, C]: normalised over L and the channels of a group
std::vector<torch::Tensor> norm(torch::Tensor x, torch::Tensor gamma, torch::Tensor beta, int64_t groups, double eps, bool silu) {
  Rows r(x, groups);
  auto out = torch::empty_like(x);
  auto stats = torch::empty({r.n, 2, groups}, torch::kFloat);  // mean, 1 / standard deviation
  const float *g = gamma.const_data_ptr<float>(), *b = beta.const_data_ptr<float>();
  std::vector<float> sum(r.c), squares(r.c), scale(r.c), shift(r.c);
  for (int64_t n = 0; n < r.n; n++) {
    const bf16* in = data(x) + n * r.l * r.c;
    bf16* y = target(out) + n * r.l * r.c;
    float *mean = stats.data_ptr<float>() + n * 2 * groups, *rstd = mean + groups;
    std::fill(sum.begin(), sum.end(), 0.f);
    std::fill(squares.begin(), squares.end(), 0.f);
    float *s = sum.data(), *q = squares.data(), *a = scale.data(), *d = shift.data();
    for (int64_t l = 0; l < r.l; l++)
#pragma GCC ivdep
      for (int64_t c = 0; c < r.c; c++) {
        float v = wide(in[l * r.c + c]);
        s[c] += v;
        q[c] += v * v;
      }
    for (int64_t k = 0; k < groups; k++) {
      double total = 0, square = 0, count = double(r.l) * r.width;
      for (int64_t c = k * r.width; c < (k + 1) * r.width; c++) total += s[c], square += q[c];
      mean[k] = total / count;
      rstd[k] = 1 / std::sqrt(std::max(square / count - double(mean[k]) * mean[k], 0.) + eps);
      for (int64_t c = k * r.width; c < (k + 1) * r.width; c++) a[c] = g[c] * rstd[k], d[c] = b[c] - mean[k] * a[c];
    }
    for (int64_t l = 0; l < r.l; l++) {
      const bf16* row = in + l * r.c;
      bf16* to = y + l * r.c;
      if (silu) {
#pragma GCC ivdep
        for (int64_t c = 0; c < r.c; c++) {
          float z = wide(row[c]) * a[c] + d[c];
          to[c] = narrow(z / (1 + std::exp(-z)));
        }
      } else {
#pragma GCC ivdep
        for (int64_t c = 0; c < r.c; c++) to[c] = narrow(wide(row[c]) * a[c] + d[c]);
      }
    }
  }
  return {out, stats};
}

std::vector<torch::Tensor> normBack(torch::Tensor grad, torch::Tensor x, torch::Tensor stats, torch::Tensor gamma, torch::Tensor beta, bool silu) {
  int64_t groups = stats.size(2);
  Rows r(x, groups);
  auto out = torch::empty_like(x), dgamma = torch::zeros({r.c}, torch::kFloat), dbeta = torch::zeros({r.c}, torch::kFloat);
  const float *g = gamma.const_data_ptr<float>(), *b = beta.const_data_ptr<float>();
  std::vector<float> scale(r.c), shift(r.c), first(r.c), second(r.c), slope(r.c), offset(r.c);
  float *a = scale.data(), *d = shift.data(), *s = first.data(), *q = second.data(), *p = slope.data(), *o = offset.data();
  for (int64_t n = 0; n < r.n; n++) {
    const bf16 *in = data(x) + n * r.l * r.c, *dy = data(grad) + n * r.l * r.c;
    bf16* dx = target(out) + n * r.l * r.c;
    const float *mean = stats.const_data_ptr<float>() + n * 2 * groups, *rstd = mean + groups;
    for (int64_t c = 0; c < r.c; c++) {
      a[c] = g[c] * rstd[c / r.width];
      d[c] = b[c] - mean[c / r.width] * a[c];
      s[c] = q[c] = 0;
    }
    for (int64_t l = 0; l < r.l; l++) {
      const bf16 *row = in + l * r.c, *up = dy + l * r.c;
      bf16* to = dx + l * r.c;
      if (silu) {
#pragma GCC ivdep
        for (int64_t c = 0; c < r.c; c++) {
          float v = wide(row[c]), z = v * a[c] + d[c], sigmoid = 1 / (1 + std::exp(-z));
          float dz = wide(up[c]) * sigmoid * (1 + z * (1 - sigmoid));
          s[c] += dz;
          q[c] += dz * v;
          to[c] = narrow(dz);
        }
      } else {
#pragma GCC ivdep
        for (int64_t c = 0; c < r.c; c++) {
          float dz = wide(up[c]);
          s[c] += dz;
          q[c] += dz * wide(row[c]);
          to[c] = up[c];
        }
      }
    }
    float *into_gamma = dgamma.data_ptr<float>(), *into_beta = dbeta.data_ptr<float>();
    for (int64_t k = 0; k < groups; k++) {
      double count = double(r.l) * r.width, m1 = 0, m2 = 0;
      for (int64_t c = k * r.width; c < (k + 1) * r.width; c++) {
        double along = rstd[k] * (double(q[c]) - double(mean[k]) * s[c]);
        into_gamma[c] += along;
        into_beta[c] += s[c];
        m1 += double(g[c]) * s[c] / count;
        m2 += double(g[c]) * along / count;
      }
      for (int64_t c = k * r.width; c < (k + 1) * r.width; c++) {
        p[c] = -double(rstd[k]) * rstd[k] * m2;
        o[c] = -rstd[k] * m1 - double(p[c]) * mean[k];
      }
    }
    for (int64_t l = 0; l < r.l; l++) {
      const bf16* row = in + l * r.c;
      bf16* to = dx + l * r.c;
#pragma GCC ivdep
      for (int64_t c = 0; c < r.c; c++) to[c] = narrow(wide(to[c]) * a[c] + wide(row[c]) * p[c] + o[c]);
    }
  }
  return {out, dgamma, dbeta};
}

#define BY_TOKENS(tokens, call)          \
  switch (tokens) {                      \
    case 4: call(4); break;              \
    case 8: call(8); break;              \
    case 16: call(16); break;            \
    case 64: call(64); break;            \
    default: TORCH_CHECK(false, "4, 8, 16 or 64 tokens"); \
  }

// q, k, v [N, tokens, heads * 32]
torch::Tensor attention(torch::Tensor q, torch::Tensor k, torch::Tensor v) {
  auto out = torch::empty_like(q);
#define CALL(S) attend<S>(data(q), data(k), data(v), target(out), q.size(0), q.size(2) / D)
  BY_TOKENS(q.size(1), CALL)
#undef CALL
  return out;
}

std::vector<torch::Tensor> attentionBack(torch::Tensor grad, torch::Tensor q, torch::Tensor k, torch::Tensor v) {
  auto dq = torch::empty_like(q), dk = torch::empty_like(q), dv = torch::empty_like(q);
#define CALL(S) attendBack<S>(data(grad), data(q), data(k), data(v), target(dq), target(dk), target(dv), q.size(0), q.size(2) / D)
  BY_TOKENS(q.size(1), CALL)
#undef CALL
  return {dq, dk, dv};
}

// x [rows, 2 * inner]: the first half times the GELU of the second
torch::Tensor gated(torch::Tensor x) {
  int64_t rows = x.size(0), inner = x.size(1) / 2;
  auto out = torch::empty({rows, inner}, x.options());
  const bf16* in = data(x);
  bf16* y = target(out);
  for (int64_t r = 0; r < rows; r++)
#pragma GCC ivdep
    for (int64_t c = 0; c < inner; c++) {
      float a = wide(in[r * 2 * inner + c]), g = wide(in[(r * 2 + 1) * inner + c]);
      y[r * inner + c] = narrow(a * g * 0.5f * (1 + erfOf(g * 0.70710678f, std::exp(-0.5f * g * g))));
    }
  return out;
}

torch::Tensor gatedBack(torch::Tensor grad, torch::Tensor x) {
  int64_t rows = x.size(0), inner = x.size(1) / 2;
  auto out = torch::empty_like(x);
  const bf16 *in = data(x), *dy = data(grad);
  bf16* dx = target(out);
  for (int64_t r = 0; r < rows; r++)
#pragma GCC ivdep
    for (int64_t c = 0; c < inner; c++) {
      float a = wide(in[r * 2 * inner + c]), g = wide(in[(r * 2 + 1) * inner + c]), d = wide(dy[r * inner + c]);
      float bell = std::exp(-0.5f * g * g), cdf = 0.5f * (1 + erfOf(g * 0.70710678f, bell));
      dx[r * 2 * inner + c] = narrow(d * g * cdf);
      dx[(r * 2 + 1) * inner + c] = narrow(d * a * (cdf + g * bell * 0.39894228f));
    }
  return out;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("norm", &norm);
  m.def("normBack", &normBack);
  m.def("attention", &attention);
  m.def("attentionBack", &attentionBack);
  m.def("gated", &gated);
  m.def("gatedBack", &gatedBack);
}
