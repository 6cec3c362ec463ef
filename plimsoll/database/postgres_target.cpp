#include "plimsoll/database/postgres_target.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <span>

namespace plimsoll::database {
namespace {

/// Where Debian's servers have their Unix socket.
constexpr std::string_view kSocketFolder = "/var/run/postgresql";

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  for (;;) {
    const auto comma = list.find(',');
    parts.emplace_back(list.substr(0, comma));
    if (comma == list.npos) return parts;
    list.remove_prefix(comma + 1);
  }
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::unexpected<Error> refuse(std::string why) { return fail(kDatabaseUrl, std::move(why)); }

/// The text with `%41` as `A`; nothing where an escape is none or gives a NUL.
std::optional<std::string> decoded(std::string_view text) {
  std::string made;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      made += text[i];
      continue;
    }
    unsigned value = 0;
    if (text.size() - i < 3) return {};
    const auto* end = text.data() + i + 3;
    const auto read = std::from_chars(text.data() + i + 1, end, value, 16);
    if (read.ec != std::errc{} || read.ptr != end || value == 0) return {};
    made += static_cast<char>(value);
    i += 2;
  }
  return made;
}

/// What a URL is made of, decoded. Hosts and ports are lists, as parameters may give them as well. The messages never
/// quote what may hold a password.
Result<Pairs> parts_of(std::string_view url) {
  Pairs made;
  const auto add = [&](std::string_view key, std::string_view value) {
    auto plain = decoded(value);
    if (!plain) return false;
    made.emplace_back(key, std::move(*plain));
    return true;
  };
  const auto broken = [](std::string_view what) {
    return refuse("the " + std::string(what) +
                  " has a `%` that is not followed by two hexadecimal digits other than 00");
  };
  auto rest = url.substr(url.find("://") + 3);
  if (rest.find('\0') != rest.npos) return refuse("it contains a NUL");
  // As libpq reads it: an `@` before the first `/` ends user and password.
  if (const auto at = rest.find_first_of("@/"); at != rest.npos && rest[at] == '@') {
    const auto login = rest.substr(0, at);
    const auto colon = login.find(':');
    if (!login.empty() && colon != 0 && !add("user", login.substr(0, colon))) return broken("user");
    if (colon != login.npos && !add("password", login.substr(colon + 1))) return broken("password");
    rest.remove_prefix(at + 1);
  }
  std::string hosts, ports;
  bool further = false;
  const auto list = rest.substr(0, rest.find_first_of("/?"));
  rest.remove_prefix(list.size());
  for (const auto& one : split(list)) {
    std::string_view host = one, port;
    if (host.starts_with('[')) {
      const auto close = host.find(']');
      if (close == host.npos || close == 1) return refuse("an IPv6 address is not written as [ADDRESS]");
      port = host.substr(close + 1);
      host = host.substr(1, close - 1);
      if (!port.empty() && port[0] != ':') return refuse("behind [ADDRESS] comes neither a port nor the next part");
    } else if (const auto colon = host.find(':'); colon != host.npos) {
      port = host.substr(colon);
      host = host.substr(0, colon);
    }
    if (!port.empty()) port.remove_prefix(1);
    if (std::exchange(further, true)) {
      hosts += ',';
      ports += ',';
    }
    hosts += host;
    ports += port;
  }
  if (!list.empty() && !add("host", hosts)) return broken("host");
  if (!list.empty() && ports.find_first_not_of(',') != ports.npos && !add("port", ports)) return broken("port");
  if (rest.starts_with('/')) {
    rest.remove_prefix(1);
    const auto name = rest.substr(0, rest.find('?'));
    if (!name.empty() && !add("dbname", name)) return broken("name of the database");
    rest.remove_prefix(name.size());
  }
  if (rest.starts_with('?')) rest.remove_prefix(1);
  while (!rest.empty()) {
    const auto one = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    const auto equals = one.find('=');
    const auto key = decoded(one.substr(0, equals));
    if (equals == one.npos || !key || key->empty())
      return refuse("a parameter behind `?` is not written as NAME=VALUE");
    if (one.find('=', equals + 1) != one.npos) return refuse("the value of `" + *key + "` has a `=`: write it as %3D");
    if (!add(*key, one.substr(equals + 1))) return broken("value of `" + *key + "`");
  }
  return made;
}

struct Word {
  std::string_view name;
  int value;
};
template <class T>
Result<> choose(T& into, std::string_view key, std::string_view value, std::span<const Word> words) {
  std::string all;
  for (const auto& word : words) {
    if (word.name == value) {
      into = static_cast<T>(word.value);
      return {};
    }
    all.append(all.empty() ? "" : ", ").append("`").append(word.name).append("`");
  }
  return refuse("`" + std::string(key) + "` is one of " + all);
}

Result<> number(int& into, std::string_view key, std::string_view value) {
  int read = 0;
  const auto end = value.data() + value.size();
  const auto [at, error] = std::from_chars(value.data(), end, read);
  if (error != std::errc{} || at != end || read < 0) return refuse("`" + std::string(key) + "` is a number from 0");
  into = read;
  return {};
}

/// Parameters of libpq that are not read here, and why.
constexpr std::pair<std::string_view, std::string_view> kNotRead[] = {
    {"service", "write its values into the URL"},
    {"passfile", "write the password into the URL, for example as ${PASSWORD}"},
    {"sslpassword", "use a key without a password, in a file that only this server can read"},
    {"sslcrl", "revoked certificates are not looked up"},
    {"sslcrldir", "revoked certificates are not looked up"},
    {"require_auth",
     "the server's choice of a password method is taken; `channel_binding=require` excludes all but one"},
    {"requirepeer", "the folder of the socket decides who can serve it"},
    {"load_balance_hosts", "hosts are tried in order"},
    {"krbsrvname", "GSSAPI is not supported"},
    {"gsslib", "GSSAPI is not supported"},
    {"gssdelegation", "GSSAPI is not supported"},
    {"replication", "a server of an API does not replicate"},
};

Result<> take(PostgresTarget& made, std::string_view key, const std::string& value) {
  using Tls = PostgresTarget::Tls;
  using Session = PostgresTarget::Session;
  using Binding = PostgresProtocol::ChannelBinding;
  static constexpr Word kTls[] = {{"disable", int(Tls::disable)},
                                  {"prefer", int(Tls::prefer)},
                                  {"require", int(Tls::require)},
                                  {"verify-ca", int(Tls::verify_ca)},
                                  {"verify-full", int(Tls::verify_full)}};
  static constexpr Word kSessions[] = {{"any", int(Session::any)},
                                       {"read-write", int(Session::read_write)},
                                       {"read-only", int(Session::read_only)},
                                       {"primary", int(Session::primary)},
                                       {"standby", int(Session::standby)},
                                       {"prefer-standby", int(Session::prefer_standby)}};
  static constexpr Word kBindings[] = {
      {"disable", int(Binding::off)}, {"prefer", int(Binding::preferred)}, {"require", int(Binding::required)}};
  const auto string = [&](std::string& into) -> Result<> {
    into = value;
    return {};
  };
  const auto only = [&](std::initializer_list<std::string_view> values, std::string_view why) -> Result<> {
    for (const auto each : values)
      if (value == each) return {};
    return refuse("`" + std::string(key) + "=" + value + "` is not supported: " + std::string(why));
  };
  if (key == "user") return string(made.user);
  if (key == "password") return string(made.password);
  if (key == "dbname") return string(made.database);
  if (key == "sslmode") return choose(made.tls, key, value, kTls);
  if (key == "sslrootcert") return string(made.authorities);
  if (key == "sslcert") return string(made.certificate);
  if (key == "sslkey") return string(made.key);
  if (key == "channel_binding") return choose(made.binding, key, value, kBindings);
  if (key == "target_session_attrs") return choose(made.session, key, value, kSessions);
  if (key == "connect_timeout") return number(made.connect_timeout, key, value);
  if (key == "keepalives") {
    int on = 1;
    auto read = number(on, key, value);
    made.keepalives = on != 0;
    return read;
  }
  if (key == "keepalives_idle") return number(made.keepalives_idle, key, value);
  if (key == "keepalives_interval") return number(made.keepalives_interval, key, value);
  if (key == "keepalives_count") return number(made.keepalives_count, key, value);
  if (key == "tcp_user_timeout") return number(made.user_timeout, key, value);
  if (key == "options" || key == "application_name") {
    std::erase_if(made.settings, [&](const auto& one) { return one.first == key; });
    made.settings.emplace_back(key, value);
    return {};
  }
  if (key == "fallback_application_name") return {};
  if (key == "client_encoding") return only({"UTF8", "utf8", "UTF-8", "utf-8", "auto"}, "texts are UTF-8");
  if (key == "gssencmode") return only({"disable", "prefer"}, "GSSAPI is not supported");
  if (key == "sslcompression") return only({"0"}, "TLS is not compressed");
  if (key == "sslsni") return only({"1"}, "the name of the server is always sent");
  if (key == "sslnegotiation") return only({"postgres"}, "TLS begins with a request");
  if (key == "ssl_min_protocol_version") return only({"", "TLSv1", "TLSv1.1", "TLSv1.2"}, "it is TLS 1.2 or later");
  if (key == "ssl_max_protocol_version") return only({"", "TLSv1.3"}, "the latest that both sides know is used");
  for (const auto& [name, why] : kNotRead)
    if (key == name) return refuse("`" + std::string(key) + "` is not read: " + std::string(why));
  return refuse("the parameter `" + std::string(key.substr(0, 40)) + "` is not known");
}

/// The user of this process, as the system knows it.
std::string system_user() {
  std::array<char, 4096> text;
  passwd entry{}, *found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, text.data(), text.size(), &found) != 0 || !found) return {};
  return found->pw_name;
}

}  // namespace

Result<PostgresTarget> PostgresTarget::read(const std::string& url) {
  auto parts = parts_of(url);
  if (!parts) return std::unexpected(std::move(parts).error());
  PostgresTarget made;
  std::string names, addresses, ports;
  bool mode_said = false;
  for (auto& [key, value] : *parts) {
    if (key == "ssl" && value == "true") {  // as JDBC writes it
      key = "sslmode";
      value = "require";
    }
    mode_said |= key == "sslmode";
    if (key == "host")
      names = value;
    else if (key == "hostaddr")
      addresses = value;
    else if (key == "port")
      ports = value;
    else if (auto taken = take(made, key, value); !taken)
      return std::unexpected(std::move(taken).error());
  }
  const auto each_name = split(names), each_address = split(addresses), each_port = split(ports);
  const auto count = std::max(each_name.size(), each_address.size());
  if ((each_name.size() != count && !names.empty()) || (each_address.size() != count && !addresses.empty()) ||
      (each_port.size() != count && each_port.size() != 1))
    return refuse("the lists of hosts, addresses and ports differ in length");
  bool remote = false;
  for (std::size_t i = 0; i < count; ++i) {
    Host host;
    if (!names.empty()) host.name = each_name[i];
    if (!addresses.empty()) host.address = each_address[i];
    if (host.name.empty() && host.address.empty()) host.name = kSocketFolder;
    if (host.name.empty()) host.name = host.address;
    const auto& port = each_port.size() == 1 ? each_port[0] : each_port[i];
    int read = host.port;
    if (!port.empty())
      if (auto known = number(read, "port", port); !known) return std::unexpected(std::move(known).error());
    if (read < 1 || read > 65535) return refuse("`port` is a number from 1 to 65535");
    host.port = static_cast<std::uint16_t>(read);
    if (host.address.empty() && net::Address::parse(host.name)) host.address = host.name;
    if (!host.address.empty() && !net::Address::parse(host.address))
      return refuse("`hostaddr` is an IPv4 or IPv6 address");
    remote |= !host.is_unix() && !net::is_loopback(host.address.empty() ? host.name : host.address);
    made.hosts.push_back(std::move(host));
  }
  if (remote && !mode_said) made.tls = Tls::verify_full;
  if (remote && made.tls != Tls::verify_full)
    return refuse(
        "this `sslmode` does not prove which server answers: beyond this machine only `sslmode=verify-full` is used");
  if (made.tls == Tls::require && !made.authorities.empty()) made.tls = Tls::verify_ca;  // as libpq does
  made.cleartext = mode_said && made.tls == Tls::disable;
  if (made.authorities == "system") made.authorities.clear();
  if (made.certificate.empty() != made.key.empty()) return refuse("`sslcert` and `sslkey` belong together");
  if (made.user.empty()) made.user = system_user();
  if (made.user.empty()) return refuse("it names no user, and this process has none with a name");
  if (std::ranges::none_of(made.settings, [](const auto& one) { return one.first == "application_name"; }))
    made.settings.emplace_back("application_name", "plimsoll");
  return made;
}

Task<Result<std::vector<PostgresEndpoint>>> PostgresTarget::resolve(Loop& loop, net::Resolver& resolver) const {
  std::vector<PostgresEndpoint> made;
  Error failed{&kDatabaseUrl, "no host"};
  for (const auto& host : hosts) {
    if (host.is_unix()) {
      made.push_back({.host = host.name, .address = {}, .port = host.port});
      continue;
    }
    if (!host.address.empty()) {
      made.push_back({.host = host.name, .address = net::Address::parse(host.address), .port = host.port});
      continue;
    }
    auto found = co_await resolver.resolve(loop, host.name);
    if (!found) {
      failed = std::move(found).error();
      continue;
    }
    for (const auto& address : *found) made.push_back({.host = host.name, .address = address, .port = host.port});
  }
  if (made.empty()) co_return std::unexpected(std::move(failed));
  co_return made;
}

std::string PostgresEndpoint::text() const {
  const auto number = std::to_string(port);
  if (is_unix()) return host + "/.s.PGSQL." + number;
  const auto reached = address->text();
  return host == reached ? host + " port " + number : host + " (" + reached + ") port " + number;
}

}  // namespace plimsoll::database
