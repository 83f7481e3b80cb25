// Armadillo's gmm_full and gmm_diag behind a pipe. Standard input brings the rows (N × D doubles, row by row), the weights, means and
// covariances of the start, then numbers of iterations, one a line; each is answered with a line once that fit from the start is done.
// Zero asks for the log-likelihood of the last fit instead.

#include <armadillo>
#include <cstdio>
#include <cstdlib>
#include <cstring>

static void read(double* where, arma::uword n)
  {
  if (std::fread(where, sizeof(double), n, stdin) != n) { std::exit(2); }
  }

template <typename Model, typename Covariances>
static int serve(const arma::mat& rows, const arma::rowvec& weights, const arma::mat& means, const Covariances& covariances)
  {
  Model model;
  for (long n_iter; std::scanf("%ld", &n_iter) == 1; std::fflush(stdout))
    {
    if (n_iter == 0)
      {
      std::printf("%.17g\n", model.sum_log_p(rows));
      continue;
      }
    model.set_params(means, covariances, weights);
    const bool fine = model.learn(rows, means.n_cols, arma::maha_dist, arma::keep_existing, 0, n_iter, 0.0, false);
    std::puts(fine ? "done" : "failed");
    }
  return 0;
  }

int main(int argc, char** argv)
  {
  if (argc < 5)
    {
    std::puts(arma::arma_version::as_string().c_str());
    return 0;
    }
  const bool diagonal = std::strcmp(argv[1], "diag") == 0;
  const arma::uword N = std::atol(argv[2]), D = std::atol(argv[3]), K = std::atol(argv[4]);
  arma::mat rows(D, N), means(D, K), variances(D, K);
  arma::rowvec weights(K);
  arma::cube covariances(D, D, K);
  read(rows.memptr(), N * D);
  read(weights.memptr(), K);
  read(means.memptr(), K * D);
  if (diagonal)
    {
    read(variances.memptr(), K * D);
    return serve<arma::gmm_diag>(rows, weights, means, variances);
    }
  read(covariances.memptr(), K * D * D);
  return serve<arma::gmm_full>(rows, weights, means, covariances);
  }
