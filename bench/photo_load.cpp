// The photo-sharing application as an open-loop load generator: operations begin when they are due, at a
// given rate, and their latencies count from then on, so that a target that stalls can not hide it. Against
// Mosaic, or with
// --unsharded against one PostgreSQL or a pooler. This file is the run from top to bottom; bench/LOAD.md is
// its manual.

#include <fmt/format.h>
#include <sys/resource.h>

#include <fstream>
#include <iostream>

#include "bench/load/interval_series.h"
#include "bench/load/load_options.h"
#include "bench/load/load_report.h"
#include "bench/workload/client_loop.h"
#include "bench/workload/phase_runner.h"
#include "bench/workload/progress_line.h"

namespace {

using namespace mosaic::workload;

constexpr int kExitFailed = 1;
constexpr int kExitTooSlow = 3;
// How long all clients together may take to sign users up and upload their first photos.
constexpr Nanoseconds kPreparationTimeMax = 600'000'000'000;

using Clients = std::vector<std::unique_ptr<PhotoClient>>;

Nanoseconds to_ns(double seconds) { return static_cast<Nanoseconds>(seconds * 1e9); }

// Says before the run, rather than in every statement, that the schema is missing.
void check_target(const LoadOptions& options) {
  const ConnectionPtr connection = connect_blocking(options.conninfo);
  if (!options.is_unsharded) return;
  const ResultPtr found =
      execute_blocking(connection.get(),
                       "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename IN "
                       "('users', 'media', 'likes', 'comments', 'follows', 'countries', 'app_settings')");
  const std::string count = PQgetvalue(found.get(), 0, 0);
  if (count != "7") {
    throw std::runtime_error("--unsharded: expected the application's 7 tables in public, found " + count +
                             "; create them with: psql -f bench/load/plain_database.sql");
  }
}

// Each client needs a socket; the soft limit is often 1024.
void raise_file_limit(const LoadOptions& options) {
  constexpr rlim_t kOtherFiles = 64;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) throw std::runtime_error("getrlimit failed");
  const rlim_t wanted = options.connections + kOtherFiles;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  if (wanted > limit.rlim_max || ::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    throw std::runtime_error(
        fmt::format("{} connections need {} open files, the hard limit is {} (ulimit -Hn)",
                    options.connections, wanted, limit.rlim_max));
  }
}

// The rows of a run, each written when it is over: also of a run that is ended from outside.
class SeriesFile {
 public:
  explicit SeriesFile(const std::string& path) : path_(path) {
    if (!path_.empty()) file_.open(path_);
  }
  void write(const IntervalSeries& series) {
    if (path_.empty()) return;
    file_ << to_json_line(series.rows().back(), series.last_latency(),
                          static_cast<double>(monotonic_now()) / 1e9);
    if (!file_.flush()) throw std::runtime_error("can not write " + path_);
  }

 private:
  std::string path_;
  std::ofstream file_;
};

class Load {
 public:
  explicit Load(const LoadOptions& options)
      : options_(options),
        series_file_(options.series_file),
        population_(options.first_user, options.users, options.zipf),
        runner_(options.threads, to_ns(options.statement_timeout_s),
                [this](const StageProgress& progress) { on_progress_(progress); }) {
    for (uint32_t i = 0; i < options_.connections; ++i) {
      clients_.push_back(std::make_unique<PhotoClient>(i, options_.conninfo, options_.seed * 1'000'003,
                                                       population_, options_.mix, false));
    }
  }

  void run(LoadFigures& figures) {
    prepare();
    if (options_.warm_up_s > 0) {
      LoadFigures uncounted;
      run_paced("warm-up", options_.warm_up_s, options_.seed + kWarmUpSeed, uncounted, nullptr);
    }
    run_paced("load", options_.duration_s, options_.seed, figures, &series_file_);
    line_.end();
  }

 private:
  static constexpr uint64_t kWarmUpSeed = 1 << 20;  // other arrivals than in the run that counts

  // Users, photos and the setting, as fast as it goes; also connects every client.
  void prepare() {
    clients_.front()->add_setting();
    for (uint64_t user = 0; user < options_.users; ++user) {
      PhotoClient& client = *clients_[user % clients_.size()];
      const int64_t user_id = options_.first_user + static_cast<int64_t>(user);
      client.add_sign_up(user_id);
      for (uint32_t photo = 0; photo < options_.photos_per_user; ++photo) client.add_upload(user_id);
    }
    Stage stage;
    stage.mode = options_.mode;
    stage.is_preparation = true;
    stage.end = monotonic_now() + kPreparationTimeMax;
    Statistics statistics;
    line_.begin("preparation");
    on_progress_ = [this](const StageProgress& progress) { line_.show(progress); };
    runner_.run(stage, clients_, statistics);
    const bool is_complete = std::none_of(clients_.begin(), clients_.end(),
                                          [](const auto& client) { return client->has_preparations(); });
    for (const auto& [sort, failure] : statistics.failures) {
      throw std::runtime_error(fmt::format("preparation: {} x {}: {}", failure.count, sort, failure.example));
    }
    if (!is_complete) throw std::runtime_error("preparation: not all users could be signed up in time");
    population_.set_signed_up(options_.users);
  }

  void run_paced(const std::string& title, double seconds, uint64_t seed, LoadFigures& figures,
                 SeriesFile* file) {
    const Nanoseconds begin = monotonic_now();
    Stage stage;
    stage.mode = options_.mode;
    stage.is_paced = true;
    stage.end = begin + to_ns(seconds);
    Pacers pacers;
    for (uint32_t i = 0; i < options_.threads; ++i) {
      pacers.emplace_back(Arrivals(options_.arrivals, options_.rate / options_.threads, begin,
                                   static_cast<double>(i) / options_.threads, seed + i),
                          stage.end);
    }
    figures.seconds = seconds;
    IntervalSeries series(options_.interval_s);
    line_.begin(title);
    on_progress_ = [&](const StageProgress& progress) {
      if (series.add(progress) && file != nullptr) file->write(series);
      show(progress, series);
    };
    runner_.run(stage, clients_, figures.statistics, &pacers);
    figures.intervals = series.rows();
    for (const Pacer& pacer : pacers) {
      figures.due += pacer.due();
      figures.backlog_max += pacer.backlog_max();
      figures.start_delay.merge(pacer.start_delay());
      figures.unserved_wait.merge(pacer.unserved_wait());
    }
  }

  void show(const StageProgress& progress, const IntervalSeries& series) {
    if (series.rows().empty() || !line_.is_due(progress.seconds)) return;
    const Interval& last = series.rows().back();
    line_.print(
        progress.seconds,
        fmt::format(
            "{:<11} {:>6.1f} s  wanted {:.0f}/s  done {:.0f}/s  backlog {}  p50 {:.2f} ms  p99 {:.2f} "
            "ms  {} errors  {} lost  {} wrong",
            line_.title(), progress.seconds, options_.rate,
            static_cast<double>(last.completed) / last.seconds, progress.backlog,
            static_cast<double>(last.p50_ns) / 1e6, static_cast<double>(last.p99_ns) / 1e6, progress.errors,
            progress.lost, progress.wrong_answers));
  }

  const LoadOptions& options_;
  SeriesFile series_file_;
  Population population_;
  Clients clients_;
  ProgressLine line_;
  PhaseRunner::OnProgress on_progress_;
  PhaseRunner runner_;
};

int run(const LoadOptions& options) {
  check_target(options);
  raise_file_limit(options);
  LoadFigures figures;
  Load(options).run(figures);
  std::cout << to_text(options, figures) << std::flush;
  if (!options.json_file.empty()) {
    std::ofstream file(options.json_file);
    file << to_json(options, figures);
    if (!file.flush()) throw std::runtime_error("can not write " + options.json_file);
  }
  const std::vector<std::string> failures = find_failures(figures);
  for (const std::string& failure : failures) std::cerr << "FAILED: " << failure << "\n";
  if (!failures.empty()) return kExitFailed;
  return has_kept_up(options, figures) ? 0 : kExitTooSlow;
}

}  // namespace

int main(int count, char** arguments) {
  const ParsedLoadOptions parsed = parse_load_options(count, arguments);
  if (!parsed.is_ok) return parsed.exit_code;
  try {
    return run(parsed.options);
  } catch (const std::exception& error) {
    std::cerr << "photo_load: " << error.what() << "\n";
    return kExitFailed;
  }
}
