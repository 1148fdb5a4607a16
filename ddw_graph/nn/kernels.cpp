// What passes along the edges of a wiring, each in one pass over the memory: the sum of
// a node's inputs, its gradients, and what a router makes of its features.
//
// kernels.py calls these with what they take: features on the CPU, all of one floating
// type and one shape, and all contiguous or all in channels last; weights of that type,
// contiguous, with a row for each sample or one for all.

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

namespace {

using at::Tensor;
using MaybeTensor = std::optional<Tensor>;
using MaybeTensors = c10::List<MaybeTensor>;

// Elements that are gone through together, so that their sum stays in the first cache.
constexpr int64_t BLOCK = 2048;
// Inputs that are read together.
constexpr int64_t MANY = 4;

struct Layout {
  int64_t samples, channels, pixels, sample; // sample: elements of one
  bool last;                                 // channels last

  explicit Layout(const Tensor& x)
      : samples(x.size(0)), channels(x.size(1)), pixels(x.size(2) * x.size(3)),
        sample(channels * pixels), last(!x.is_contiguous()) {}
};

// Features cut into pieces of one sample. Where channels have factors, a piece lies
// within one channel, or in channels last holds whole pixels.
struct Piece {
  int64_t sample, channel, begin, size;
};

struct Pieces {
  Layout at;
  int64_t groups, span, step, parts;

  Pieces(const Layout& layout, bool scaled) : at(layout) {
    groups = scaled && !at.last ? at.channels : 1;
    span = at.sample / groups;
    step = scaled && at.last ? std::max<int64_t>(1, BLOCK / at.channels) * at.channels
                             : BLOCK;
    parts = (span + step - 1) / step;
  }
  int64_t count() const { return at.samples * groups * parts; }
  int64_t longest() const { return std::min(span, step); }
  int64_t grain() const { return 1 + 16 * BLOCK / longest(); }
  Piece operator[](int64_t place) const {
    const int64_t group = place / parts % groups, inside = place % parts * step;
    const int64_t sample = place / parts / groups;
    return {sample, group, sample * at.sample + group * span + inside,
            std::min(step, span - inside)};
  }
};

template <typename T>
std::vector<const T*> pointers(at::TensorList tensors) {
  std::vector<const T*> found;
  for (const Tensor& tensor : tensors) found.push_back(tensor.const_data_ptr<T>());
  return found;
}

template <typename T>
const T* pointer(const MaybeTensor& tensor) {
  return tensor ? tensor->const_data_ptr<T>() : nullptr;
}

// y = start + sum of w[k] * x[k], where start is y itself if it is to be added to.
template <typename T, int N, bool ADDS>
void sum_some(T* __restrict y, const T* const* x, const T* w, int64_t size) {
  const T *a = x[0], *b = x[N > 1 ? 1 : 0], *c = x[N > 2 ? 2 : 0], *d = x[N > 3 ? 3 : 0];
  const T s = w[0], t = w[N > 1 ? 1 : 0], u = w[N > 2 ? 2 : 0], v = w[N > 3 ? 3 : 0];
#pragma omp simd
  for (int64_t j = 0; j < size; ++j) {
    T sum = s * a[j];
    if (N > 1) sum += t * b[j];
    if (N > 2) sum += u * c[j];
    if (N > 3) sum += v * d[j];
    y[j] = ADDS ? y[j] + sum : sum;
  }
}

// The same with a factor of its own for each element.
template <typename T, int N>
void sum_some_each(T* __restrict y, const T* const* x, const T* const* w, int64_t size) {
  const T *a = x[0], *b = x[N > 1 ? 1 : 0], *c = x[N > 2 ? 2 : 0], *d = x[N > 3 ? 3 : 0];
  const T *s = w[0], *t = w[N > 1 ? 1 : 0], *u = w[N > 2 ? 2 : 0], *v = w[N > 3 ? 3 : 0];
#pragma omp simd
  for (int64_t j = 0; j < size; ++j) {
    T sum = y[j] + s[j] * a[j];
    if (N > 1) sum += t[j] * b[j];
    if (N > 2) sum += u[j] * c[j];
    if (N > 3) sum += v[j] * d[j];
    y[j] = sum;
  }
}

// The sum of w[k] * x[k], and the inner product of y with each x[k].
template <typename T, int N, bool SUMS, bool ADDS>
void back_some(T* __restrict total, const T* y, const T* const* x, const T* w,
               double* dots, int64_t size) {
  const T *a = x[0], *b = x[N > 1 ? 1 : 0], *c = x[N > 2 ? 2 : 0], *d = x[N > 3 ? 3 : 0];
  const T s = w[0], t = w[N > 1 ? 1 : 0], u = w[N > 2 ? 2 : 0], v = w[N > 3 ? 3 : 0];
  T da = 0, db = 0, dc = 0, dd = 0;
#pragma omp simd reduction(+ : da, db, dc, dd)
  for (int64_t j = 0; j < size; ++j) {
    T sum = s * a[j];
    da += y[j] * a[j];
    if (N > 1) sum += t * b[j], db += y[j] * b[j];
    if (N > 2) sum += u * c[j], dc += y[j] * c[j];
    if (N > 3) sum += v * d[j], dd += y[j] * d[j];
    if (SUMS) total[j] = ADDS ? total[j] + sum : sum;
  }
  const T found[MANY] = {da, db, dc, dd};
  for (int i = 0; i < N; ++i) dots[i] += found[i];
}

// Calls a function with how many of `count` come next, at most MANY, as a constant.
template <typename Function>
void by_many(int64_t count, const Function& function) {
  for (int64_t k = 0; k < count; k += MANY) {
    switch (std::min(MANY, count - k)) {
      case 4: function(std::integral_constant<int, 4>(), k); break;
      case 3: function(std::integral_constant<int, 3>(), k); break;
      case 2: function(std::integral_constant<int, 2>(), k); break;
      case 1: function(std::integral_constant<int, 1>(), k); break;
    }
  }
}

template <typename T>
void shifted(const std::vector<const T*>& x, int64_t k, int64_t count, int64_t by,
             const T** found) {
  for (int64_t i = 0; i < count; ++i) found[i] = x[k + i] + by;
}

template <typename T>
void sum_plain(const Layout& at, const std::vector<const T*>& x, const Tensor& weights,
               T* out) {
  const Pieces pieces(at, false);
  const int64_t fan_in = x.size(), stride = weights.size(0) == 1 ? 0 : fan_in;
  const T* rows = weights.const_data_ptr<T>();
  at::parallel_for(0, pieces.count(), pieces.grain(), [&](int64_t from, int64_t to) {
    for (int64_t place = from; place < to; ++place) {
      const Piece piece = pieces[place];
      const T* w = rows + piece.sample * stride;
      by_many(fan_in, [&](auto some, int64_t k) {
        const T* each[MANY];
        shifted(x, k, some, piece.begin, each);
        if (k)
          sum_some<T, some, true>(out + piece.begin, each, w + k, piece.size);
        else
          sum_some<T, some, false>(out + piece.begin, each, w, piece.size);
      });
    }
  });
}

template <typename T>
void sum_scaled(const Layout& at, const std::vector<const T*>& x, const Tensor& weights,
                const MaybeTensors& scales, const MaybeTensors& shifts, T* out) {
  const Pieces pieces(at, true);
  const int64_t fan_in = x.size(), channels = at.channels, count = weights.size(0);
  const T* rows = weights.const_data_ptr<T>();
  // A factor for each row, input and channel, and what each row and channel begins with.
  std::vector<T> factors(count * fan_in * channels), starts(count * channels, T(0));
  for (int64_t row = 0; row < count; ++row)
    for (int64_t k = 0; k < fan_in; ++k) {
      const MaybeTensor scaled = scales.get(k), moved = shifts.get(k);
      const T *scale = pointer<T>(scaled), *shift = pointer<T>(moved);
      const T w = rows[row * fan_in + k];
      T* factor = factors.data() + (row * fan_in + k) * channels;
      T* start = starts.data() + row * channels;
      for (int64_t c = 0; c < channels; ++c) {
        factor[c] = scale ? w * scale[c] : w;
        if (shift) start[c] += w * shift[c];
      }
    }
  at::parallel_for(0, pieces.count(), pieces.grain(), [&](int64_t from, int64_t to) {
    for (int64_t place = from; place < to; ++place) {
      const Piece piece = pieces[place];
      const int64_t row = count == 1 ? 0 : piece.sample;
      const T* factor = factors.data() + row * fan_in * channels;
      const T* start = starts.data() + row * channels;
      T* y = out + piece.begin;
      if (!at.last) {
        std::fill(y, y + piece.size, start[piece.channel]);
        by_many(fan_in, [&](auto some, int64_t k) {
          const T* each[MANY];
          T w[MANY];
          shifted(x, k, some, piece.begin, each);
          for (int i = 0; i < some; ++i) w[i] = factor[(k + i) * channels + piece.channel];
          sum_some<T, some, true>(y, each, w, piece.size);
        });
        continue;
      }
      for (int64_t p = 0; p < piece.size; p += channels) {
        std::copy(start, start + channels, y + p);
        by_many(fan_in, [&](auto some, int64_t k) {
          const T *each[MANY], *w[MANY];
          shifted(x, k, some, piece.begin + p, each);
          for (int i = 0; i < some; ++i) w[i] = factor + (k + i) * channels;
          sum_some_each<T, some>(y + p, each, w, channels);
        });
      }
    }
  });
}

Tensor weighted_sum(at::TensorList inputs, const Tensor& weights,
                    const MaybeTensors& scales, const MaybeTensors& shifts) {
  const Layout at(inputs[0]);
  Tensor total = at::empty_like(inputs[0]);
  AT_DISPATCH_FLOATING_TYPES(total.scalar_type(), "weighted_sum", [&] {
    const auto x = pointers<scalar_t>(inputs);
    scalar_t* out = total.mutable_data_ptr<scalar_t>();
    if (scales.empty())
      sum_plain(at, x, weights, out);
    else
      sum_scaled(at, x, weights, scales, shifts, out);
  });
  return total;
}

template <typename T>
void made(T* __restrict y, const T* x, const Piece& piece, const Layout& at,
          const T* scale, const T* shift) {
  const int64_t channel = at.last ? 0 : piece.channel;
  const int64_t step = at.last ? at.channels : piece.size;
  for (int64_t p = 0; p < piece.size; p += step) {
    if (at.last) {
#pragma omp simd
      for (int64_t c = 0; c < step; ++c) y[p + c] = scale[c] * x[p + c] + shift[c];
    } else {
      const T a = scale[channel], b = shift[channel];
#pragma omp simd
      for (int64_t j = 0; j < step; ++j) y[j] = a * x[j] + b;
    }
  }
}

template <typename T>
void back(const Layout& at, const Tensor& x, const MaybeTensor& scale,
          const MaybeTensor& shift, const std::vector<const T*>& grads,
          const Tensor& weights, T* total, T* products) {
  const Pieces pieces(at, scale.has_value());
  const int64_t count = grads.size(), stride = weights.size(0) == 1 ? 0 : count;
  const T *features = x.const_data_ptr<T>(), *rows = weights.const_data_ptr<T>();
  const T *factor = pointer<T>(scale), *summand = pointer<T>(shift);
  // Each piece has its own products, so that none depends on the number of threads.
  std::vector<double> dots(pieces.count() * count, 0.0);
  at::parallel_for(0, pieces.count(), pieces.grain(), [&](int64_t from, int64_t to) {
    std::vector<T> space(factor ? pieces.longest() : 0);
    for (int64_t place = from; place < to; ++place) {
      const Piece piece = pieces[place];
      const T *y = features + piece.begin, *w = rows + piece.sample * stride;
      if (factor) {
        made(space.data(), y, piece, at, factor, summand);
        y = space.data();
      }
      by_many(count, [&](auto some, int64_t k) {
        const T* each[MANY];
        shifted(grads, k, some, piece.begin, each);
        double* dot = dots.data() + place * count + k;
        if (!total)
          back_some<T, some, false, false>(nullptr, y, each, w + k, dot, piece.size);
        else if (k)
          back_some<T, some, true, true>(total + piece.begin, y, each, w + k, dot,
                                         piece.size);
        else
          back_some<T, some, true, false>(total + piece.begin, y, each, w, dot,
                                          piece.size);
      });
    }
  });
  const int64_t each = pieces.count() / at.samples;
  for (int64_t sample = 0; sample < at.samples; ++sample)
    for (int64_t k = 0; k < count; ++k) {
      double dot = 0;
      for (int64_t i = 0; i < each; ++i) dot += dots[(sample * each + i) * count + k];
      products[sample * count + k] = static_cast<T>(dot);
    }
}

// The weighted sum of gradients (empty where `sums` is false), and the inner products
// of features, scaled and shifted, with each of them.
std::tuple<Tensor, Tensor> fanned_back(const Tensor& x, const MaybeTensor& scale,
                                       const MaybeTensor& shift, at::TensorList grads,
                                       const Tensor& weights, bool sums) {
  const Layout at(x);
  Tensor total = sums ? at::empty_like(x) : at::empty({0}, x.options());
  Tensor products =
      at::empty({at.samples, static_cast<int64_t>(grads.size())}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "fanned_back", [&] {
    back(at, x, scale, shift, pointers<scalar_t>(grads), weights,
         sums ? total.mutable_data_ptr<scalar_t>() : nullptr,
         products.mutable_data_ptr<scalar_t>());
  });
  return {total, products};
}

template <typename T>
T sum_of(const T* x, int64_t size) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < size; ++j) sum += x[j];
  return sum;
}

// Means of channels, of shape (samples, channels).
template <typename T>
std::vector<T> means(const Layout& at, const T* x) {
  std::vector<T> found(at.samples * at.channels);
  if (!at.last) {
    at::parallel_for(0, found.size(), 1 + 16 * BLOCK / at.pixels,
                     [&](int64_t from, int64_t to) {
                       for (int64_t place = from; place < to; ++place)
                         found[place] = sum_of(x + place * at.pixels, at.pixels) / at.pixels;
                     });
    return found;
  }
  constexpr int64_t SOME = 64; // channels that are gone through together
  const int64_t parts = (at.channels + SOME - 1) / SOME;
  at::parallel_for(
      0, at.samples * parts, 1 + 16 * BLOCK / (SOME * at.pixels),
      [&](int64_t from, int64_t to) {
        for (int64_t place = from; place < to; ++place) {
          const int64_t sample = place / parts, first = place % parts * SOME;
          const int64_t size = std::min(SOME, at.channels - first);
          double sums[SOME] = {};
          const T* begin = x + sample * at.sample + first;
          for (int64_t p = 0; p < at.pixels; ++p)
#pragma omp simd
            for (int64_t c = 0; c < size; ++c) sums[c] += begin[p * at.channels + c];
          for (int64_t c = 0; c < size; ++c)
            found[sample * at.channels + first + c] = static_cast<T>(sums[c] / at.pixels);
        }
      });
  return found;
}

template <typename T>
T sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
}

template <typename T>
bool route(const std::vector<T>& pooled, int64_t samples, int64_t channels, int64_t edges,
           const T* weight, const T* bias, const T* tau, bool psi, T* found, bool* open) {
  bool all = true;
  for (int64_t b = 0; b < samples; ++b)
    for (int64_t e = 0; e < edges; ++e) {
      const T *row = weight + e * channels, *y = pooled.data() + b * channels;
      T sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 0; c < channels; ++c) sum += row[c] * y[c];
      const T alpha = sigmoid(sum + bias[e]);
      const int64_t place = b * edges + e;
      found[place] = psi ? alpha * sigmoid(alpha - tau[e]) : alpha;
      open[place] = !tau || alpha >= tau[e];
      all = all && open[place];
    }
  return all;
}

// What a router weighs its edges at inference, which are open, and whether all are.
// `psi`: whether an open edge weighs psi, and not the router's value.
std::tuple<Tensor, Tensor, bool> routed(const Tensor& x, const Tensor& weight,
                                        const Tensor& bias, const MaybeTensor& tau,
                                        bool psi) {
  const Layout at(x);
  const int64_t edges = weight.size(0);
  Tensor weights = at::empty({at.samples, edges}, x.options());
  Tensor open = at::empty({at.samples, edges}, x.options().dtype(at::kBool));
  bool all = true;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "routed", [&] {
    all = route(means(at, x.const_data_ptr<scalar_t>()), at.samples, at.channels, edges,
                weight.const_data_ptr<scalar_t>(), bias.const_data_ptr<scalar_t>(),
                pointer<scalar_t>(tau), psi, weights.mutable_data_ptr<scalar_t>(),
                open.mutable_data_ptr<bool>());
  });
  return {weights, open, all};
}

} // namespace

TORCH_LIBRARY(ddw_graph, library) {
  library.def(
      "weighted_sum(Tensor[] inputs, Tensor weights, Tensor?[] scales, "
      "Tensor?[] shifts) -> Tensor");
  library.def(
      "fanned_back(Tensor x, Tensor? scale, Tensor? shift, Tensor[] grads, "
      "Tensor weights, bool sums) -> (Tensor, Tensor)");
  library.def(
      "routed(Tensor x, Tensor weight, Tensor bias, Tensor? tau, bool psi) "
      "-> (Tensor, Tensor, bool)");
}

TORCH_LIBRARY_IMPL(ddw_graph, CPU, library) {
  library.impl("weighted_sum", weighted_sum);
  library.impl("fanned_back", fanned_back);
  library.impl("routed", routed);
}
