#include "plimsoll/database/postgres_target.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

namespace plimsoll::database {
namespace {

constexpr std::string_view kSchemes[] = {"postgres://", "postgresql://"};
/// Where Debian keeps the certificates of public authorities.
constexpr const char* kAuthorities = "/etc/ssl/certs/ca-certificates.crt";

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  for (;;) {
    const auto comma = list.find(',');
    parts.emplace_back(list.substr(0, comma));
    if (comma == list.npos) return parts;
    list.remove_prefix(comma + 1);
  }
}

/// A socket of this machine: the folder in which it is, an abstract one, or libpq's own default.
bool is_local_socket(const std::string& name) { return name.empty() || name[0] == '/' || name[0] == '@'; }

void replace_all(std::string& text, const std::string& what, std::string_view with) {
  if (what.empty()) return;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

}  // namespace

bool is_postgres_url(std::string_view url) {
  return std::ranges::any_of(kSchemes, [&](auto scheme) { return url.starts_with(scheme); });
}

std::string without_password(std::string_view url) {
  constexpr std::string_view kHidden = "***";
  std::string made(url);
  if (const auto at = made.find("://"); at != made.npos) {
    const auto begin = at + 3;
    // A password may hold what should have been encoded, also `/` and `?`: all up to the last `@` is taken for user and
    // password, so that rather too much is hidden than too little.
    const auto host = made.substr(begin).rfind('@');
    const auto colon = made.find(':', begin);
    if (host != made.npos && colon < begin + host) made.replace(colon + 1, begin + host - colon - 1, kHidden);
  }
  constexpr std::string_view kWord = "password=";  // also of `sslpassword=`
  for (auto at = made.find(kWord); at != made.npos; at = made.find(kWord, at + kWord.size())) {
    const auto begin = at + kWord.size();
    made.replace(begin, std::min(made.find_first_of("&# \"'", begin), made.size()) - begin, kHidden);
  }
  return made;
}

Result<PostgresTarget> PostgresTarget::read(const std::string& url) {
  char* why = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options{PQconninfoParse(url.c_str(), &why),
                                                                             &PQconninfoFree};
  if (!options) {
    std::string message = why ? why : "no memory";
    PQfreemem(why);
    replace_all(message, url, without_password(url));  // libpq quotes what it could not read
    message.erase(message.find_last_not_of(" \n") + 1);
    return fail(kDatabaseUrl, std::move(message));
  }
  PostgresTarget made;
  std::string names, addresses, ports, mode, authorities;
  for (auto* option = options.get(); option->keyword; ++option) {
    if (!option->val) continue;
    const std::string_view key(option->keyword);
    if (key == "host")
      names = option->val;
    else if (key == "hostaddr")
      addresses = option->val;
    else if (key == "port")
      ports = option->val;
    else if (key == "sslmode")
      mode = option->val;
    else
      made.others.emplace_back(key, option->val);
    if (key == "sslrootcert") authorities = option->val;
    if (key == "service") return fail(kDatabaseUrl, "`service` is not read: write its values into the URL");
  }
  const auto each_name = split(names), each_address = split(addresses), each_port = split(ports);
  const auto count = std::max(each_name.size(), each_address.size());
  const auto at = [](const std::vector<std::string>& list, std::size_t i) {
    return list.size() == 1 ? list[0] : i < list.size() ? list[i] : std::string{};
  };
  if ((each_name.size() != count && !names.empty()) || (each_address.size() != count && !addresses.empty()) ||
      (each_port.size() != count && each_port.size() != 1))
    return fail(kDatabaseUrl, "the lists of hosts, addresses and ports differ in length");
  bool remote = false;
  for (std::size_t i = 0; i < count; ++i) {
    Host host{.name = names.empty() ? "" : each_name[i],
              .address = addresses.empty() ? "" : each_address[i],
              .port = at(each_port, i)};
    const auto& reached = host.address.empty() ? host.name : host.address;
    if (host.address.empty() && net::Address::parse(host.name)) host.address = host.name;
    remote |= !is_local_socket(reached) && !net::is_loopback(reached);
    made.hosts.push_back(std::move(host));
  }
  if (remote && mode.empty()) mode = "verify-full";
  if (remote && mode != "verify-full")
    return fail(kDatabaseUrl, "`sslmode=" + mode +
                                  "` does not prove which server answers: beyond this machine only "
                                  "`sslmode=verify-full` is used");
  if (!mode.empty()) made.others.emplace_back("sslmode", mode);
  std::error_code ignored;
  if (mode == "verify-full" && authorities.empty() && std::filesystem::exists(kAuthorities, ignored))
    made.others.emplace_back("sslrootcert", kAuthorities);
  const auto unless_said = [&](std::string_view key, std::string_view value) {
    if (std::ranges::find(made.others, key, &std::pair<std::string, std::string>::first) == made.others.end())
      made.others.emplace_back(key, value);
  };
  unless_said("client_encoding", "UTF8");
  unless_said("fallback_application_name", "plimsoll");
  unless_said("gssencmode", "disable");  // it asks other services and waits for them
  unless_said("keepalives_idle", "30");
  unless_said("tcp_user_timeout", "30000");  // what was sent and nobody acknowledges ends the connection
  return made;
}

Task<Result<PostgresParameters>> PostgresTarget::resolve(Loop& loop, net::Resolver& resolver) const {
  std::string names, addresses, ports;
  bool any = false;
  std::optional<Error> failed;
  const auto add = [&](const Host& host, const std::string& address) {
    for (auto* list : {&names, &addresses, &ports}) *list += any ? "," : "";
    any = true;
    names += host.name;
    addresses += address;
    ports += host.port;
  };
  for (const auto& host : hosts) {
    if (!host.address.empty() || is_local_socket(host.name)) {
      add(host, host.address);
      continue;
    }
    auto found = co_await resolver.resolve(loop, host.name);
    if (!found) {
      failed = std::move(found).error();
      continue;
    }
    for (const auto& address : *found) add(host, address.text());
  }
  if (!any) co_return std::unexpected(failed ? *failed : Error{&kDatabaseUrl, "no host"});
  auto made = others;
  made.emplace_back("host", names);
  made.emplace_back("hostaddr", addresses);
  made.emplace_back("port", ports);
  co_return made;
}

}  // namespace plimsoll::database
