#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/engine.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_policies.hpp"
#include "plimsoll/database/postgres_target.hpp"
#include "plimsoll/database/scratch_schema.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll::database {
namespace {

using config::field;

constexpr std::string_view kSchemes[] = {"postgres://", "postgresql://"};

/// What stands in the section `database` beside the URL.
struct Section {
  bool row_security = false;
  std::vector<std::string> replicas;
  config::Duration replica_lag = config::seconds(10);
  config::Raw pool = nullptr;
};

std::span<const config::Field> section_fields() {
  static const config::Field fields[] = {
      field<&Section::row_security>("row-security",
                                    "Sets the caller in each PostgreSQL transaction, so that the policies that "
                                    "`plimsoll migrate rls` writes let it see and change its own rows only."),
      config::shown(field<&Section::replicas>(
                        "replicas",
                        "URLs of standby servers of the same PostgreSQL cluster, each of one server: they answer reads "
                        "of requests that change nothing, and show a caller all that it has written."),
                    "['postgres://web@replica.example.com/shop']"),
      field<&Section::replica_lag>("replica-lag", "A replica that is further behind the primary answers no reads.",
                                   {kSecond, 86400 * kSecond}),
      config::shown(config::object_of<PostgresOptions>(
                        field<&Section::pool>("pool", "Connections to a PostgreSQL server, of the whole process."),
                        kPostgresFields),
                    "{max: 20}"),
  };
  return fields;
}

Result<PostgresOptions> options_at(const Place& place) {
  Section section;
  if (auto read = read_options(place, section_fields(), &section); !read)
    return std::unexpected(std::move(read).error());
  PostgresOptions options;
  if (section.pool)
    if (auto read = config::read(*section.pool, kPostgresFields, &options); !read) {
      read.error().detail = config::preceded("`database.pool`: ", read.error().detail);
      return std::unexpected(std::move(read).error());
    }
  options.url = place.url;
  options.row_security = section.row_security;
  options.replicas = std::move(section.replicas);
  options.replica_lag = section.replica_lag;
  return options;
}

std::vector<Error> check(const Place& place) {
  std::vector<Error> all;
  const auto add = [&](std::string_view key, const std::string& what, std::string_view remedy) {
    Error error{&config::kConfiguration, what};
    if (place.options) error = config::wrong(config::member_or(*place.options, key), what, remedy).error();
    all.push_back(std::move(error));
  };
  const auto options = options_at(place);
  if (!options) {
    all.push_back(options.error());
    return all;
  }
  for (const auto& each : options->replicas) {
    const auto target = PostgresTarget::read(each);
    const auto wrong = !target                    ? target.error().detail
                       : target->hosts.size() > 1 ? "a replica is one server, and this URL names several"
                                                  : std::string{};
    if (!wrong.empty())
      add("replicas", without_password(each) + ": " + wrong,
          "Write one URL for each standby server: postgres://USER:PASSWORD@HOST:PORT/DATABASE.");
  }
  if (const auto target = PostgresTarget::read(place.url); !target)
    add("url", target.error().detail, kDatabaseUrl.remedy);
  return all;
}

Result<OpenDatabase> open(const Place& place, const Opening& opening) {
  auto options = options_at(place);
  if (!options) return std::unexpected(std::move(options).error());
  options->log = opening.log;
  options->slow = opening.slow;
  options->trial = opening.purpose == Opening::Purpose::trial;
  if (opening.purpose == Opening::Purpose::command || opening.purpose == Opening::Purpose::look) options->least = 0;
  if (opening.metrics)
    options->acquired = &opening.metrics->histogram("plimsoll_database_acquire_seconds",
                                                    "How long requests waited for a connection of the pool.");
  auto opened = open_postgres(*options);
  if (!opened) return std::unexpected(std::move(opened).error());
  OpenDatabase made;
  made.database = std::move(*opened);
  return made;
}

/// Policies of which this deployment knows nothing would hide all rows; without policies, or with a role for which none
/// holds, it would promise what is not so.
Result<> inspect(Database& database, const Place& place) {
  const auto options = options_at(place);
  if (!options) return std::unexpected(options.error());
  const auto wrong = [](const std::string& what, const std::string& remedy) -> Result<> {
    return std::unexpected(Error{&config::kConfiguration}.because(what + std::string(kRemedyFollows) + remedy));
  };
  // Who asks, whether policies hold for that role, whether there are any, and a table of ours.
  constexpr std::string_view kAsks =
      "SELECT current_user::text,r.rolsuper,r.rolbypassrls,EXISTS(SELECT FROM pg_policy),"
      "(SELECT min(polrelid::regclass::text) FROM pg_policy WHERE polname=?::text) "
      "FROM pg_roles r WHERE r.rolname=current_user";
  auto found = wait_for([&](Loop& loop) -> Task<Result<Rows>> {
    const Cell name[] = {std::string(kPolicy)};
    auto read = co_await database.read(loop, kAsks, name, false);
    co_return read;
  });
  if (!found) {
    Error error =
        Error{&kUnavailable}.because("policies of the tables cannot be looked up: " + reason_of(found.error()) +
                                     std::string(kRemedyFollows) + remedy_of(found.error()));
    error.retryable = found.error().retryable;
    return std::unexpected(std::move(error));
  }
  if (found->empty())
    return wrong("policies of the tables cannot be looked up: pg_roles does not show the role of the session",
                 "Let the role read pg_roles and pg_policy.");
  const auto& row = found->front();
  const auto role = text_at(row, 0), table = text_at(row, 4);
  const bool super = number_at(row, 1) != 0, bypass = number_at(row, 2) != 0;
  if (!options->row_security) {
    if (table.empty()) return {};
    return wrong("table " + table + " has a row-level security policy, and the server does not set the caller",
                 "Write `database: {row-security: true}`, or drop the policies `" + std::string(kPolicy) + "`.");
  }
  if (super || bypass)
    return wrong("`row-security: true`, and the role " + role + (super ? " is a superuser" : " has BYPASSRLS") +
                     ", for which no policy holds",
                 "Connect as another role: `database: {url: 'postgres://ROLE@…'}`; docs/postgresql.md lists the rights "
                 "that it needs.");
  if (number_at(row, 3) == 0)
    return wrong(
        "`row-security: true`, and no table has a policy, so that nothing is kept apart",
        "Write the policies with `plimsoll migrate rls CONTRACT` and apply them with `plimsoll migrate up`, or "
        "remove `row-security`.");
  return {};
}

/// A schema beside the others, which is all that its connections see.
class Scratch final : public ScratchDatabase {
 public:
  explicit Scratch(std::unique_ptr<ScratchSchema> schema) : schema_(std::move(schema)) {}
  const std::string& url() const noexcept override { return schema_->url(); }
  Result<> remove() override {
    auto dropped = schema_->drop();
    if (!dropped)
      return std::unexpected(Error{&kMigration}.because("the schema " + schema_->name() +
                                                        " remains: " + reason_of(dropped.error()) +
                                                        std::string(kRemedyFollows) + "Drop it."));
    return {};
  }

 private:
  std::unique_ptr<ScratchSchema> schema_;
};

Result<std::unique_ptr<ScratchDatabase>> scratch(const Place& beside) {
  auto options = options_at(beside);
  if (!options) return std::unexpected(std::move(options).error());
  auto schema = ScratchSchema::make(*options);
  if (!schema) {
    auto error = std::move(schema).error();
    if (error.problem == &kMigration)
      error = std::move(error).because(error.detail + std::string(kRemedyFollows) +
                                       "Give the role the right to make schemas, or use one that has it.");
    return std::unexpected(std::move(error));
  }
  return std::make_unique<Scratch>(std::move(*schema));
}

}  // namespace

extern constinit const Engine postgres_engine{
    .name = "PostgreSQL",
    .schemes = kSchemes,
    .form = "postgres://USER:PASSWORD@HOST:PORT/DATABASE",
    .options = section_fields,
    .defaults = config::defaults_of<Section>,
    .check = check,
    .open = open,
    .inspect = inspect,
    .scratch = scratch,
    .catalogue = read_postgres_catalogue,
    .schema_of = postgres_schema_of,
    .policy_statements = policy_statements,
    .policy_option = "row-security: true",
};

}  // namespace plimsoll::database
